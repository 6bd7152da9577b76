// How long a frame may be at each gate, with no, one and two VLAN tags; and that what does not pass
// the last gate does not count as delivered.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint16_t kMtu = 1400;
constexpr std::size_t kFull = kMtu + 14;

/// `size` bytes, with so many tags, from host `from`.
Frame sized(std::uint8_t from, net::MacAddress to, unsigned tags, std::size_t size) {
    Frame frame = a_frame().from(host(from)).to(to);
    if (tags == 2) frame.vlan(5, 0x88A8);
    if (tags >= 1) frame.vlan(6);
    return frame.ipv4().udp(1000, 2000).payload(size - 42 - 4 * std::size_t{tags});
}

/// Segment red and the member ports take kMtu; tags are allowed.
SceneWords tagged() {
    SceneWords words;
    words.red.inner_vlan = true;
    words.red.mtu = kMtu;
    words.access.mtu = kMtu;
    return words;
}

TEST(Size, VX20_tags_are_no_part_of_the_mtu_however_many) {
    Scene s(tagged());
    for (const unsigned tags : {0U, 1U, 2U}) {
        const std::size_t full = kFull + 4 * std::size_t{tags};
        const Frame out = sized(1, host(12), tags, full);
        ASSERT_EQ(out.size(), full);
        Golden(s.lab, s.vm1, out)
            .out(s.up, s.to_remote(out))
            .tunnelled(s.red, 1, full)
            .uncut()
            .check();
        const Frame across = sized(1, host(2), tags, full);
        Golden(s.lab, s.vm1, across).out(s.vm2, across).uncut().check();
        const Frame in = sized(12, host(1), tags, full);
        Golden(s.lab, s.up, s.from_remote(in)).out(s.vm1, in).arrived(s.red, full).uncut().check();
    }
}

TEST(Size, one_byte_more_is_too_long_where_it_arrives) {
    Scene s(tagged());
    for (const unsigned tags : {0U, 1U, 2U})
        Golden(s.lab, s.vm1, sized(1, host(12), tags, kFull + 4 * std::size_t{tags} + 1))
            .drops(DropReason::eth_too_long)
            .uncut()
            .check();
}

TEST(Size, one_byte_more_is_too_long_for_the_segment) {
    SceneWords words = tagged();
    words.access.mtu = 1500;
    Scene s(words);
    for (const unsigned tags : {0U, 1U, 2U})
        Golden(s.lab, s.vm1, sized(1, host(12), tags, kFull + 4 * std::size_t{tags} + 1))
            .drops(DropReason::tunnel_oversize)
            .counts("segment.red.oversize", 1)
            .uncut()
            .check();
}

TEST(Size, one_byte_more_is_too_long_for_the_member_and_was_not_delivered) {
    Scene s(tagged());
    for (const unsigned tags : {0U, 1U, 2U}) {
        const Frame inner = sized(12, host(1), tags, kFull + 4 * std::size_t{tags} + 1);
        Golden(s.lab, s.up, s.from_remote(inner)).drops(DropReason::port_oversize).uncut().check();
    }
}

TEST(Size, a_flooded_frame_counts_as_delivered_once_if_anybody_got_it) {
    Scene s(tagged());
    const auto all = net::MacAddress::broadcast();
    const Frame large = sized(12, all, 0, kFull + 1);
    Golden(s.lab, s.up, s.from_remote(large))
        .drops(DropReason::port_oversize, 2)
        .flooded(s.red, 1)
        .uncut()
        .check();
    s.lab.port_entry(s.vm2).max_frame = kFull + 1;
    s.lab.publish();
    Golden(s.lab, s.up, s.from_remote(large))
        .out(s.vm2, large)
        .drops(DropReason::port_oversize)
        .flooded(s.red, 1)
        .arrived(s.red, kFull + 1)
        .uncut()
        .check();
    const Frame fits = sized(12, all, 0, kFull);
    Golden(s.lab, s.up, s.from_remote(fits))
        .out(s.vm1, fits)
        .out(s.vm2, fits)
        .flooded(s.red, 1)
        .arrived(s.red, kFull)
        .uncut()
        .check();
}

TEST(Size, RP07_what_the_twin_cannot_take_is_dropped_not_cut) {
    SceneWords words;
    words.twin = true;
    Scene s(words);
    s.lab.port_entry(s.host_twin).max_frame = kFull;
    s.lab.publish();
    const auto to_host = [&](unsigned tags, std::size_t size) {
        return sized(2, s.local_mac, tags, size);
    };
    for (const unsigned tags : {0U, 1U, 2U}) {
        const std::size_t full = kFull + 4 * std::size_t{tags};
        Golden(s.lab, s.up, to_host(tags, full))
            .out(s.host_twin, to_host(tags, full))
            .uncut()
            .check();
        Golden(s.lab, s.up, to_host(tags, full + 1))
            .drops(DropReason::port_oversize)
            .uncut()
            .check();
    }
}

}  // namespace
}  // namespace vxplane::support
