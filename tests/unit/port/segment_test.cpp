// Which drivers send a chained packet as one whole frame: the table in device.cpp, tried out. The
// chain is the one a flood makes, a header buffer and a shared payload.
#include <rte_ethdev.h>

#include <chrono>
#include <thread>

#include "dataplane/port/memory_port.hpp"
#include "kernel_side.hpp"
#include "lab.hpp"

namespace vxplane::port::test {
namespace {

const Frame frame = a_frame(800, 3);

/// Sends chains from one port until one arrives on the other: the two may still be meeting.
Frame across(const Pools& pools, const Port& from, const Port& to) {
    for (int i = 0; i < 20; ++i) {
        send(from, chained(pools, frame));
        rte_mbuf* mbuf = nullptr;
        for (int poll = 0; poll < 50; ++poll) {
            // A virtio device sends only while both sides are polled.
            rte_mbuf* none = nullptr;
            if (rte_eth_rx_burst(from.id(), 0, &none, 1) == 1) rte_pktmbuf_free(none);
            if (rte_eth_rx_burst(to.id(), 0, &mbuf, 1) == 1) {
                Frame got = bytes_of(mbuf);
                rte_pktmbuf_free(mbuf);
                return got;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
    }
    return {};
}

class SegmentTest : public PortTest {};

TEST_F(SegmentTest, pcap_writes_a_chain_whole) {
    {
        const auto port = started(options("net_pcap0,tx_pcap=" + file("o.pcap")));
        ASSERT_NE(port, nullptr);
        EXPECT_TRUE(port->multi_segment_tx());
        EXPECT_TRUE(send(*port, chained(pools(), frame)));
    }
    EXPECT_EQ(read_capture(file("o.pcap")), std::vector<Frame>{frame});
}

TEST_F(SegmentTest, tap_sends_a_chain_whole) {
    const std::string name = interface_name("s");
    const auto port = started(options("net_tap0,iface=" + name));
    ASSERT_NE(port, nullptr);
    EXPECT_TRUE(port->multi_segment_tx());
    const RawSocket socket{name};
    EXPECT_TRUE(send(*port, chained(pools(), frame)));
    EXPECT_EQ(socket.receive(), frame);
}

TEST_F(SegmentTest, af_packet_sends_a_chain_whole) {
    const VethPair veth;
    const auto port = started(options("net_af_packet0,iface=" + veth.near));
    ASSERT_NE(port, nullptr);
    EXPECT_TRUE(port->multi_segment_tx());
    const RawSocket socket{veth.far};
    EXPECT_TRUE(send(*port, chained(pools(), frame)));
    EXPECT_EQ(socket.receive(), frame);
}

TEST_F(SegmentTest, af_xdp_needs_one_piece) {
    // DPDK 22.11 forgets the buffers of the fill and completion queues when it closes the socket.
    lost_ = 4096;
    const VethPair veth;
    const auto port = started(options("net_af_xdp0,iface=" + veth.near));
    ASSERT_NE(port, nullptr);
    EXPECT_FALSE(port->multi_segment_tx());
    const RawSocket socket{veth.far};
    rte_mbuf* one_piece = whole(pools(), frame);
    EXPECT_TRUE(send(*port, one_piece));
    EXPECT_EQ(socket.receive(), frame);
    EXPECT_TRUE(send(*port, chained(pools(), frame)));
    EXPECT_NE(socket.receive(), frame)
        << "the driver has learned to send chains: say so in its row";
}

TEST_F(SegmentTest, ring_hands_a_chain_on_as_it_is) {
    MemoryPortOptions memory;
    memory.name = "seg";
    const auto made = MemoryPort::make(memory, *set_);
    ASSERT_TRUE(made.ok()) << made.failure().text;
    EXPECT_TRUE(send((*made)->port(), chained(pools(), frame)));
    rte_mbuf* out = nullptr;
    ASSERT_EQ((*made)->pop({&out, 1}), 1);
    EXPECT_EQ(bytes_of(out), frame);
    rte_pktmbuf_free(out);
}

TEST_F(SegmentTest, memif_sends_a_chain_whole) {
    const std::string socket = ",socket-abstract=no,socket=" + file("memif");
    const auto server = started(options("net_memif0,role=server" + socket));
    const auto client = started(options("net_memif1,role=client" + socket));
    ASSERT_NE(server, nullptr);
    ASSERT_NE(client, nullptr);
    EXPECT_TRUE(client->multi_segment_tx());
    EXPECT_EQ(across(pools(), *client, *server), frame);
    EXPECT_EQ(across(pools(), *server, *client), frame);
}

TEST_F(SegmentTest, vhost_and_virtio_user_send_a_chain_whole) {
    const std::string path = file("vhost");
    const auto server = started(options("net_vhost0,iface=" + path));
    ASSERT_NE(server, nullptr);
    const auto client = started(options("net_virtio_user0,path=" + path));
    ASSERT_NE(client, nullptr);
    EXPECT_TRUE(server->multi_segment_tx());
    EXPECT_TRUE(client->multi_segment_tx());
    EXPECT_EQ(across(pools(), *client, *server), frame);
    EXPECT_EQ(across(pools(), *server, *client), frame);
}

TEST_F(SegmentTest, null_frees_a_chain) {
    const auto port = started(options("net_null0"));
    ASSERT_NE(port, nullptr);
    EXPECT_TRUE(send(*port, chained(pools(), frame)));
}

}  // namespace
}  // namespace vxplane::port::test
