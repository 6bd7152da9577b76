// Ports on the devices that every machine has: files, memory, taps, veth.
#include "dataplane/port/port.hpp"

#include <rte_ethdev.h>

#include <fstream>

#include "dataplane/port/memory_port.hpp"
#include "kernel_side.hpp"
#include "lab.hpp"

namespace vxplane::port::test {
namespace {

constexpr MacBytes ours{0x02, 0x00, 0x00, 0x00, 0x00, 0x2A};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

bool noted(const Port& port, const std::string& part) {
    for (const std::string& note : port.notes())
        if (contains(note, part)) return true;
    return false;
}

TEST_F(PortTest, pcap_reads_one_file_and_writes_another) {
    const std::vector<Frame> frames = {a_frame(60), a_frame(1514, 9), a_frame(333, 77)};
    write_capture(file("in.pcap"), frames);
    {
        const auto port =
            started(options("net_pcap0,rx_pcap=" + file("in.pcap") + ",tx_pcap=" + file("o.pcap")));
        ASSERT_NE(port, nullptr);
        EXPECT_EQ(port->driver(), "net_pcap");
        for (const Frame& frame : frames) {
            const Frame got = receive(*port);
            EXPECT_EQ(got, frame);
            EXPECT_TRUE(send(*port, whole(pools(), got)));
        }
    }
    EXPECT_EQ(read_capture(file("o.pcap")), frames);
}

TEST_F(PortTest, pcap_has_one_receive_queue_per_file) {
    std::string device = "net_pcap0";
    for (const char* name : {"a", "b", "c"}) {
        write_capture(file(name), {a_frame(60)});
        device += ",rx_pcap=" + file(name);
    }
    const auto port = open_port(options(device), *set_);
    ASSERT_TRUE(port.ok()) << port.failure().text;
    EXPECT_EQ((*port)->rx_queues(), 3);
}

TEST_F(PortTest, null_gives_frames_and_takes_all) {
    const auto port = started(options("net_null0,size=64"));
    ASSERT_NE(port, nullptr);
    rte_mbuf* mbufs[8];
    ASSERT_EQ(rte_eth_rx_burst(port->id(), 0, mbufs, 8), 8);
    EXPECT_EQ(rte_eth_tx_burst(port->id(), 0, mbufs, 8), 8);
    EXPECT_TRUE(port->link().up);
}

TEST_F(PortTest, demand_before_opening_covers_what_is_opened) {
    write_capture(file("in"), std::vector<Frame>(100, a_frame(60)));
    const auto demand = [&](const std::string& device) {
        PortOptions wanted = options(device);
        wanted.workers = 3;
        return demand_of(wanted);
    };
    EXPECT_EQ(demand("0000:3b:00.0").rx_queues, 3U);
    EXPECT_EQ(demand("net_tap0,iface=vm1").rx_queues, 1U);
    EXPECT_EQ(demand("net_tap0,iface=vm1").tx_queues, 1U);
    EXPECT_EQ(demand("net_af_packet0,iface=e,qpairs=4").rx_queues, 4U);
    EXPECT_EQ(demand("net_af_xdp0,iface=e").kept, 4096U);
    const std::string in = "rx_pcap=" + file("in");
    EXPECT_EQ(demand("net_pcap0," + in + "," + in).rx_queues, 2U);
    EXPECT_EQ(demand("net_pcap0," + in).kept, 0U);
    EXPECT_GE(demand("net_pcap0," + in + ",infinite_rx=1").kept, 100U);
}

TEST_F(PortTest, queues_follow_the_workers_as_far_as_the_device_goes) {
    PortOptions wide = options("net_null0");
    wide.workers = 3;
    const auto null = open_port(wide, *set_);
    ASSERT_TRUE(null.ok()) << null.failure().text;
    EXPECT_EQ((*null)->rx_queues(), 3);
    EXPECT_EQ((*null)->tx_queues(), 3);
    PortOptions tap = options("net_tap0,iface=" + interface_name("q"));
    tap.workers = 3;
    tap.rx_queues_wanted = 2;
    const auto refused = open_port(tap, *set_);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.failure().key, "rx-queues");
    EXPECT_NE(refused.failure().text.find("2 receive queues are asked for, and the device has 1 "
                                          "(auto, or 1)"),
              std::string::npos)
        << refused.failure().text;
    tap.rx_queues_wanted = 0;
    const auto narrow = open_port(tap, *set_);
    ASSERT_TRUE(narrow.ok()) << narrow.failure().text;
    EXPECT_EQ((*narrow)->rx_queues(), 1);
    EXPECT_EQ((*narrow)->tx_queues(), 1);
}

TEST_F(PortTest, memory_port_passes_frames_both_ways_on_each_queue) {
    MemoryPortOptions memory;
    memory.name = "m";
    memory.queues = 2;
    memory.ring_slots = 64;
    const auto made = MemoryPort::make(memory, *set_);
    ASSERT_TRUE(made.ok()) << made.failure().text;
    MemoryPort& port = **made;
    EXPECT_EQ(port.port().rx_queues(), 2);
    EXPECT_TRUE(port.port().multi_segment_tx());
    for (std::uint16_t queue = 0; queue < 2; ++queue) {
        rte_mbuf* in = whole(pools(), a_frame(60, static_cast<std::uint8_t>(queue)));
        ASSERT_EQ(port.push({&in, 1}, queue), 1);
        rte_mbuf* mbuf = nullptr;
        ASSERT_EQ(rte_eth_rx_burst(port.port().id(), queue, &mbuf, 1), 1);
        EXPECT_EQ(mbuf, in);
        ASSERT_EQ(rte_eth_tx_burst(port.port().id(), queue, &mbuf, 1), 1);
        rte_mbuf* out = nullptr;
        ASSERT_EQ(port.pop({&out, 1}, queue), 1);
        EXPECT_EQ(out, in);
        rte_pktmbuf_free(out);
    }
    // Left in the rings on purpose: closing must free them.
    rte_mbuf* left = whole(pools(), a_frame(60));
    EXPECT_EQ(port.push({&left, 1}), 1);
    left = whole(pools(), a_frame(60));
    EXPECT_EQ(rte_eth_tx_burst(port.port().id(), 0, &left, 1), 1);
}

TEST_F(PortTest, memory_port_can_be_made_again_under_the_same_name) {
    for (int i = 0; i < 3; ++i) {
        MemoryPortOptions memory;
        memory.name = "again";
        const auto made = MemoryPort::make(memory, *set_);
        ASSERT_TRUE(made.ok()) << made.failure().text;
    }
}

TEST_F(PortTest, tap_comes_up_with_its_mtu_and_goes_away) {
    const std::string name = interface_name("t");
    PortOptions tap = options("net_tap0,iface=" + name);
    tap.mtu = 1400;
    {
        const auto port = started(tap);
        ASSERT_NE(port, nullptr);
        const InterfaceState kernel = interface_state(name);
        EXPECT_TRUE(kernel.up);
        EXPECT_EQ(kernel.mtu, 1400);
        EXPECT_EQ(port->mtu(), 1400);
        EXPECT_NE(port->mac(), kernel.mac) << "the two ends are two hosts";
        EXPECT_TRUE(port->link().up);

        const RawSocket socket{name};
        EXPECT_TRUE(send(*port, whole(pools(), a_frame(200))));
        EXPECT_EQ(socket.receive(), a_frame(200));
        socket.send(a_frame(300, 5));
        EXPECT_EQ(receive(*port), a_frame(300, 5));
    }
    EXPECT_FALSE(interface_state(name).exists);
}

TEST_F(PortTest, tap_keeps_the_kernels_address_when_the_port_is_given_one) {
    const std::string name = interface_name("t");
    PortOptions tap = options("net_tap0,iface=" + name + ",mac=02:00:00:00:00:99");
    tap.mac = ours;
    const auto port = started(tap);
    ASSERT_NE(port, nullptr);
    EXPECT_EQ(port->mac(), ours);
    EXPECT_EQ(interface_state(name).mac, (MacBytes{2, 0, 0, 0, 0, 0x99}));
}

TEST_F(PortTest, tap_takes_no_more_than_1504_bytes_and_says_so) {
    const std::string name = interface_name("j");
    PortOptions tap = options("net_tap0,iface=" + name);
    tap.mtu = 9000;
    const auto port = started(tap);
    ASSERT_NE(port, nullptr);
    EXPECT_EQ(port->mtu(), 1504);
    EXPECT_EQ(interface_state(name).mtu, 1504);
    EXPECT_TRUE(noted(*port, "refuses MTU 9000"));
    const RawSocket socket{name};
    socket.send(a_frame(1518));
    EXPECT_EQ(receive(*port), a_frame(1518));
    EXPECT_TRUE(send(*port, whole(pools(), a_frame(1518, 3))));
    EXPECT_EQ(socket.receive(), a_frame(1518, 3));
}

TEST_F(PortTest, af_packet_carries_what_its_ring_holds) {
    const VethPair veth;
    PortOptions wide = options("net_af_packet0,iface=" + veth.near);
    wide.mtu = 1600;
    const auto port = started(wide);
    ASSERT_NE(port, nullptr);
    ASSERT_EQ(port->mtu(), 1600) << port->notes().front();
    EXPECT_EQ(interface_state(veth.near).mtu, 1600);
    set_mtu_of(veth.far, 1600);
    const RawSocket socket{veth.far};
    socket.send(a_frame(1614));
    EXPECT_EQ(receive(*port), a_frame(1614));
    EXPECT_TRUE(send(*port, whole(pools(), a_frame(1614, 3))));
    EXPECT_EQ(socket.receive(), a_frame(1614, 3));
}

TEST_F(PortTest, af_packet_carries_jumbo_frames_with_a_larger_ring) {
    PoolSizes sizes;
    sizes.packets = 2047;
    sizes.headers = 1023;
    sizes.mtu = 10240;  // The driver wants room for a whole frame of its ring.
    set_.reset();
    auto set = PoolSet::make(sizes, {});
    ASSERT_TRUE(set.ok()) << set.failure().text;
    set_ = std::move(*set);
    const VethPair veth;
    PortOptions wide =
        options("net_af_packet0,framesz=10240,blocksz=20480,framecnt=64,iface=" + veth.near);
    wide.mtu = 9000;
    const auto port = started(wide);
    ASSERT_NE(port, nullptr);
    ASSERT_EQ(port->mtu(), 9000) << port->notes().front();
    set_mtu_of(veth.far, 9000);
    const RawSocket socket{veth.far};
    // More than the ring has frames: each place in it is used.
    for (int seed = 0; seed < 70; ++seed) {
        socket.send(a_frame(9014, static_cast<std::uint8_t>(seed)));
        ASSERT_EQ(receive(*port), a_frame(9014, static_cast<std::uint8_t>(seed)));
    }
    EXPECT_TRUE(send(*port, whole(pools(), a_frame(9014, 3))));
    EXPECT_EQ(socket.receive(), a_frame(9014, 3));
}

TEST_F(PortTest, af_packet_ring_with_gaps_is_refused) {
    const VethPair veth;
    const auto port =
        open_port(options("net_af_packet0,framesz=9088,blocksz=12288,iface=" + veth.near), *set_);
    ASSERT_FALSE(port.ok());
    EXPECT_TRUE(contains(port.failure().text, "blocksz=12288 is not a multiple of framesz=9088"))
        << port.failure().text;
}

TEST_F(PortTest, twin_carries_the_ports_own_address) {
    TwinOptions twin;
    twin.name = "uplink0.host";
    twin.ifname = interface_name("h");
    twin.mac = ours;
    twin.mtu = 1400;
    twin.lock_directory = file("lock");
    const auto port = make_twin(twin, *set_);
    ASSERT_TRUE(port.ok()) << port.failure().text;
    ASSERT_TRUE((*port)->start().ok());
    const InterfaceState kernel = interface_state(twin.ifname);
    EXPECT_EQ(kernel.mac, ours);
    EXPECT_EQ((*port)->mac(), ours);
    EXPECT_EQ(kernel.mtu, 1400);
    EXPECT_TRUE(kernel.up);
}

TEST_F(PortTest, af_packet_takes_over_an_interface) {
    const VethPair veth;
    PortOptions wanted = options("net_af_packet0,iface=" + veth.near);
    wanted.mac = ours;
    const auto port = started(wanted);
    ASSERT_NE(port, nullptr);
    EXPECT_EQ(port->mac(), ours);
    EXPECT_EQ(interface_state(veth.near).mac, ours);
    const RawSocket socket{veth.far};
    socket.send(a_frame(500));
    EXPECT_EQ(receive(*port), a_frame(500));
}

TEST_F(PortTest, RP05_reports_what_the_device_lost_since_the_last_reset) {
    write_capture(file("in.pcap"), std::vector<Frame>(40, a_frame(60)));
    const auto port = started(options("net_pcap0,rx_pcap=" + file("in.pcap")));
    ASSERT_NE(port, nullptr);
    // No buffer left: the driver must say so under its own name.
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* mbuf = rte_pktmbuf_alloc(pools().packets)) all.push_back(mbuf);
    rte_mbuf* mbufs[8];
    EXPECT_EQ(rte_eth_rx_burst(port->id(), 0, mbufs, 8), 0);
    const DeviceCounters starved = port->counters();
    EXPECT_GT(starved.rx_nombuf, 0U);
    EXPECT_EQ(starved.imissed, 0U);
    EXPECT_EQ(starved.ierrors, 0U);
    port->reset_counters();
    EXPECT_EQ(port->counters().rx_nombuf, 0U);
    rte_eth_rx_burst(port->id(), 0, mbufs, 8);
    EXPECT_GT(port->counters().rx_nombuf, 0U);
    EXPECT_LT(port->counters().rx_nombuf, starved.rx_nombuf * 2 + 1);
    for (rte_mbuf* mbuf : all) rte_pktmbuf_free(mbuf);
}

TEST_F(PortTest, RP05_reports_frames_that_the_device_could_not_send) {
    const std::string name = interface_name("e");
    const auto port = started(options("net_tap0,iface=" + name));
    ASSERT_NE(port, nullptr);
    // Longer than the MTU allows.
    EXPECT_FALSE(send(*port, whole(pools(), a_frame(1900))));
    EXPECT_EQ(port->counters().oerrors, 1U);
    EXPECT_EQ(port->counters().rx_nombuf, 0U);
}

TEST_F(PortTest, RP06_receive_queue_takes_buffers_of_its_workers_node) {
    PoolSizes sizes;
    sizes.packets = 2047;
    sizes.headers = 1023;
    const auto make = [](const char* name) {
        return rte_pktmbuf_pool_create(name, 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    };
    PoolSet nodes{{{0, {make("p0"), make("h0")}}, {1, {make("p1"), make("h1")}}}};
    PortOptions null = options("net_null0");
    null.workers = 3;
    null.place_queues = [](int, std::uint16_t) { return std::vector<int>{1, 0, 7}; };
    const auto port = open_port(null, nodes);
    ASSERT_TRUE(port.ok()) << port.failure().text;
    ASSERT_TRUE((*port)->start().ok());
    for (const int queue : {0, 1}) {
        rte_mbuf* mbuf = nullptr;
        ASSERT_EQ(rte_eth_rx_burst((*port)->id(), static_cast<std::uint16_t>(queue), &mbuf, 1), 1);
        EXPECT_EQ(mbuf->pool, nodes.of(queue == 0 ? 1 : 0).packets);
        rte_pktmbuf_free(mbuf);
    }
    EXPECT_TRUE(noted(**port, "receive queue 2 takes buffers of another node"));
}

TEST_F(PortTest, says_what_is_missing) {
    EXPECT_TRUE(contains(refusal("net_af_packet0,iface=nosuch0"), "nosuch0 does not exist"));
    EXPECT_TRUE(contains(refusal("net_af_xdp0,iface=nosuch0"), "nosuch0 does not exist"));
    EXPECT_TRUE(contains(refusal("net_af_packet0"), "needs iface="));
    EXPECT_TRUE(contains(refusal("net_pcap0,rx_pcap=/nosuch.pcap"), "/nosuch.pcap does not exist"));
    EXPECT_TRUE(contains(refusal("net_pcap0,tx_pcap=/nosuch/o.pcap"), "/nosuch of"));
    EXPECT_TRUE(contains(refusal("net_pcap0"), "net_pcap needs"));
    EXPECT_TRUE(contains(refusal("net_vhost0,iface=/nosuch/s"), "/nosuch of"));
    EXPECT_TRUE(contains(refusal("net_virtio_user0,path=/nosuch"), "is the other side running"));
    EXPECT_TRUE(contains(refusal("net_wrong0"), "drivers: net_tap"));
    EXPECT_TRUE(contains(refusal("net_tap0,iface=averylonginterfacename"), "longer than 15"));
}

TEST_F(PortTest, a_file_that_is_no_capture_is_refused_with_the_drivers_words) {
    std::ofstream{file("bad.pcap")} << "this is not a capture";
    const std::string text = refusal("net_pcap0,rx_pcap=" + file("bad.pcap"));
    EXPECT_TRUE(contains(text, "DPDK cannot open it")) << text;
    EXPECT_TRUE(contains(text, "bad.pcap")) << text;
}

TEST_F(PortTest, says_what_is_busy) {
    const VethPair veth;
    EXPECT_TRUE(contains(refusal("net_tap0,iface=" + veth.near), "is not a tap"));
    const std::string name = interface_name("x");
    const auto first = started(options("net_tap0,iface=" + name));
    ASSERT_NE(first, nullptr);
    PortOptions second = options("net_tap1,iface=" + name);
    second.lock_directory = file("other-lock");
    const auto refused = open_port(second, *set_);
    ASSERT_FALSE(refused.ok());
    EXPECT_TRUE(contains(refused.failure().text, "device busy: tap interface " + name));
    const auto twice = open_port(options("net_tap0,iface=" + interface_name("y")), *set_);
    ASSERT_FALSE(twice.ok());
    EXPECT_TRUE(contains(twice.failure().text, "another port has opened net_tap0"));
}

TEST_F(PortTest, a_refused_port_leaves_nothing_behind) {
    const std::uint16_t before = rte_eth_dev_count_avail();
    const std::string name = interface_name("r");
    PortOptions greedy = options("net_tap0,iface=" + name);
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* mbuf = rte_pktmbuf_alloc(pools().packets)) all.push_back(mbuf);
    const auto refused = open_port(greedy, *set_);
    for (rte_mbuf* mbuf : all) rte_pktmbuf_free(mbuf);
    ASSERT_FALSE(refused.ok());
    EXPECT_TRUE(contains(refused.failure().text, "receive queue 0 with 256 descriptors"));
    EXPECT_EQ(rte_eth_dev_count_avail(), before);
    EXPECT_FALSE(interface_state(name).exists);
    EXPECT_NE(started(options("net_tap0,iface=" + name)), nullptr) << "its lock is free again";
}

}  // namespace
}  // namespace vxplane::port::test
