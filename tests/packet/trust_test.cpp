// Whom the data plane believes: senders that cannot be, VNIs that nobody configured, and what a NIC
// says of checksums.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

Frame trusted_frame() {
    return small_from(12, host(1));
}

/// A tunnel packet to us with a source of its own.
Frame from_source(const Scene& s, const char* source) {
    return a_frame()
        .to(s.local_mac)
        .from(Scene::remote_mac(2))
        .ipv4({.source = source, .destination = Scene::kLocal})
        .udp(40000, 4789, {.checksum = 0})
        .vxlan({}, trusted_frame());
}

TEST(Trust, no_vtep_has_the_network_or_broadcast_address_of_an_own_subnet) {
    Scene s;
    s.lab.no_host(ip("10.0.0.0"));
    s.lab.no_host(ip("10.0.0.255"));
    s.lab.publish();
    for (const char* source : {"10.0.0.0", "10.0.0.255"})
        Golden(s.lab, s.up, from_source(s, source)).drops(DropReason::ip4_bad_source).check();
    // Of another network nobody knows the broadcast address.
    Golden(s.lab, s.up, from_source(s, "10.0.1.255"))
        .out(s.vm1, trusted_frame())
        .arrived(s.red, 60)
        .learns_behind("10.0.1.255")
        .uncut()
        .check();
}

TEST(Trust, a_packet_to_a_broadcast_address_of_ours_is_the_hosts) {
    Scene s;
    s.lab.no_host(ip("10.0.0.255"));
    s.lab.publish();
    Golden(s.lab, s.up,
           a_frame()
               .to(s.local_mac)
               .ipv4({.source = "10.0.0.2", .destination = "10.0.0.255"})
               .udp(40000, 4789, {.checksum = 0})
               .vxlan({}, trusted_frame()))
        .drops(DropReason::host_unclaimed)
        .check();
}

using SourceVnis = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

SourceVnis unknown(Scene& s) {
    SourceVnis all;
    s.lab.worker().unknown_vnis().for_each([&](const step::UnknownVnis::Sample& sample) {
        all.emplace_back(sample.vni.number, sample.source.v4().number());
    });
    std::sort(all.begin(), all.end());
    return all;
}

TEST(Trust, VX34_an_unknown_vni_is_remembered_with_its_sender) {
    Scene s;
    const auto arrives = [&](std::uint32_t vni, unsigned from) {
        const Seen seen = s.lab.receive(s.up, s.from_remote(trusted_frame(), from, {.vni = vni}));
        EXPECT_EQ(seen.only_reason(), DropReason::vxlan_unknown_vni);
        expect_law(seen);
    };
    s.lab.receive(s.up, s.from_remote(trusted_frame()));
    EXPECT_TRUE(unknown(s).empty()) << "VNI 7 is known";
    for (int again = 0; again < 100; ++again) arrives(0, 2);
    arrives(0xFFFFFF, 2);
    arrives(0xFFFFFF, 3);
    EXPECT_EQ(unknown(s), (SourceVnis{{0, ip("10.0.0.2").number()},
                                      {0xFFFFFF, ip("10.0.0.2").number()},
                                      {0xFFFFFF, ip("10.0.0.3").number()}}));
}

TEST(Trust, VX34_the_last_64_are_kept) {
    Scene s;
    std::vector<Bytes> frames;
    for (std::uint32_t vni = 100; vni < 200; ++vni)
        for (int twice = 0; twice < 2; ++twice)
            frames.push_back(s.from_remote(trusted_frame(), 2, {.vni = vni}).bytes());
    expect_law(s.lab.receive(s.up, frames));
    SourceVnis last;
    for (std::uint32_t vni = 136; vni < 200; ++vni) last.emplace_back(vni, ip("10.0.0.2").number());
    EXPECT_EQ(unknown(s), last);
}

// What a NIC says, and what the sum in the packet is.
struct ChecksumCase {
    bool trusts;
    std::uint64_t flags;
    bool right;
    bool passes;
};

void expect_judged(const ChecksumCase& one, const Frame& frame, DropReason reason) {
    SceneWords words;
    words.underlay.trusts_checksum = one.trusts;
    Scene s(words);
    s.lab.rx_flags = one.flags;
    const Seen seen = s.lab.receive(s.up, frame);
    expect_law(seen);
    note_reasons(seen);
    EXPECT_EQ(seen.sent_by(s.vm1).size(), one.passes ? 1U : 0U)
        << "trusts " << one.trusts << " flags " << one.flags << " right " << one.right;
    EXPECT_EQ(seen.only_reason(), one.passes ? DropReason::none : reason);
}

TEST(Trust, VX38_only_a_nic_that_is_trusted_and_says_good_spares_the_sum_of_udp) {
    constexpr std::uint64_t kGood = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    constexpr std::uint64_t kBad = RTE_MBUF_F_RX_L4_CKSUM_BAD;
    constexpr std::uint64_t kNone = RTE_MBUF_F_RX_L4_CKSUM_NONE;
    for (const ChecksumCase one : std::initializer_list<ChecksumCase>{
             {true, kGood, true, true},
             {true, kGood, false, true},
             {true, kBad, true, true},
             {true, kBad, false, false},
             {true, kNone, true, true},
             {true, kNone, false, false},
             {true, 0, true, true},
             {true, 0, false, false},
             {false, kGood, true, true},
             {false, kGood, false, false},
             {false, kBad, true, true},
             // Good for the header says nothing of the message.
             {true, RTE_MBUF_F_RX_IP_CKSUM_GOOD, false, false},
         }) {
        Udp udp;
        if (!one.right) udp.checksum = 0x1234;
        expect_judged(one,
                      a_frame()
                          .to(mac("02:00:00:aa:00:01"))
                          .from(Scene::remote_mac(2))
                          .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal})
                          .udp(40000, 4789, udp)
                          .vxlan({}, trusted_frame()),
                      DropReason::udp_bad_checksum);
    }
}

/// Segment red is there over IPv6, too.
SceneWords words_of_both() {
    SceneWords words;
    words.red.ipv6 = true;
    return words;
}

TEST(Trust, VX38_of_a_tunnel_packet_only_the_outer_verdict_spares_the_outer_sum) {
    constexpr std::uint64_t kInner = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    constexpr std::uint64_t kOuter = RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD;
    SceneWords words = words_of_both();
    words.underlay.trusts_checksum = true;
    Scene s(words);
    s.lab.own(address("2001:db8::1"), s.up);
    const auto packet = [&](bool over6, Ip4 outer) {
        const Frame frame = a_frame().to(s.local_mac).from(Scene::remote_mac(2));
        return (over6 ? Frame(frame).ipv6({.source = "2001:db8::2", .destination = "2001:db8::1"})
                      : Frame(frame).ipv4(outer))
            .udp(40000, 4789, {.checksum = 0x1234})
            .vxlan({}, trusted_frame());
    };
    Ip4 right{.source = "10.0.0.2", .destination = Scene::kLocal};
    Ip4 wrong = right;
    wrong.checksum = 0x1234;
    for (const std::uint32_t type : {std::uint32_t{0}, std::uint32_t{RTE_PTYPE_TUNNEL_VXLAN}}) {
        for (const std::uint64_t flags : {kInner, kOuter, kInner | kOuter}) {
            s.lab.rx_type = type;
            s.lab.rx_flags = flags;
            const bool said = (flags & (type == 0 ? kInner : kOuter)) != 0;
            for (const bool over6 : {false, true}) {
                const Seen seen = s.lab.receive(s.up, packet(over6, right));
                EXPECT_EQ(seen.only_reason(),
                          said ? DropReason::none : DropReason::udp_bad_checksum)
                    << type << " " << flags << " " << over6;
                EXPECT_EQ(seen.sent_by(s.vm1).size(), said ? 1U : 0U);
            }
            // Of the outer IPv4 header of a tunnel packet devices never say "good".
            const bool header = type == 0 && (flags & kInner) != 0;
            EXPECT_EQ(s.lab.receive(s.up, packet(false, wrong)).only_reason(),
                      header ? DropReason::none : DropReason::ip4_bad_checksum);
        }
    }
}

TEST(Trust, VX38_a_device_is_believed_about_each_kind_of_sum_by_itself) {
    Scene s(words_of_both());
    s.lab.own(address("2001:db8::1"), s.up);
    s.lab.rx_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    const auto reason = [&](packet::RxSum believed, const Frame& ip) {
        s.lab.port_entry(s.up).trusted_sums = packet::set_of(believed);
        s.lab.publish();
        return s.lab
            .receive(s.up,
                     Frame(ip).udp(40000, 4789, {.checksum = 0x1234}).vxlan({}, trusted_frame()))
            .only_reason();
    };
    const Frame begin = a_frame().to(s.local_mac).from(Scene::remote_mac(2));
    const Frame over4 = Frame(begin).ipv4({.source = "10.0.0.2", .destination = Scene::kLocal});
    const Frame over6 = Frame(begin).ipv6({.source = "2001:db8::2", .destination = "2001:db8::1"});
    for (std::size_t i = 0; i < packet::kRxSums; ++i) {
        const auto sum = static_cast<packet::RxSum>(i);
        EXPECT_EQ(reason(sum, over4),
                  sum == packet::RxSum::udp4 ? DropReason::none : DropReason::udp_bad_checksum);
        EXPECT_EQ(reason(sum, over6),
                  sum == packet::RxSum::udp6 ? DropReason::none : DropReason::udp_bad_checksum);
    }
}

TEST(Trust, only_a_nic_that_is_trusted_and_says_good_spares_the_sum_of_ipv4) {
    constexpr std::uint64_t kGood = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    constexpr std::uint64_t kBad = RTE_MBUF_F_RX_IP_CKSUM_BAD;
    constexpr std::uint64_t kNone = RTE_MBUF_F_RX_IP_CKSUM_NONE;
    for (const ChecksumCase one : std::initializer_list<ChecksumCase>{
             {true, kGood, false, true},
             {true, kBad, true, true},
             {true, kBad, false, false},
             {true, kNone, true, true},
             {true, kNone, false, false},
             {true, 0, false, false},
             {false, kGood, false, false},
             {false, kBad, true, true},
             {true, RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, false},
         }) {
        Ip4 outer{.source = "10.0.0.2", .destination = Scene::kLocal};
        if (!one.right) outer.checksum = 0x1234;
        expect_judged(one,
                      a_frame()
                          .to(mac("02:00:00:aa:00:01"))
                          .from(Scene::remote_mac(2))
                          .ipv4(outer)
                          .udp(40000, 4789, {.checksum = 0})
                          .vxlan({}, trusted_frame()),
                      DropReason::ip4_bad_checksum);
    }
}

}  // namespace
}  // namespace vxplane::support
