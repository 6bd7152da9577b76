// Large packets between a vhost-user server and a virtio-user client in one process: both sides
// take a TCP packet of many segments whole, and say of what size the segments are.
#include <rte_ethdev.h>

#include <chrono>
#include <thread>

#include "lab.hpp"

namespace vxplane::port::test {
namespace {

constexpr std::uint16_t kSegment = 1400;
constexpr std::uint16_t kHeaders = 14 + 20 + 20;

/// A TCP packet of `payload` bytes, ready for a device that cuts what is longer than a segment and
/// finishes checksums.
rte_mbuf* large(const Pools& pools, std::size_t payload) {
    Frame frame(kHeaders + payload);
    for (std::size_t i = 0; i < payload; ++i)
        frame[kHeaders + i] = static_cast<std::uint8_t>(i * 7);
    const std::size_t total = payload + 40;
    frame[0] = 2;
    frame[6] = 2;
    frame[11] = 1;
    frame[12] = 8;
    frame[14] = 0x45;
    frame[16] = static_cast<std::uint8_t>(total >> 8);
    frame[17] = static_cast<std::uint8_t>(total);
    frame[22] = 64;
    frame[23] = 6;
    frame[26] = frame[30] = 10;
    frame[33] = 1;
    frame[46] = 0x50;
    frame[47] = 0x10;
    // The sum of the pseudo header: 10.0.0.0 -> 10.0.0.1, protocol 6, and the length of what is
    // not cut.
    const bool cut = payload > kSegment;
    const std::size_t sum = 0x0A00 + 0x0A00 + 1 + 6 + (cut ? 0 : payload + 20);
    frame[50] = static_cast<std::uint8_t>(sum >> 8);
    frame[51] = static_cast<std::uint8_t>(sum);
    rte_mbuf* first = nullptr;
    for (std::size_t at = 0; at < frame.size();) {
        rte_mbuf* one = rte_pktmbuf_alloc(pools.packets);
        const std::size_t here = std::min<std::size_t>(frame.size() - at, 2000);
        std::copy_n(frame.data() + at, here,
                    reinterpret_cast<std::uint8_t*>(
                        rte_pktmbuf_append(one, static_cast<std::uint16_t>(here))));
        at += here;
        if (first == nullptr)
            first = one;
        else
            rte_pktmbuf_chain(first, one);
    }
    first->l2_len = 14;
    first->l3_len = 20;
    first->l4_len = 20;
    first->tso_segsz = kSegment;
    first->ol_flags |= (cut ? RTE_MBUF_F_TX_TCP_SEG : 0) | RTE_MBUF_F_TX_TCP_CKSUM |
                       RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    return first;
}

/// Sends until something arrives: the two may still be meeting.
rte_mbuf* across(const Pools& pools, const Port& from, const Port& to, std::size_t payload) {
    for (int i = 0; i < 40; ++i) {
        send(from, large(pools, payload));
        for (int poll = 0; poll < 50; ++poll) {
            rte_mbuf* none = nullptr;
            if (rte_eth_rx_burst(from.id(), 0, &none, 1) == 1) rte_pktmbuf_free(none);
            rte_mbuf* got = nullptr;
            if (rte_eth_rx_burst(to.id(), 0, &got, 1) == 1) return got;
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
    }
    return nullptr;
}

class LargeTest : public PortTest {
  protected:
    /// `tso=1` at the server, large packets asked for at both.
    void open_pair(bool large_rx) {
        const std::string path = file("vhost");
        PortOptions server = options("net_vhost0,tso=1,iface=" + path);
        server.large_rx = large_rx;
        server_ = started(server);
        ASSERT_NE(server_, nullptr);
        PortOptions client = options("net_virtio_user0,path=" + path);
        client.large_rx = large_rx;
        client_ = started(client);
        ASSERT_NE(client_, nullptr);
    }
    void TearDown() override {
        client_.reset();
        server_.reset();
        PortTest::TearDown();
    }
    void expect_whole(const Port& from, const Port& to) {
        constexpr std::size_t kPayload = 20'000;
        rte_mbuf* got = across(pools(), from, to, kPayload);
        ASSERT_NE(got, nullptr);
        const Frame frame = bytes_of(got);
        EXPECT_EQ(frame.size(), kHeaders + kPayload) << "one packet, not cut";
        EXPECT_NE(got->ol_flags & RTE_MBUF_F_RX_LRO, 0U);
        EXPECT_EQ(got->tso_segsz, kSegment);
        bool same = frame.size() == kHeaders + kPayload;
        for (std::size_t i = 0; same && i < kPayload; ++i)
            same = frame[kHeaders + i] == static_cast<std::uint8_t>(i * 7);
        EXPECT_TRUE(same);
        rte_pktmbuf_free(got);
    }
    std::unique_ptr<Port> server_, client_;
};

TEST_F(LargeTest, RP32_a_guest_gets_large_packets_whole) {
    open_pair(true);
    EXPECT_TRUE(server_->tso().plain);
    EXPECT_TRUE(client_->large_rx());
    expect_whole(*server_, *client_);
}

TEST_F(LargeTest, RP32_a_guest_sends_large_packets_whole) {
    open_pair(true);
    EXPECT_TRUE(client_->tso().plain);
    EXPECT_TRUE(server_->large_rx());
    expect_whole(*client_, *server_);
}

/// What step::leave_remote_sum() relies on.
TEST_F(LargeTest, VX02_what_a_guest_leaves_open_is_finished_and_said_to_be_good) {
    open_pair(true);
    for (const std::size_t payload : {0U, 1U, 501U}) {
        rte_mbuf* got = across(pools(), *client_, *server_, payload);
        ASSERT_NE(got, nullptr);
        EXPECT_EQ(got->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
        EXPECT_EQ(got->ol_flags & RTE_MBUF_F_RX_LRO, 0U);
        Frame frame = bytes_of(got);
        ASSERT_EQ(frame.size(), kHeaders + payload);
        frame.resize(frame.size() + 1);
        std::size_t sum = 0x0A00 + 0x0A00 + 1 + 6 + payload + 20;
        for (std::size_t at = 34; at + 1 < frame.size(); at += 2)
            sum += static_cast<std::size_t>(frame[at] << 8 | frame[at + 1]);
        EXPECT_EQ(sum % 0xFFFF, 0U) << "the checksum is right";
        rte_pktmbuf_free(got);
    }
}

TEST_F(LargeTest, RP32_asked_for_and_not_there_is_refused) {
    PortOptions wish = options("net_null0");
    wish.tso = Wish::on;
    const auto opened = open_port(wish, *set_);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.failure().key, "tso");
    EXPECT_NE(opened.failure().text.find("the device cuts no TCP packets"), std::string::npos)
        << opened.failure().text;
}

TEST_F(LargeTest, RP82_a_tap_takes_no_large_packets) {
    const auto plain = started(options("net_tap0,iface=" + interface_name("l")));
    ASSERT_NE(plain, nullptr);
    EXPECT_FALSE(plain->tso().any()) << "what net_tap offers is software of its own";
    PortOptions wish = options("net_tap1,iface=" + interface_name("m"));
    wish.tso = Wish::on;
    const auto told = open_port(wish, *set_);
    ASSERT_FALSE(told.ok());
    EXPECT_EQ(told.failure().key, "tso");
}

}  // namespace
}  // namespace vxplane::port::test
