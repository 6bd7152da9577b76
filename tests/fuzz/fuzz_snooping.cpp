// Any bytes as what slaves, DHCP servers and multicast routers say: reports of groups, requests and
// answers, queries for groups that we have joined.
// An input is a row of packets, each behind a head of three bytes: bits 0 and 1 of the first say
// who sends it, bit 2 whether its checksums are repaired first, the upper four bits how much time
// passes; the others are its length.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "control/resolve/joined_groups.hpp"
#include "control/resolve/leases.hpp"
#include "control/resolve/memberships.hpp"
#include "dataplane/net/group_query.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::control;
using Bytes = std::vector<std::byte>;

constexpr std::uint8_t kRepair = 0x04;
constexpr std::uint16_t kClients = 3;
constexpr std::size_t kGroups = 6;

void require(bool truth, const char* text) {
    if (truth) return;
    std::fprintf(stderr, "%s\n", text);
    std::abort();
}

void put_sum(Bytes& packet, std::size_t from, std::size_t at, std::size_t size, net::Sum start) {
    if (size < at + 2 || from + size > packet.size()) return;
    std::fill_n(packet.begin() + static_cast<std::ptrdiff_t>(from + at), 2, std::byte{0});
    const net::Be16 sum = net::finish(net::add_bytes(start, packet.data() + from, size));
    std::memcpy(packet.data() + from + at, &sum, sizeof sum);
}

void repair(Bytes& packet) {
    if (packet.size() >= sizeof(net::Ipv4Header) && (packet[0] >> 4) == std::byte{4}) {
        const auto ip = net::load<net::Ipv4Header>(packet.data());
        const std::size_t header = ip.header_length();
        const std::size_t total = ip.total_length.value();
        if (header < sizeof ip || header > packet.size()) return;
        put_sum(packet, 0, 10, header, 0);
        if (total < header) return;
        const std::size_t rest = total - header;
        if (ip.protocol == net::kIgmp) {
            put_sum(packet, header, 2, rest, 0);
        } else if (ip.protocol == net::ip_protocol::kUdp) {
            put_sum(packet, header, 6, rest,
                    net::pseudo_header(ip.source, ip.destination, ip.protocol,
                                       static_cast<std::uint16_t>(rest)));
        }
    } else if (packet.size() >= sizeof(net::Ipv6Header)) {
        const auto ip = net::load<net::Ipv6Header>(packet.data());
        const std::size_t total = sizeof ip + ip.payload_length.value();
        const auto upper = net::upper_of(packet.data(), std::min(total, packet.size()));
        if (!upper.is_whole || total < upper.offset) return;
        const std::size_t rest = total - upper.offset;
        put_sum(
            packet, upper.offset, 2, rest,
            net::pseudo_header(ip, net::ip_protocol::kIcmpv6, static_cast<std::uint16_t>(rest)));
    }
}

class World {
  public:
    World() {
        for (std::uint16_t client = 0; client < kClients; ++client) {
            groups_.listen(client, {0x01005E000001, client});
        }
        const std::vector<OwnAddress> own{{net::Ipv4Address::of(10, 1, 0, 1), 24}};
        joined_.set_port(kUplink, net::MacAddress::from_number(2), own);
        for (const net::IpAddress& group : kJoined) joined_.join(kUplink, group, now_);
    }
    void pass(std::chrono::seconds time) {
        now_ += time;
        groups_.tick(now_);
        leases_.tick(now_);
        joined_.tick(now_);
        say();
        ask();
        check();
    }
    void hear(std::uint16_t client, const Bytes& packet) {
        Bytes frame(sizeof(net::EthernetHeader));
        const bool is_v4 = !packet.empty() && (packet[0] >> 4) == std::byte{4};
        frame[12] = is_v4 ? std::byte{0x08} : std::byte{0x86};
        frame[13] = is_v4 ? std::byte{0x00} : std::byte{0xDD};
        frame.insert(frame.end(), packet.begin(), packet.end());
        frame.shrink_to_fit();
        const bool seen = net::may_be_report(frame.data(), frame.size());
        static_cast<void>(net::is_dhcp(frame.data(), frame.size(), net::DhcpWay::to_client));
        joined_.hear(kUplink, packet, now_);
        const bool report = groups_.hear(client, packet, now_) == net::ReportKind::report;
        require(!report || seen, "a report that workers do not see");
        if (const auto message = net::read_dhcp(packet)) {
            if (!message->from_server) {
                leases_.ask(0, client, *message, now_);
            } else if (const auto asked = leases_.who_asked(0, *message, now_)) {
                if (message->type == net::DhcpType::ack) {
                    leases_.grant(0, *asked, *message, now_);
                } else {
                    leases_.deny(0, *asked, *message);
                }
            }
        }
        check();
    }
    void end() {
        for (std::uint16_t client = 0; client < kClients; client += 2) {
            groups_.forget(client);
            leases_.forget(client);
        }
        for (const net::IpAddress& group : kJoined) joined_.leave(kUplink, group, now_);
        check();
        for (int second = 0; second < 40; ++second) pass(std::chrono::seconds(1));
        require(joined_.views(now_).empty(), "a group that is not left");
        pass(std::chrono::seconds(261));
        require(groups_.size() == 0 && !groups_.next_due(), "a group that does not end");
        leases_.forget(1);
        require(leases_.all(now_).empty() && leases_.questions() == 0 && !leases_.next_due(),
                "a lease that does not end");
    }

  private:
    /// Routers understand what we say, and it is not much.
    void say() {
        const std::vector<JoinedGroups::Frame> frames = joined_.take_frames();
        require(frames.size() <= 3 * kJoined.size(), "too much is said of groups");
        for (const JoinedGroups::Frame& frame : frames) {
            require(net::may_be_report(frame.bytes.data(), frame.bytes.size()),
                    "no report, and no leave");
        }
    }
    void ask() {
        for (const Memberships::Question& one : groups_.take_questions()) {
            std::array<std::byte, net::kGroupQueryFrame> frame{};
            const std::size_t size = net::make_group_query(net::MacAddress::from_number(2),
                                                           one.group, one.response, frame);
            require(!net::may_be_report(frame.data(), size), "a question like a report");
            require(groups_.listens(one.listener), "a question to nobody");
        }
    }
    void check() const {
        std::size_t all = 0;
        for (std::uint16_t client = 0; client < kClients; ++client) {
            const std::size_t here = groups_.groups(client, now_).size();
            require(here <= kGroups && groups_.macs(client).size() + 2 <= kGroups,
                    "too many groups");
            require(leases_.of(client, now_).size() <= 8, "too many leases");
            all += here;
        }
        require(all == groups_.size(), "groups that nobody has");
        require(leases_.questions() <= kClients * 16U, "too many questions");
    }

    static constexpr std::uint16_t kUplink = 1;
    static constexpr std::array<net::IpAddress, 2> kJoined{
        net::Ipv4Address::of(239, 1, 1, 1), net::IpAddress{std::array<std::uint8_t, 16>{
                                                0xFF, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}};

    Memberships::Time now_{std::chrono::hours(1)};
    Memberships groups_{MembershipOptions{.per_listener = kGroups}};
    Leases leases_;
    JoinedGroups joined_{1};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 8192) return 0;
    World world;
    while (size >= 3) {
        const std::uint8_t head = data[0];
        const std::size_t length = std::min<std::size_t>(data[1] << 8 | data[2], size - 3);
        const auto* bytes = reinterpret_cast<const std::byte*>(data + 3);
        Bytes packet(bytes, bytes + length);
        if ((head & kRepair) != 0) repair(packet);
        packet.shrink_to_fit();
        world.pass(std::chrono::seconds((head >> 4) * (head >> 4)));
        world.hear(static_cast<std::uint16_t>((head & 3U) % kClients), packet);
        data += 3 + length;
        size -= 3 + length;
    }
    world.end();
    return 0;
}
