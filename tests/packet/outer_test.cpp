// Packets are compared with one that was let in before. That must never decide otherwise than the
// checks that they would else pass one by one.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/net/checksum.hpp"
#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::size_t kIp = 14;
constexpr std::size_t kUdp = kIp + 20;

void repair_checksum(Bytes& frame) {
    auto& ip = reinterpret_cast<net::Ipv4Header&>(frame[kIp]);
    if (ip.header_length() >= sizeof ip && kIp + ip.header_length() <= frame.size()) {
        ip.checksum = {};
        ip.checksum = net::ipv4_checksum(ip);
    }
}

/// What the packet that was let in is like, and its segment.
enum class Kind : std::uint8_t { plain, summed, watched, policy, ipv6, ipv6_unsummed };
std::string name_of(const testing::TestParamInfo<Kind>& info) {
    constexpr std::array<const char*, 6> kNames{"plain",  "summed", "watched",
                                                "policy", "ipv6",   "ipv6_unsummed"};
    return kNames[static_cast<std::size_t>(info.param)];
}

class Known : public ::testing::TestWithParam<Kind> {
  protected:
    Known() : s(words()) {
        table::Segment& red = s.lab.segment_entry(s.red);
        if (GetParam() == Kind::watched) red.watch |= table::watch::kSnoop;
        if (GetParam() == Kind::policy) red.watch |= table::watch::kGroupPolicy;
        if (is_v6()) {
            s.lab.own(address("2001:db8::1"), s.up);
            table::TunnelSpec spec = s.spec(6);
            spec.local = address("2001:db8::1");
            spec.remote = address("2001:db8::2");
            s.lab.fdb(s.red, host(12), FdbKind::tunnel, s.lab.tunnel(spec), FdbState::dynamic);
        }
        good = packet();
    }
    static bool is_v6() { return GetParam() >= Kind::ipv6; }
    static SceneWords words() {
        SceneWords words;
        words.red.ipv6 = is_v6();
        words.red.udp6_zero_rx = GetParam() == Kind::ipv6_unsummed;
        return words;
    }
    /// Where the UDP header begins.
    static std::size_t udp_at() { return is_v6() ? kIp + 40 : kUdp; }
    Bytes packet(const std::string& source = is_v6() ? "2001:db8::2" : "10.0.0.2") const {
        const bool summed = GetParam() == Kind::summed || GetParam() == Kind::ipv6;
        const Udp udp{.checksum = summed ? std::nullopt : std::optional<std::uint16_t>(0)};
        Frame frame = a_frame();
        frame.to(s.local_mac).from(s.remote_mac(2));
        if (is_v6())
            frame.ipv6({.source = source, .destination = "2001:db8::1"});
        else
            frame.ipv4({.source = source, .destination = Scene::kLocal});
        Vxlan header;
        if (GetParam() == Kind::policy) header = {.flags = 0x88, .reserved = 0x000123};
        return frame.udp(40000, 4789, udp).vxlan(header, small_from(12, host(1))).bytes();
    }

    /// The same packet twice: to a worker that has seen none since its tables changed, and to one
    /// that has just let in a good one.
    void expect_same(const Bytes& frame, const std::string& what) {
        const Seen cold = receive_cold(frame);
        forget();
        EXPECT_EQ(s.lab.receive(s.up, {good}).sent_by(s.vm1).size(), 1U);
        const Seen warm = s.lab.receive(s.up, {frame});
        EXPECT_EQ(cold.moved, warm.moved) << what;
        EXPECT_EQ(cold.sent_by(s.vm1), warm.sent_by(s.vm1)) << what;
        EXPECT_EQ(cold.punted.size(), warm.punted.size()) << what;
        EXPECT_EQ(cold.learned.size(), warm.learned.size()) << what;
        expect_law(warm);
    }
    Seen receive_cold(const Bytes& frame) {
        forget();
        return s.lab.receive(s.up, {frame});
    }
    void forget() {
        s.lab.pass_time(1000);  // also what was told to control
        s.lab.publish();
    }

    Scene s;
    Bytes good;
};
INSTANTIATE_TEST_SUITE_P(Outer, Known,
                         testing::Values(Kind::plain, Kind::summed, Kind::watched, Kind::policy,
                                         Kind::ipv6, Kind::ipv6_unsummed),
                         name_of);

TEST_P(Known, a_packet_with_any_bit_flipped_is_judged_as_if_nothing_was_let_in_before) {
    for (std::size_t bit = 0; bit < 8 * (udp_at() + 30); ++bit) {
        Bytes frame = good;
        frame[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        expect_same(frame, "bit " + std::to_string(bit));
        if (!is_v6() && bit / 8 >= kIp && bit / 8 < kUdp) {
            repair_checksum(frame);
            expect_same(frame, "bit " + std::to_string(bit) + ", checksum repaired");
        }
    }
}

TEST_P(Known, a_packet_of_any_length_is_judged_as_if_nothing_was_let_in_before) {
    for (std::size_t size = 0; size <= good.size(); ++size) {
        expect_same({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)},
                    "size " + std::to_string(size));
    }
    Bytes longer = good;
    longer.insert(longer.end(), 9, 0xEE);
    expect_same(longer, "trailer");
}

TEST_P(Known, lengths_that_lie_are_judged_as_if_nothing_was_let_in_before) {
    for (const std::size_t field : {is_v6() ? kIp + 4 : kIp + 2, udp_at() + 4}) {
        for (std::uint32_t length = 0; length < 200; ++length) {
            Bytes frame = good;
            frame[field] = static_cast<std::uint8_t>(length >> 8);
            frame[field + 1] = static_cast<std::uint8_t>(length);
            if (!is_v6()) repair_checksum(frame);
            expect_same(frame,
                        "field " + std::to_string(field) + " length " + std::to_string(length));
        }
    }
}

TEST_P(Known, sources_that_no_host_has_are_judged_as_if_nothing_was_let_in_before) {
    const std::vector<std::string> sources =
        is_v6() ? std::vector<std::string>{"2001:db8::1", "2001:db8::3",     "::",     "::1",
                                           "ff02::1",     "::ffff:10.0.0.2", "fe80::2"}
                : std::vector<std::string>{"10.0.0.1",  "10.0.0.3",        "127.0.0.1",
                                           "224.0.0.1", "255.255.255.255", "0.0.0.0",
                                           "0.1.2.3",   "240.0.0.1",       "192.0.2.7"};
    std::size_t refused = 0;
    for (const std::string& source : sources) {
        const Bytes frame = packet(source);
        expect_same(frame, source);
        refused += receive_cold(frame).sent_by(s.vm1).empty() ? 1U : 0U;
    }
    EXPECT_GE(refused, 4U);
}

TEST_P(Known, packets_of_other_kinds_are_judged_as_if_nothing_was_let_in_before) {
    for (const Udp& udp : {Udp{}, Udp{.checksum = 0}, Udp{.checksum = 0x1234}}) {
        for (const std::uint8_t flags : {0x08, 0x88, 0x0C, 0x00, 0xFF}) {
            const Vxlan header{.flags = flags, .reserved = 0x000456};
            Frame four = a_frame();
            four.to(s.local_mac)
                .from(s.remote_mac(2))
                .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal});
            expect_same(four.udp(1, 4789, udp).vxlan(header, small_from(12, host(1))).bytes(),
                        "IPv4, flags " + std::to_string(flags));
            Frame six = a_frame();
            six.to(s.local_mac)
                .from(s.remote_mac(2))
                .ipv6({.source = "2001:db8::2", .destination = "2001:db8::1"});
            expect_same(six.udp(1, 4789, udp).vxlan(header, small_from(12, host(1))).bytes(),
                        "IPv6, flags " + std::to_string(flags));
        }
    }
}

TEST_P(Known, new_tables_forget_what_was_let_in) {
    EXPECT_EQ(s.lab.receive(s.up, {good}).sent_by(s.vm1).size(), 1U);
    s.lab.port_entry(s.up).mac ^= 0x100;
    s.lab.publish();
    const Seen seen = s.lab.receive(s.up, {good});
    EXPECT_EQ(seen.only_reason(), DropReason::eth_not_for_us);
}

}  // namespace
}  // namespace vxplane::support
