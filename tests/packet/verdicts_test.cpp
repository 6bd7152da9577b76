// A device is believed about checksums only after what it said was compared with what they are.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint64_t kAllGood = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;

/// By packet::RxSum, and behind them what is wrong.
using Says = std::array<std::uint64_t, packet::kRxSums + 1>;

struct TryingScene : Scene {
    TryingScene() : Scene(over_both()) {
        lab.own(address("2001:db8::1"), up);
        for (const PortId port : {up, vm1}) lab.port_entry(port).watches_sums = true;
        lab.receive(vm1, small_from(1, host(2)));  // starts the worker
        lab.rx_flags = kAllGood;
    }
    static SceneWords over_both() {
        SceneWords words;
        words.red.ipv6 = true;
        return words;
    }
    [[nodiscard]] Frame packet(Udp udp = {}, Ip4 outer = {}) const {
        outer.source = "10.0.0.2";
        outer.destination = kLocal;
        return a_frame()
            .to(local_mac)
            .from(remote_mac(2))
            .ipv4(outer)
            .udp(40000, 4789, udp)
            .vxlan({}, small_from(12, host(1)));
    }
    [[nodiscard]] Frame packet6(Udp udp = {}) const {
        return a_frame()
            .to(local_mac)
            .from(remote_mac(2))
            .ipv6({.source = "2001:db8::2", .destination = "2001:db8::1"})
            .udp(40000, 4789, udp)
            .vxlan({}, small_from(12, host(1)));
    }
    /// Which verdicts were found right of one more frame, and whether one was found wrong.
    Says says(PortId port, const Frame& frame, Memory memory = Memory::pool) {
        const Says before = counted(port);
        last = lab.receive(port, frame, memory);
        expect_law(last);
        Says now = counted(port);
        for (std::size_t i = 0; i < now.size(); ++i) now[i] -= before[i];
        return now;
    }
    Seen last{};

  private:
    [[nodiscard]] Says counted(PortId port) {
        const path::VerdictCounters& counters = lab.worker().counters().verdicts[port];
        Says all{};
        for (std::size_t i = 0; i < packet::kRxSums; ++i) all[i] = counters.right[i].get();
        all.back() = counters.wrong.get();
        return all;
    }
};

Says right_are(std::initializer_list<packet::RxSum> sums) {
    Says says{};
    for (const packet::RxSum sum : sums) says[static_cast<std::size_t>(sum)] = 1;
    return says;
}
Says and_one_wrong(Says says) {
    says.back() = 1;
    return says;
}
using packet::RxSum;
const Says kNothing{};
const Says kHeader = right_are({RxSum::ipv4});
const Says kRight4 = right_are({RxSum::ipv4, RxSum::udp4});
const Says kRight6 = right_are({RxSum::udp6});
const Says kWrong4 = and_one_wrong(kHeader);
const Says kWrong = and_one_wrong({});

TEST(Verdicts, VX38_those_of_outer_headers_are_compared_and_a_wrong_one_lets_nothing_pass) {
    TryingScene s;
    for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
        EXPECT_EQ(s.says(s.up, s.packet(), memory), kRight4);
        EXPECT_EQ(s.says(s.up, s.packet6(), memory), kRight6);
        EXPECT_EQ(s.last.sent_by(s.vm1).size(), 1U);
        EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0x1234}), memory), kWrong4);
        EXPECT_EQ(s.last.only_reason(), DropReason::udp_bad_checksum);
        EXPECT_EQ(s.says(s.up, s.packet6({.checksum = 0x1234}), memory), kWrong);
        EXPECT_EQ(s.last.only_reason(), DropReason::udp_bad_checksum);
        EXPECT_EQ(s.says(s.up, s.packet({}, {.checksum = 0x1234}), memory), kWrong);
        EXPECT_EQ(s.last.only_reason(), DropReason::ip4_bad_checksum);
    }
}

TEST(Verdicts, those_of_tenants_frames_are_compared_each_kind_by_itself) {
    TryingScene s;
    const auto from = [](Frame frame) { return frame.from(host(1)).to(host(2)); };
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().udp(1, 2).payload(18))), kRight4);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().tcp(1, 2).payload(18))),
              right_are({RxSum::ipv4, RxSum::tcp4}));
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv6().tcp(1, 2).payload(18))),
              right_are({RxSum::tcp6}));
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv6().udp(1, 2).payload(18))), kRight6);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().icmp_echo().payload(18))), kHeader);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().tcp(1, 2, {.checksum = 7}).payload(18))),
              kWrong4);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv6().udp(1, 2, {.checksum = 7}).payload(18))), kWrong);
}

TEST(Verdicts, a_device_that_looks_into_tunnels_speaks_of_the_inner_sums_by_the_usual_flags) {
    TryingScene s;
    for (const std::uint32_t type :
         {std::uint32_t{RTE_PTYPE_TUNNEL_VXLAN}, std::uint32_t{RTE_PTYPE_INNER_L4_TCP}}) {
        s.lab.rx_type = type;
        s.lab.rx_flags = kAllGood;
        EXPECT_EQ(s.says(s.up, s.packet()), kNothing);
        EXPECT_EQ(s.says(s.up, s.packet6()), kNothing);
        // No lie: nothing was said of the outer headers.
        EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0x1234})), kNothing);
        EXPECT_EQ(s.says(s.up, s.packet6({.checksum = 0x1234})), kNothing);
        EXPECT_EQ(s.says(s.up, s.packet({}, {.checksum = 0x1234})), kNothing);
        s.lab.rx_flags = kAllGood | RTE_MBUF_F_RX_OUTER_L4_CKSUM_BAD;
        EXPECT_EQ(s.says(s.up, s.packet()), kNothing);
        s.lab.rx_flags = RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD;
        EXPECT_EQ(s.says(s.up, s.packet()), right_are({RxSum::udp4}));
        EXPECT_EQ(s.says(s.up, s.packet6()), kRight6);
        EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0x1234})), kWrong);
        EXPECT_EQ(s.says(s.up, s.packet6({.checksum = 0x1234})), kWrong);
    }
    s.lab.rx_type = 0;
    EXPECT_EQ(s.says(s.up, s.packet()), kNothing);
}

/// `bytes` more behind what the IP header says.
Frame padded(const Frame& frame, std::size_t bytes) {
    Bytes all = frame.bytes();
    all.insert(all.end(), bytes, 0x5A);
    return raw_frame(all);
}

TEST(Verdicts, what_no_verdict_is_about_is_left_out_so_that_no_sender_can_refute_a_device) {
    TryingScene s;
    constexpr std::uint16_t kBad = 0x1234;
    const auto from = [](Frame frame) { return frame.from(host(1)).to(host(2)); };
    const auto says = [&](const Frame& frame) { return s.says(s.vm1, frame); };
    // Without a checksum.
    EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0})), kHeader);
    EXPECT_EQ(s.says(s.up, s.packet6({.checksum = 0})), kNothing);
    EXPECT_EQ(says(from(a_frame().arp())), kNothing);
    // Lengths that disagree, whichever of the two the device went by.
    for (const std::uint16_t length : {0, 7, 9, 25, 27, 0xFFFF}) {
        for (const std::uint16_t sum : {kBad, std::uint16_t{0x4321}}) {
            EXPECT_EQ(
                says(from(
                    a_frame().ipv4().udp(1, 2, {.length = length, .checksum = sum}).payload(18))),
                kHeader);
            EXPECT_EQ(
                says(from(
                    a_frame().ipv6().udp(1, 2, {.length = length, .checksum = sum}).payload(18))),
                kNothing);
        }
    }
    // Fragments, the first with ports and a sum of more than is there.
    for (const std::uint16_t fragment : {0x2000, 0x2001, 0x0001})
        EXPECT_EQ(
            says(from(
                a_frame().ipv4({.fragment = fragment}).udp(1, 2, {.checksum = kBad}).payload(18))),
            kHeader);
    // Padding is no part of the message.
    EXPECT_EQ(s.says(s.up, padded(s.packet(), 7)), kRight4);
    EXPECT_EQ(s.says(s.up, padded(s.packet6(), 7)), kRight6);
    // Datagrams that say to be longer than the frame.
    for (const bool over6 : {false, true}) {
        Bytes cut = (over6 ? s.packet6({.checksum = kBad}) : s.packet({.checksum = kBad})).bytes();
        cut.pop_back();
        EXPECT_EQ(s.says(s.up, raw_frame(cut)), kNothing);
    }
    // What the device said nothing of, or that it is wrong.
    s.lab.rx_flags = 0;
    EXPECT_EQ(s.says(s.up, s.packet({.checksum = kBad})), kNothing);
    EXPECT_EQ(s.last.only_reason(), DropReason::udp_bad_checksum);
    s.lab.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_RX_IP_CKSUM_BAD;
    EXPECT_EQ(s.says(s.up, s.packet()), kNothing);
    // A device that was refuted, or never was asked, costs no look.
    s.lab.port_entry(s.up).watches_sums = false;
    s.lab.publish();
    s.lab.rx_flags = kAllGood;
    EXPECT_EQ(s.says(s.up, s.packet({.checksum = kBad})), kNothing);
}

TEST(Verdicts, after_the_first_65536_frames_one_of_every_sixteenth_burst_is_compared) {
    TryingScene s;
    const path::VerdictCounters& counters = s.lab.worker().counters().verdicts[s.up];
    const std::vector<Bytes> burst(packet::kBurstSize, s.packet().bytes());
    while (counters.looked.get() < 65'536) s.lab.receive(s.up, burst);
    EXPECT_EQ(counters.looked.get(), 65'536U);
    const std::uint64_t bursts = counters.bursts.get();
    for (int i = 0; i < 160; ++i) s.lab.receive(s.up, burst);
    EXPECT_EQ(counters.bursts.get(), bursts + 160);
    EXPECT_EQ(counters.looked.get(), 65'546U);
    EXPECT_EQ(counters.wrong.get(), 0U);
    // Each place of a burst has its turn, so that a lie about any of them is found.
    std::vector<Bytes> lies = burst;
    lies[5] = s.packet({.checksum = 0x1234}).bytes();
    for (int i = 0; i < 16 * int{packet::kBurstSize}; ++i) s.lab.receive(s.up, lies);
    EXPECT_EQ(counters.wrong.get(), 1U);
}

TEST(Verdicts, frames_cut_at_every_length_are_read_no_further) {
    TryingScene s;
    for (const Frame& frame : {s.packet(), s.packet6()}) {
        const Bytes whole = frame.bytes();
        for (std::size_t size = 14; size < whole.size(); ++size)
            EXPECT_EQ(s.says(s.up,
                             raw_frame({whole.begin(),
                                        whole.begin() + static_cast<std::ptrdiff_t>(size)}),
                             Memory::exact),
                      kNothing)
                << size;
    }
}

}  // namespace
}  // namespace vxplane::support
