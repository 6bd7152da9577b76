// Any bytes as a frame for control: ARP, neighbour discovery, echo requests, and packets that are
// answered with an error. Bit 0 of the first byte says whether an ICMPv6 checksum is repaired
// first, bit 1 whether the neighbour is known already; the rest is the frame.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "control/resolve/icmp.hpp"
#include "control/resolve/neighbours.hpp"
#include "control/resolve/spoken.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::control;
using Bytes = std::vector<std::byte>;

constexpr std::uint16_t kPort = 1;
constexpr std::uint8_t kRepair = 0x01;
constexpr std::uint8_t kKnown = 0x02;
constexpr std::size_t kLongest = 2000;

void require(bool truth, const char* text) {
    if (truth) return;
    std::fprintf(stderr, "%s\n", text);
    std::abort();
}

net::IpAddress six(std::uint8_t last) {
    net::IpAddress address;
    address.bytes = {0x20, 0x01, 0x0D, 0xB8};
    address.bytes[15] = last;
    return address;
}

/// What is sent is well-formed, and nothing that is held is lost.
struct Sink final : NeighbourSink {
    void send_frame(std::uint16_t port, std::span<const std::byte> frame) override {
        require(port == kPort, "sent to another port");
        require(frame.size() == 60 || frame.size() == net::kNdFrame, "a frame of another size");
        if (frame.size() == net::kNdFrame) {
            const auto kind = net::read_nd(frame.subspan(sizeof(net::EthernetHeader))).kind;
            require(kind == net::NdKind::solicitation || kind == net::NdKind::advertisement,
                    "a message that we would discard ourselves");
        }
        ++sent;
    }
    void reachable(NeighbourKey /*key*/, net::MacAddress mac) override {
        // Group and broadcast addresses have group MAC addresses that nobody was asked for (noarp).
        require(!mac.is_zero(), "a neighbour that no station is");
    }
    void unreachable(NeighbourKey /*key*/) override {}
    void release(NeighbourKey /*key*/, net::MacAddress /*mac*/, Held&& /*held*/) override {
        ++released;
    }
    void give_up(NeighbourKey /*key*/, Held&& /*held*/, packet::DropReason /*why*/) override {
        ++given_up;
    }
    void conflict(NeighbourKey /*own*/, net::MacAddress /*other*/) override {}
    void table_full(NeighbourKey /*refused*/) override {}
    unsigned sent = 0;
    unsigned released = 0;
    unsigned given_up = 0;
};

void repair(Bytes& frame) {
    constexpr std::size_t kIp = sizeof(net::EthernetHeader);
    if (frame.size() < kIp + sizeof(net::Ipv6Header)) return;
    const auto ip = net::load<net::Ipv6Header>(frame.data() + kIp);
    const std::size_t size = sizeof ip + ip.payload_length.value();
    const auto upper = net::upper_of(frame.data() + kIp, frame.size() - kIp);
    if (!upper.is_whole || kIp + size > frame.size() || size < upper.offset + 4U) return;
    std::byte* message = frame.data() + kIp + upper.offset;
    const auto length = static_cast<std::uint16_t>(size - upper.offset);
    std::fill_n(message + 2, 2, std::byte{0});
    const net::Be16 sum = net::finish(
        net::add_bytes(net::pseudo_header(ip, net::ip_protocol::kIcmpv6, length), message, length));
    std::memcpy(message + 2, &sum, sizeof sum);
}

void hear(const Bytes& frame, bool known) {
    const Neighbours::Time now{std::chrono::hours{1}};
    Sink sink;
    Neighbours table(sink, {}, 1);
    const auto mac = net::MacAddress::from_number(0x020000AA0001ULL);
    table.set_port(kPort, mac, {{net::Ipv4Address::of(10, 0, 0, 1), 24}, {six(1), 64}});
    const NeighbourKey peers[]{{kPort, net::Ipv4Address::of(10, 0, 0, 2)}, {kPort, six(2)}};
    for (const NeighbourKey& peer : peers) {
        table.hold(peer, {}, now);
        if (known) table.add_permanent(peer, net::MacAddress::from_number(0x02BB), now);
    }
    const unsigned before = sink.sent;
    static_cast<void>(table.on_arp(kPort, frame, now));
    static_cast<void>(table.on_nd(kPort, frame, now));
    require(sink.sent <= before + 1, "more than one answer");
    require(table.size() <= 3, "more than one neighbour was made");
    require(2 == sink.released + sink.given_up + table.held_packets(), "a packet was lost");
    table.tick(now + std::chrono::minutes{2});
    table.remove_port(kPort);
    require(2 == sink.released + sink.given_up, "a packet was kept");
}

void answer(const Bytes& frame) {
    const OwnAddress own[]{{net::Ipv4Address::of(10, 0, 0, 1), 24}, {six(1), 64}};
    const auto room = echo_reply_room(frame.size());
    const auto reply = std::make_unique<std::byte[]>(room);
    require(make_echo_reply(frame, own, {reply.get(), room}).size <= room, "beyond the room");
    const auto error = std::make_unique<std::byte[]>(kIcmpErrorFrame);
    const auto again = std::make_unique<std::byte[]>(kIcmpErrorFrame);
    static_cast<void>(
        make_icmp_error(frame, IcmpError::host_unreachable, 0, {error.get(), kIcmpErrorFrame}));
    const net::IpAddress routers[]{net::Ipv4Address::of(10, 0, 0, 1), six(1)};
    for (const net::IpAddress& router : routers) {
        for (const auto kind : {IcmpError::time_exceeded, IcmpError::fragmentation_needed}) {
            const IcmpMade made =
                make_router_error(frame, router, kind, 1400, {error.get(), kIcmpErrorFrame});
            if (!made) continue;
            require(made.size <= kIcmpErrorFrame, "beyond the longest error");
            const IcmpMade back = make_router_error({error.get(), made.size}, router, kind, 1400,
                                                    {again.get(), kIcmpErrorFrame});
            require(back.why == NoIcmp::about_icmp_error, "an error is answered by an error");
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1 || size > kLongest) return 0;
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    Bytes frame(bytes + 1, bytes + size);
    if ((data[0] & kRepair) != 0) repair(frame);
    frame.shrink_to_fit();
    hear(frame, (data[0] & kKnown) != 0);
    answer(frame);
    // Of segments: who is believed is a station with an address of its own.
    const std::span<const std::byte> seen(frame);
    if (const auto speaker = speaker_in(seen)) {
        require(
            !speaker->mac.is_group() && !speaker->mac.is_zero() && net::is_host(speaker->address),
            "believed who cannot be");
    }
    static_cast<void>(wanted_in(seen));
    return 0;
}
