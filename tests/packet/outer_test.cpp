// Packets are compared with one that was let in before. That must never decide otherwise than the
// checks that they would else pass one by one.
#include <gtest/gtest.h>

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

class Known : public ::testing::Test {
  protected:
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
    const Bytes good = s.from_remote(small_from(12, host(1))).bytes();
};

TEST_F(Known, a_packet_with_any_bit_flipped_is_judged_as_if_nothing_was_let_in_before) {
    for (std::size_t bit = 0; bit < 8 * (kUdp + 30); ++bit) {
        Bytes frame = good;
        frame[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        expect_same(frame, "bit " + std::to_string(bit));
        if (bit / 8 >= kIp && bit / 8 < kUdp) {
            repair_checksum(frame);
            expect_same(frame, "bit " + std::to_string(bit) + ", checksum repaired");
        }
    }
}

TEST_F(Known, a_packet_of_any_length_is_judged_as_if_nothing_was_let_in_before) {
    for (std::size_t size = 0; size <= good.size(); ++size) {
        expect_same({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)},
                    "size " + std::to_string(size));
    }
    Bytes longer = good;
    longer.insert(longer.end(), 9, 0xEE);
    expect_same(longer, "trailer");
}

TEST_F(Known, lengths_that_lie_are_judged_as_if_nothing_was_let_in_before) {
    for (const std::size_t field : {kIp + 2, kUdp + 4}) {
        for (std::uint32_t length = 0; length < 200; ++length) {
            Bytes frame = good;
            frame[field] = static_cast<std::uint8_t>(length >> 8);
            frame[field + 1] = static_cast<std::uint8_t>(length);
            repair_checksum(frame);
            expect_same(frame,
                        "field " + std::to_string(field) + " length " + std::to_string(length));
        }
    }
}

TEST_F(Known, sources_that_no_host_has_are_judged_as_if_nothing_was_let_in_before) {
    for (const char* source : {"10.0.0.1", "10.0.0.3", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                               "0.0.0.0", "0.1.2.3", "240.0.0.1", "192.0.2.7"}) {
        expect_same(s.from_remote(small_from(12, host(1)), 2, {}, {.source = source}).bytes(),
                    source);
    }
}

TEST_F(Known, new_tables_forget_what_was_let_in) {
    EXPECT_EQ(s.lab.receive(s.up, {good}).sent_by(s.vm1).size(), 1U);
    s.lab.port_entry(s.up).mac ^= 0x100;
    s.lab.publish();
    const Seen seen = s.lab.receive(s.up, {good});
    EXPECT_EQ(seen.only_reason(), DropReason::eth_not_for_us);
}

}  // namespace
}  // namespace vxplane::support
