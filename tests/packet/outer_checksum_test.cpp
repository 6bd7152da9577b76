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

}  // namespace
}  // namespace vxplane::support
