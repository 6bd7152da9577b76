// A device is believed about checksums only after what it said was compared with what they are.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint64_t kAllGood = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;

struct TryingScene : Scene {
    TryingScene() : Scene(over_both()) {
        lab.own(address("2001:db8::1"), up);
        for (const PortId port : {up, vm1}) lab.port_entry(port).tries_rx_checksum = true;
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
    /// How many verdicts were found right and wrong of one more frame.
    std::pair<std::uint64_t, std::uint64_t> says(PortId port, const Frame& frame,
                                                 Memory memory = Memory::pool) {
        const path::VerdictCounters& counters = lab.worker().counters().verdicts[port];
        const std::uint64_t right = counters.right.get();
        const std::uint64_t wrong = counters.wrong.get();
        last = lab.receive(port, frame, memory);
        expect_law(last);
        return {counters.right.get() - right, counters.wrong.get() - wrong};
    }
    Seen last{};
};

using Says = std::pair<std::uint64_t, std::uint64_t>;
const Says kRight{1, 0}, kWrong{0, 1}, kNothing{0, 0};

TEST(Verdicts, VX38_those_of_outer_headers_are_compared_and_a_wrong_one_lets_nothing_pass) {
    TryingScene s;
    for (const Memory memory : {Memory::pool, Memory::exact, Memory::split}) {
        EXPECT_EQ(s.says(s.up, s.packet(), memory), kRight);
        EXPECT_EQ(s.says(s.up, s.packet6(), memory), kRight);
        EXPECT_EQ(s.last.sent_by(s.vm1).size(), 1U);
        EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0x1234}), memory), kWrong);
        EXPECT_EQ(s.last.only_reason(), DropReason::udp_bad_checksum);
        EXPECT_EQ(s.says(s.up, s.packet6({.checksum = 0x1234}), memory), kWrong);
        EXPECT_EQ(s.last.only_reason(), DropReason::udp_bad_checksum);
        EXPECT_EQ(s.says(s.up, s.packet({}, {.checksum = 0x1234}), memory), kWrong);
        EXPECT_EQ(s.last.only_reason(), DropReason::ip4_bad_checksum);
    }
}

TEST(Verdicts, those_of_tenants_frames_are_compared) {
    TryingScene s;
    const auto from = [](Frame frame) { return frame.from(host(1)).to(host(2)); };
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().udp(1, 2).payload(18))), kRight);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().tcp(1, 2).payload(18))), kRight);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv6().tcp(1, 2).payload(18))), kRight);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv6().udp(1, 2).payload(18))), kRight);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().tcp(1, 2, {.checksum = 7}).payload(18))), kWrong);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv6().udp(1, 2, {.checksum = 7}).payload(18))), kWrong);
}

TEST(Verdicts, what_no_verdict_is_about_is_left_out) {
    TryingScene s;
    EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0})), kNothing);
    const auto from = [](Frame frame) { return frame.from(host(1)).to(host(2)); };
    EXPECT_EQ(s.says(s.vm1, from(a_frame().arp())), kNothing);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().icmp_echo().payload(18))), kNothing);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4({.fragment = 0x2000}).udp(1, 2).payload(18))),
              kNothing);
    EXPECT_EQ(s.says(s.vm1, from(a_frame().ipv4().udp(1, 2, {.length = 9}).payload(18))), kNothing);
    s.lab.rx_flags = 0;
    EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0x1234})), kNothing);
    EXPECT_EQ(s.last.only_reason(), DropReason::udp_bad_checksum);
    s.lab.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_RX_IP_CKSUM_BAD;
    EXPECT_EQ(s.says(s.up, s.packet()), kNothing);
    // A device that is believed, or never was asked, costs no look.
    s.lab.port_entry(s.up).tries_rx_checksum = false;
    s.lab.publish();
    s.lab.rx_flags = kAllGood;
    EXPECT_EQ(s.says(s.up, s.packet({.checksum = 0x1234})), kNothing);
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
