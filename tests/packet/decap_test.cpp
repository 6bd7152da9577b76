// What becomes of a packet that comes out of a tunnel, and which are refused.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

Frame inner_frame() {
    return small_from(12, host(1));
}

/// From 10.0.0.2 to us with a changed outer IPv4 header.
Frame with_outer(const Scene& s, const Ip4& outer) {
    return s.from_remote(inner_frame(), 2, {}, outer);
}

/// A UDP message to us that is not what from_remote() makes.
Frame udp_to_us(const Scene& s, std::uint16_t port, Udp udp, const Bytes& payload) {
    return a_frame()
        .to(s.local_mac)
        .from(Scene::remote_mac(2))
        .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal})
        .udp(40000, port, udp)
        .payload(payload);
}

Bytes vxlan_bytes(const Vxlan& header, const Bytes& inner) {
    const Bytes frame = a_frame().vxlan(header, inner).bytes();
    return {frame.begin() + 14, frame.end()};
}

TEST(VxlanDecap, delivers_the_inner_frame_unchanged) {
    Scene s;
    for (const std::size_t payload : {0, 18, 19, 700, 1410}) {
        const Frame inner = a_frame().to(host(1)).from(host(12)).ipv4().tcp(1, 2).payload(payload);
        Golden(s.lab, s.up, s.from_remote(inner))
            .out(s.vm1, inner)
            .arrived(s.red, inner.size())
            .check();
    }
}

TEST(VxlanDecap, bytes_behind_the_udp_message_are_not_part_of_the_frame) {
    Scene s;
    Bytes padded = s.from_remote(inner_frame()).bytes();
    padded.insert(padded.end(), 9, 0xEE);
    Golden(s.lab, s.up, raw_frame(padded)).out(s.vm1, inner_frame()).arrived(s.red, 60).check();
}

TEST(VxlanDecap, options_of_the_outer_header_are_skipped) {
    Scene s;
    Golden(s.lab, s.up, with_outer(s, {.options = Bytes(8, 1)}))
        .out(s.vm1, inner_frame())
        .arrived(s.red, 60)
        .check();
}

TEST(VxlanDecap, VX31_other_udp_and_other_addresses_are_the_hosts) {
    Scene s;
    Golden(s.lab, s.up, udp_to_us(s, 4790, {}, vxlan_bytes({}, inner_frame().bytes())))
        .drops(DropReason::host_unclaimed)
        .check();
    Golden(s.lab, s.up,
           a_frame()
               .to(s.local_mac)
               .from(Scene::remote_mac(2))
               .ipv4({.source = "10.0.0.2", .destination = "10.0.0.99"})
               .udp(40000, 4789)
               .vxlan({}, inner_frame()))
        .drops(DropReason::host_unclaimed)
        .check();
}

TEST(VxlanDecap, VX32_drops_header_without_I_flag) {
    Scene s;
    for (const std::uint8_t flags : {0x00, 0xF7, 0x80})
        Golden(s.lab, s.up, s.from_remote(inner_frame(), 2, {.flags = flags}))
            .drops(DropReason::vxlan_no_vni_flag)
            .check();
}

TEST(VxlanDecap, VX33_drops_header_with_a_reserved_bit) {
    Scene s;
    for (unsigned bit = 0; bit < 8; ++bit) {
        const auto flag = static_cast<std::uint8_t>(1U << bit);
        if (flag != 0x08)
            Golden(s.lab, s.up,
                   s.from_remote(inner_frame(), 2, {.flags = static_cast<std::uint8_t>(8 | flag)}))
                .drops(DropReason::vxlan_reserved_bits)
                .uncut()
                .check();
        Golden(s.lab, s.up, s.from_remote(inner_frame(), 2, {.last = flag}))
            .drops(DropReason::vxlan_reserved_bits)
            .uncut()
            .check();
    }
    for (unsigned bit = 0; bit < 24; ++bit)
        Golden(s.lab, s.up, s.from_remote(inner_frame(), 2, {.reserved = 1U << bit}))
            .drops(DropReason::vxlan_reserved_bits)
            .uncut()
            .check();
}

TEST(VxlanDecap, VX33_ignored_bits_pass_and_masked_ones_are_judged) {
    Scene s;
    table::Segment& red = s.lab.segment_entry(s.red);
    const auto passes = [&](Vxlan header) {
        Golden(s.lab, s.up, s.from_remote(inner_frame(), 2, header))
            .out(s.vm1, inner_frame())
            .arrived(s.red, 60)
            .uncut()
            .check();
    };
    const auto is_refused = [&](Vxlan header, DropReason why = DropReason::vxlan_reserved_bits) {
        Golden(s.lab, s.up, s.from_remote(inner_frame(), 2, header)).drops(why).uncut().check();
    };
    red.reserved_flags = red.reserved_vni = 0;
    s.lab.publish();
    for (const Vxlan header :
         {Vxlan{.flags = 0xFF}, Vxlan{.reserved = 0xFFFFFF}, Vxlan{.last = 0xFF}})
        passes(header);
    is_refused({.flags = 0xF7}, DropReason::vxlan_no_vni_flag);
    // What one segment lets pass, another refuses, however alike the headers are.
    passes({.flags = 0x88});
    is_refused({.vni = 8, .flags = 0x88});
    is_refused({.vni = 6, .flags = 0x88}, DropReason::vxlan_unknown_vni);

    red.reserved_flags = 0x80000000;
    red.reserved_vni = 0x01;
    s.lab.publish();
    passes({.flags = 0x48});
    passes({.last = 0xFE});
    is_refused({.flags = 0x88});
    is_refused({.last = 0x01});
}

TEST(VxlanDecap, VX34_drops_a_vni_that_is_not_configured) {
    Scene s;
    for (const std::uint32_t vni : {0U, 6U, 9U, 0xFFFFFFU})
        Golden(s.lab, s.up, s.from_remote(inner_frame(), 2, {.vni = vni}))
            .drops(DropReason::vxlan_unknown_vni)
            .check();
}

TEST(VxlanDecap, VX35_drops_what_is_too_short_for_an_inner_frame) {
    Scene s;
    for (std::size_t size = 0; size < 22; ++size) {
        const Bytes whole = vxlan_bytes({}, inner_frame().bytes());
        const Bytes payload(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        Golden(s.lab, s.up, udp_to_us(s, 4789, {.checksum = 0}, payload))
            .drops(DropReason::vxlan_too_short)
            .check();
        // The UDP length decides, not the frame's.
        Golden(s.lab, s.up,
               udp_to_us(s, 4789, {.length = static_cast<std::uint16_t>(8 + size), .checksum = 0},
                         whole))
            .drops(DropReason::vxlan_too_short)
            .uncut()
            .check();
    }
}

TEST(VxlanDecap, VX36_drops_the_mac_address_of_the_vtep_itself) {
    Scene s;
    const Frame inner = small(host(1)).from(SegmentWords{}.own_mac);
    Golden(s.lab, s.up, s.from_remote(inner)).drops(DropReason::vxlan_own_mac).check();
}

TEST(VxlanDecap, VX37_drops_a_source_that_is_zero_or_a_group) {
    Scene s;
    for (const char* source : {"00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"})
        Golden(s.lab, s.up, s.from_remote(small(host(1)).from(mac(source))))
            .drops(DropReason::vxlan_bad_source_mac)
            .check();
}

TEST(VxlanDecap, link_local_groups_do_not_cross_the_tunnel) {
    Scene s;
    Golden(s.lab, s.up, s.from_remote(small_from(12, mac("01:80:c2:00:00:0e"))))
        .drops(DropReason::eth_link_local)
        .check();
}

TEST(VxlanDecap, VX38_outer_udp_checksum_is_absent_or_right) {
    Scene s;
    const Bytes payload = vxlan_bytes({}, inner_frame().bytes());
    Golden(s.lab, s.up, udp_to_us(s, 4789, {}, payload))
        .out(s.vm1, inner_frame())
        .arrived(s.red, 60)
        .check();
    Golden(s.lab, s.up, udp_to_us(s, 4789, {.checksum = 0x1234}, payload))
        .drops(DropReason::udp_bad_checksum)
        .check();
    for (std::size_t size = 50; size < 70; ++size) {
        const Frame inner = a_frame().to(host(1)).from(host(12)).payload(Bytes(size, 0xF9));
        Golden(s.lab, s.up, udp_to_us(s, 4789, {}, vxlan_bytes({}, inner.bytes())))
            .out(s.vm1, inner)
            .arrived(s.red, inner.size())
            .uncut()
            .check();
    }
    // An odd number of bytes, too.
    const Bytes odd = vxlan_bytes({}, a_frame().to(host(1)).from(host(12)).payload(47).bytes());
    Golden(s.lab, s.up, udp_to_us(s, 4789, {}, odd))
        .out(s.vm1, a_frame().to(host(1)).from(host(12)).payload(47))
        .arrived(s.red, 61)
        .check();
}

TEST(VxlanDecap, VX39_fragments_are_not_decapsulated) {
    Scene s;
    for (const std::uint16_t fragment : {0x2000, 0x0001, 0x2001})
        Golden(s.lab, s.up, with_outer(s, {.fragment = fragment}))
            .drops(DropReason::outer_fragment)
            .check();
    Golden(s.lab, s.up, with_outer(s, {.fragment = 0x4000}))
        .out(s.vm1, inner_frame())
        .arrived(s.red, 60)
        .check();
}

TEST(VxlanDecap, VX40_congestion_is_told_inside_as_rfc_6040_says) {
    // [inner][outer]; 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE; 9 is a drop.
    constexpr std::uint8_t kResult[4][4] = {{0, 0, 0, 9}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
    SceneWords words;
    words.red.inner_vlan = true;
    Scene s(words);
    for (std::uint8_t inner = 0; inner < 4; ++inner) {
        for (std::uint8_t outer = 0; outer < 4; ++outer) {
            const std::uint8_t result = kResult[inner][outer];
            const auto expect = [&](const Frame& before, const Frame& after) {
                Golden golden(s.lab, s.up, s.from_remote(before, 2, {}, {.tos = outer}));
                if (result == 9)
                    golden.drops(DropReason::vxlan_ecn_lost);
                else
                    golden.out(s.vm1, after).arrived(s.red, after.size());
                // Figure 4 of RFC 6040: currently unused, and worth a count.
                if (inner == 0 && (outer == 1 || outer == 2))
                    golden.counts("segment.red.ecn_odd", 1);
                golden.uncut().check();
            };
            const auto v4 = [](std::uint8_t ecn) {
                return small_from(12, host(1), static_cast<std::uint8_t>(0xB8 | ecn));
            };
            const auto v6 = [](std::uint8_t ecn) {
                return a_frame()
                    .to(host(1))
                    .from(host(12))
                    .ipv6({.traffic_class = static_cast<std::uint8_t>(0xB8 | ecn),
                           .flow_label = 0xABCDE})
                    .udp(1, 2)
                    .payload(20);
            };
            expect(v4(inner), v4(result));
            expect(v6(inner), v6(result));
            expect(v4(inner).vlan(5), v4(result).vlan(5));
        }
    }
}

TEST(VxlanDecap, VX41_congestion_is_not_told_to_what_is_not_ip) {
    Scene s;
    const Frame inner = a_frame().to(host(1)).from(host(12)).payload(46);
    for (std::uint8_t outer = 0; outer < 4; ++outer)
        Golden(s.lab, s.up, s.from_remote(inner, 2, {}, {.tos = outer}))
            .out(s.vm1, inner)
            .arrived(s.red, 60)
            .uncut()
            .check();
}

TEST(VxlanDecap, VX44_drops_packets_from_our_own_address) {
    Scene s;
    Frame frame = a_frame()
                      .to(s.local_mac)
                      .from(Scene::remote_mac(2))
                      .ipv4({.source = Scene::kLocal, .destination = Scene::kLocal})
                      .udp(40000, 4789, {.checksum = 0})
                      .vxlan({}, inner_frame());
    Golden(s.lab, s.up, frame).drops(DropReason::outer_own_vtep).check();
}

TEST(VxlanDecap, VX45_tagged_inner_frames_pass_only_where_tags_are_allowed) {
    const Frame tagged = inner_frame().vlan(5);
    const Frame twice = inner_frame().vlan(5, 0x88A8).vlan(6);
    Scene strict;
    Golden(strict.lab, strict.up, strict.from_remote(tagged))
        .drops(DropReason::vxlan_inner_vlan)
        .check();
    SceneWords words;
    words.red.inner_vlan = true;
    Scene allowed(words);
    for (const Frame& frame : {tagged, twice})
        Golden(allowed.lab, allowed.up, allowed.from_remote(frame))
            .out(allowed.vm1, frame)
            .arrived(allowed.red, frame.size())
            .check();
}

TEST(VxlanDecap, VX48_drops_inner_ip_without_a_whole_header) {
    Scene s;
    for (const std::uint16_t type : {0x0800, 0x86DD}) {
        const std::size_t header = type == 0x0800 ? 20 : 40;
        const auto inner = [&](std::size_t size) {
            return a_frame().to(host(1)).from(host(12)).type(type).payload(size);
        };
        for (std::size_t size = 0; size < header; size += 3)
            Golden(s.lab, s.up, s.from_remote(inner(size)))
                .drops(DropReason::vxlan_inner_truncated)
                .check();
        // A version that does not fit is the endpoint's business.
        Golden(s.lab, s.up, s.from_remote(inner(header)))
            .out(s.vm1, inner(header))
            .arrived(s.red, 14 + header)
            .check();
    }
}

TEST(VxlanDecap, a_frame_too_long_for_its_port_is_dropped) {
    Scene s;
    s.lab.port_entry(s.vm1).max_frame = 100;
    s.lab.publish();
    const Frame inner = a_frame().to(host(1)).from(host(12)).payload(87);
    Golden(s.lab, s.up, s.from_remote(inner)).drops(DropReason::port_oversize).check();
    const Frame fits = a_frame().to(host(1)).from(host(12)).payload(86);
    Golden(s.lab, s.up, s.from_remote(fits)).out(s.vm1, fits).arrived(s.red, 100).check();
}

TEST(VxlanDecap, RP08_each_fault_of_the_outer_ipv4_header_has_its_own_reason) {
    Scene s;
    const auto drops = [&](const Ip4& outer, DropReason reason) {
        Golden(s.lab, s.up, with_outer(s, outer)).drops(reason).check();
    };
    drops({.version_ihl = 0x55}, DropReason::ip4_bad_version);
    drops({.version_ihl = 0x44}, DropReason::ip4_bad_header_length);
    drops({.total_length = 19}, DropReason::ip4_bad_total_length);
    drops({.total_length = 1000}, DropReason::ip4_bad_total_length);
    drops({.checksum = 0x1234}, DropReason::ip4_bad_checksum);
    drops({.total_length = 27}, DropReason::udp_bad_length);
    // A header that says more than there is.
    Bytes bytes = with_outer(s, {}).bytes();
    bytes.resize(14 + 20);
    bytes[14] = 0x4F;
    Golden(s.lab, s.up, raw_frame(bytes)).drops(DropReason::ip4_bad_header_length).check();
    bytes.resize(14 + 19);
    Golden(s.lab, s.up, raw_frame(bytes)).drops(DropReason::ip4_truncated).check();
    // No host can have these addresses.
    for (const char* source : {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"})
        Golden(s.lab, s.up,
               a_frame()
                   .to(s.local_mac)
                   .ipv4({.source = source, .destination = Scene::kLocal})
                   .udp(40000, 4789)
                   .vxlan({}, inner_frame()))
            .drops(DropReason::ip4_bad_source)
            .uncut()
            .check();
}

TEST(VxlanDecap, RP08_udp_length_must_fit_the_packet) {
    Scene s;
    const Bytes payload = vxlan_bytes({}, inner_frame().bytes());
    for (const std::size_t length : {std::size_t{0}, std::size_t{7}, payload.size() + 9})
        Golden(s.lab, s.up,
               udp_to_us(s, 4789, {.length = static_cast<std::uint16_t>(length), .checksum = 0},
                         payload))
            .drops(DropReason::udp_bad_length)
            .check();
}

TEST(VxlanDecap, a_nics_verdict_on_checksums_counts_only_where_it_is_trusted) {
    Scene s;
    // The mbuf says nothing of checksums here, so they are looked at even on a trusted port.
    s.lab.port_entry(s.up).trusted_sums = packet::kAllRxSums;
    s.lab.publish();
    Golden(s.lab, s.up, with_outer(s, {.checksum = 0x1234}))
        .drops(DropReason::ip4_bad_checksum)
        .check();
}

}  // namespace
}  // namespace vxplane::support
