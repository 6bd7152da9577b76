// The outer UDP checksum where the access port has verified the inner one: the same bytes as by
// reading everything, whatever is inside.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

/// vm1's port verifies checksums, and says of every frame that they are right.
Scene verifying(bool trusted) {
    SceneWords words;
    words.tunnel.udp_checksum = true;
    words.red.inner_vlan = true;
    words.access.trusts_checksum = trusted;
    return Scene(words);
}

Outer sent(Scene& s, const Frame& inner, Memory memory = Memory::pool) {
    s.lab.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    const Seen seen = s.lab.receive(s.vm1, inner, memory);
    expect_law(seen);
    const std::vector<Bytes> frames = seen.sent_by(s.up);
    EXPECT_EQ(frames.size(), 1U);
    return frames.size() == 1 ? take_apart(frames[0]) : Outer{};
}

Frame to_remote_host() {
    return a_frame().to(host(12));
}

/// Each kind of frame with a payload of `size` bytes.
std::vector<Frame> of_every_type(std::size_t size) {
    const Bytes payload(size, 0xF9);
    const Bytes options{0x94, 0x04, 0, 0};
    const auto udp_of = [](std::size_t length) {
        return Udp{.length = static_cast<std::uint16_t>(length)};
    };
    return {
        to_remote_host().ipv4().udp(1, 2).payload(payload),
        to_remote_host().ipv4().tcp(1, 2).payload(payload),
        to_remote_host().ipv6().udp(1, 2).payload(payload),
        to_remote_host().ipv6().tcp(1, 2).payload(payload),
        to_remote_host().ipv4({.options = options}).tcp(1, 2).payload(payload),
        to_remote_host().vlan(5).ipv4().udp(1, 2).payload(payload),
        to_remote_host().vlan(5).vlan(6).ipv6().tcp(1, 2).payload(payload),
        // What has no checksum over all of it.
        to_remote_host().ipv4().udp(1, 2, {.checksum = 0}).payload(payload),
        to_remote_host().ipv4().udp(1, 2, udp_of(8)).payload(payload),
        to_remote_host().ipv6().udp(1, 2, udp_of(size + 9)).payload(payload),
        to_remote_host().ipv4({.fragment = 0x2000}).udp(1, 2).payload(payload),
        to_remote_host().ipv4({.fragment = 0x0010}).udp(1, 2).payload(payload),
        to_remote_host().ipv4().icmp_echo().payload(payload),
        to_remote_host().ipv4({.protocol = std::uint8_t{132}}).payload(payload),
        to_remote_host().ipv6({.next_header = std::uint8_t{0}}).udp(1, 2).payload(payload),
        to_remote_host().type(0x88B5).payload(payload),
        to_remote_host().arp().payload(payload),
        // Bytes behind the message, and a message that says it is longer than it is.
        to_remote_host().ipv4().tcp(1, 2).payload(payload).padded(size + 70),
        to_remote_host().ipv4({.total_length = std::uint16_t{1400}}).tcp(1, 2).payload(payload),
        to_remote_host().ipv4({.version_ihl = std::uint8_t{0x4F}}).tcp(1, 2),
    };
}

TEST(OuterChecksum, VX13_is_that_of_every_byte_on_every_inner_type) {
    Scene trusting = verifying(true);
    Scene reading = verifying(false);
    for (const std::size_t size : {18U, 19U, 20U, 21U, 64U, 255U, 1300U}) {
        std::size_t number = 0;
        for (const Frame& inner : of_every_type(size)) {
            SCOPED_TRACE(testing::Message() << "type " << number++ << ", payload " << size);
            for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
                const Outer outer = sent(trusting, inner, memory);
                EXPECT_TRUE(outer.whole && outer.udp_checksum_right);
                EXPECT_NE(outer.udp_checksum, 0);
                EXPECT_EQ(outer.udp_checksum, sent(reading, inner, memory).udp_checksum);
            }
        }
    }
}

/// The same scene, whose host 16 is behind 2001:db8::2.
struct VerifyingScene6 : Scene {
    explicit VerifyingScene6(bool trusted) : Scene(words_of(trusted)) {
        lab.own(address("2001:db8::1"), up);
        table::TunnelSpec spec = words.tunnel;
        spec.local = address("2001:db8::1");
        spec.remote = address("2001:db8::2");
        spec.out_port = up;
        spec.source_mac = local_mac;
        spec.next_hop = remote_mac(6);
        lab.fdb(red, host(12), FdbKind::tunnel, lab.tunnel(spec), FdbState::dynamic);
    }
    static SceneWords words_of(bool trusted) {
        SceneWords words;
        words.tunnel.udp_checksum = true;
        words.red.inner_vlan = true;
        words.red.ipv6 = true;
        words.access.trusts_checksum = trusted;
        return words;
    }
};

/// The checksum field of a tunnel packet over IPv6, and what all of its bytes say of it.
struct Sums6 {
    std::uint16_t field = 0;
    bool right = false;
};
Sums6 sent6(Scene& s, const Frame& inner, Memory memory) {
    s.lab.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    const Seen seen = s.lab.receive(s.vm1, inner, memory);
    expect_law(seen);
    const std::vector<Bytes> frames = seen.sent_by(s.up);
    EXPECT_EQ(frames.size(), 1U);
    if (frames.size() != 1 || frames[0].size() < 70) return {};
    const Bytes& frame = frames[0];
    const auto word = [&](std::size_t at) {
        return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
    };
    EXPECT_EQ(word(12), 0x86DD);
    EXPECT_EQ(frame[20], 17);
    EXPECT_EQ(word(18), frame.size() - 54);
    EXPECT_EQ(word(58), word(18));
    // Addresses and all behind them, with length and next header of the pseudo header (RFC 8200
    // section 8.1); the sum with the field in its place leaves nothing.
    const Bytes all(frame.begin() + 22, frame.end());
    return {word(60), rfc1071(all, word(18) + 17U) == 0};
}

TEST(OuterChecksum, VX13_over_ipv6_it_is_that_of_every_byte_on_every_inner_type) {
    VerifyingScene6 trusting(true), reading(false);
    for (const std::size_t size : {18U, 19U, 20U, 21U, 64U, 255U, 1300U}) {
        std::size_t number = 0;
        for (const Frame& inner : of_every_type(size)) {
            SCOPED_TRACE(testing::Message() << "type " << number++ << ", payload " << size);
            for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
                const Sums6 sums = sent6(trusting, inner, memory);
                EXPECT_TRUE(sums.right);
                EXPECT_NE(sums.field, 0);
                EXPECT_EQ(sums.field, sent6(reading, inner, memory).field);
            }
        }
    }
    // It is the verified checksum inside that stands for the payload, here as over IPv4.
    const Frame wrong = to_remote_host().ipv4().tcp(1, 2, {.checksum = 0x1234}).payload(1000);
    EXPECT_FALSE(sent6(trusting, wrong, Memory::pool).right);
    EXPECT_TRUE(sent6(reading, wrong, Memory::pool).right);
}

TEST(OuterChecksum, VX13_a_verified_inner_checksum_stands_for_the_payload) {
    Scene trusting = verifying(true);
    Scene reading = verifying(false);
    // Wrong inside, though the port says otherwise: only who does not read the payload believes it.
    const std::vector<Frame> wrong{
        to_remote_host().ipv4().tcp(1, 2, {.checksum = 0x1234}).payload(1000),
        to_remote_host().ipv4().udp(1, 2, {.checksum = 0x1234}).payload(1000),
        to_remote_host().ipv6().tcp(1, 2, {.checksum = 0x1234}).payload(1000),
        to_remote_host().vlan(5).ipv6().udp(1, 2, {.checksum = 0x1234}).payload(1000),
    };
    for (const Frame& inner : wrong) {
        EXPECT_FALSE(sent(trusting, inner).udp_checksum_right);
        EXPECT_TRUE(sent(reading, inner).udp_checksum_right);
    }
}

TEST(OuterChecksum,
     VX13_only_an_inner_sum_of_a_kind_that_the_device_was_right_about_stands_for_it) {
    using packet::RxSum;
    const std::vector<std::pair<RxSum, Frame>> wrong{
        {RxSum::tcp4, to_remote_host().ipv4().tcp(1, 2, {.checksum = 0x1234}).payload(1000)},
        {RxSum::udp4, to_remote_host().ipv4().udp(1, 2, {.checksum = 0x1234}).payload(1000)},
        {RxSum::tcp6, to_remote_host().ipv6().tcp(1, 2, {.checksum = 0x1234}).payload(1000)},
        {RxSum::udp6, to_remote_host().ipv6().udp(1, 2, {.checksum = 0x1234}).payload(1000)},
    };
    for (std::size_t i = 0; i < packet::kRxSums; ++i) {
        const auto believed = static_cast<RxSum>(i);
        Scene s = verifying(false);
        s.lab.port_entry(s.vm1).trusted_sums = packet::set_of(believed);
        s.lab.publish();
        for (const auto& [sum, inner] : wrong)
            EXPECT_EQ(sent(s, inner).udp_checksum_right, sum != believed);
    }
}

}  // namespace
}  // namespace vxplane::support
