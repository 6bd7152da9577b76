// ipvlans that change while packets flow, and slaves that want more than their share.
#include <algorithm>
#include <set>
#include <thread>

#include "control/apply/connection_page.hpp"
#include "slaves_fixture.hpp"

namespace vxplane::control {
namespace {

/// Connections are tracked; the worker's part of the tracker is done by the test.
class ControlConnections : public ControlSlaves {
  protected:
    ControlConnections() { topology.ipvlans[0].conntrack.on = true; }
    table::Conntrack& tracker() { return *slaves.conntrack("ipv"); }
    void connect(std::uint16_t slave, const std::string& from, std::uint16_t port) {
        table::NewConnection fresh;
        fresh.original.source = ip(from);
        fresh.original.destination = ip("8.8.8.8");
        fresh.original.source_port = net::Be16::of(port);
        fresh.original.destination_port = net::Be16::of(53);
        fresh.original.protocol = net::ip_protocol::kUdp;
        fresh.reply = table::inverse(fresh.original, 0);
        fresh.original_slave = slave;
        ASSERT_TRUE(tracker().add(fresh, {.bytes = 100}, 0));
    }
    void work(int polls = 1000) {
        for (int i = 0; i < polls; ++i) {
            tracker().poll(0);
            slaves.tick();
        }
    }
    [[nodiscard]] std::vector<table::Connection> connections() {
        return read_connections(tracker(), {}, 0, 1'000'000, 10s).entries;
    }
};

TEST_F(ControlConnections, more_slaves_than_flushes_fit_go_at_once_and_all_their_connections) {
    config::Ipvlan& ipvlan = topology.ipvlans[0];
    for (int i = 0; i < 40; ++i) {
        config::Slave slave = ipvlan.slaves[1];
        slave.name = "s" + std::to_string(i);
        slave.addresses = {{address("10.2.0." + std::to_string(i + 1)), 32}};
        ipvlan.slaves.push_back(slave);
    }
    begin_ipvlan();
    for (int i = 0; i < 40; ++i) {
        connect(*slaves.find_slave("ipv/s" + std::to_string(i)), "10.2.0." + std::to_string(i + 1),
                5000);
    }
    connect(*slaves.find_slave("ipv/blue"), "10.1.0.6", 5000);
    ipvlan.slaves.resize(2);
    apply();
    EXPECT_EQ(connections().size(), 41U) << "the worker has not been asked yet";
    work();
    const auto left = connections();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].original.tuple.source, net::IpAddress(ip("10.1.0.6")));
    // Who comes back finds nothing of his own, and who stays loses nothing by that.
    apply();
    work();
    EXPECT_EQ(connections().size(), 1U);
}

TEST_F(ControlConnections, a_slave_of_another_vrf_or_without_an_address_loses_what_was_theirs) {
    config::Ipvlan& ipvlan = topology.ipvlans[0];
    ipvlan.slaves[1].addresses.push_back({address("10.1.0.7"), 32});
    begin_ipvlan();
    const std::uint16_t red = *slaves.find_slave("ipv/red");
    const std::uint16_t blue = *slaves.find_slave("ipv/blue");
    connect(red, "10.1.0.5", 1);
    connect(blue, "10.1.0.6", 1);
    connect(blue, "10.1.0.7", 1);
    ipvlan.slaves[1].addresses.pop_back();
    apply();
    work();
    EXPECT_EQ(connections().size(), 2U);
    ipvlan.slaves[0].vrf = "tenant";
    apply();
    work();
    const auto left = connections();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].original_slave, blue);
    // An address more takes nothing away.
    ipvlan.slaves[1].addresses.push_back({address("10.1.0.8"), 32});
    apply();
    work();
    EXPECT_EQ(connections().size(), 1U);
}

TEST_F(ControlConnections, timeouts_change_while_it_runs_and_count_from_the_next_packet_on) {
    begin_ipvlan();
    work(1);
    connect(*slaves.find_slave("ipv/red"), "10.1.0.5", 1);
    ASSERT_EQ(connections().size(), 1U);
    EXPECT_EQ(connections()[0].expires, 30'000U);
    topology.ipvlans[0].conntrack.udp = 7;
    topology.ipvlans[0].conntrack.tcp_established = 600;
    apply();
    EXPECT_EQ(tracker().timeouts().udp, 7'000U);
    work(1);
    EXPECT_EQ(connections()[0].expires, 30'000U) << "as in the kernel";
    const table::ConnTuple tuple = connections()[0].original.tuple;
    const table::ConnRef ref = tracker().find(tuple, tracker().hash(tuple), 0);
    ASSERT_TRUE(ref);
    tracker().note(ref, {.bytes = 100}, 1000);
    EXPECT_EQ(connections()[0].expires, 8'000U);
    EXPECT_EQ(tracker().timeouts().tcp[static_cast<std::size_t>(table::TcpState::established)],
              600'000U);
}

TEST(ControlConnectionPages, a_table_of_a_million_is_shown_in_pieces_that_nobody_waits_for) {
    constexpr std::uint32_t kMany = 1'000'000;
    table::Conntrack tracker(kMany);
    for (std::uint32_t i = 0; i < kMany; ++i) {
        table::NewConnection fresh;
        fresh.original.source = net::Ipv4Address::of(0x0A000000 + i);
        fresh.original.destination = net::Ipv4Address::of(0x08080808);
        fresh.original.source_port = net::Be16::of(1000);
        fresh.original.destination_port = net::Be16::of(53);
        fresh.original.protocol = net::ip_protocol::kUdp;
        fresh.reply = table::inverse(fresh.original, 0);
        ASSERT_TRUE(tracker.add(fresh, {.bytes = 100}, 0));
    }
    // The last one alone: each piece walks over places that do not fit.
    table::ConnFilter last;
    last.address = net::Ipv4Address::of(0x0A000000 + kMany - 1);
    std::vector<std::chrono::microseconds> times;
    std::size_t found = 0;
    std::optional<std::uint32_t> next = 0;
    while (next) {
        const auto began = std::chrono::steady_clock::now();
        const ConnectionPage page = read_connections(tracker, last, *next, 10, 5ms);
        times.push_back(std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::steady_clock::now() - began));
        found += page.entries.size();
        ASSERT_TRUE(!page.next || *page.next > *next);
        next = page.next;
    }
    EXPECT_EQ(found, 1U);
    // Single pieces may meet a crowded machine.
    std::sort(times.begin(), times.end());
    EXPECT_LT(times[times.size() / 2], 50ms);
    // With a limit each entry comes once.
    std::set<std::uint32_t> seen;
    next = 0;
    for (int pages = 0; next && pages < 10; ++pages) {
        const ConnectionPage page = read_connections(tracker, {}, *next, 1000, 10s);
        for (const table::Connection& one : page.entries) {
            EXPECT_TRUE(seen.insert(one.original.tuple.source.v4().number()).second);
        }
        next = page.next;
    }
    EXPECT_EQ(seen.size(), 10'000U);
}

// --- neighbours

class ControlScan : public ControlSlaves {
  protected:
    ControlScan() {
        topology.ipvlans[0].slaves[0].routes.clear();
        begin_ipvlan();
    }
    /// Lets a port earn anew what it may ask control for.
    static void rest() { std::this_thread::sleep_for(15ms); }
    Frame packet(const std::string& source, const std::string& to) {
        Frame frame = a_frame();
        frame.to(world.mac_of(world.up))
            .from(world.mac_of(world.up))
            .ipv4({.source = source, .destination = to})
            .udp(1000, 2000)
            .payload(64);
        return frame;
    }
};

TEST_F(ControlScan, RP63_a_slave_that_scans_keeps_no_other_from_resolving) {
    const std::uint64_t generation = tables().generation;
    for (int i = 10; i < 250; ++i) {
        if (i % 32 == 0) {
            rest();
        }
        receive(world.vm1, packet("10.1.0.5", "10.0.0." + std::to_string(i)));
        tick();
    }
    std::size_t asked = 0;
    for (const Bytes& frame : sent_by(world.up)) {
        asked += frame[12] == 0x08 && frame[13] == 0x06 ? 1U : 0U;
    }
    EXPECT_GE(asked, Punts::kAskedByOne);
    EXPECT_LE(neighbours.size(), Punts::kAskedByOne + 2U);
    EXPECT_GT(punts.over_quota(), 0U);
    EXPECT_EQ(control_drops(DropReason::neigh_queue_full), punts.over_quota());
    EXPECT_LE(tables().generation, generation + 2) << "who does not answer is no news for workers";
    // The other one is served as if nothing was.
    receive(world.vm2, packet("10.1.0.6", "10.0.0.251"));
    tick();
    forget_sent();
    receive(world.up, {arp_reply("10.0.0.251", kGateway)});
    tick();
    const auto sent = sent_by(world.up);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0], packet("10.1.0.6", "10.0.0.251").to(kGateway).bytes());
    // What nobody answered makes room for the next, and so does what was answered.
    pass(5s);
    EXPECT_EQ(control_drops(DropReason::neigh_failed), std::uint64_t{Punts::kAskedByOne});
    forget_sent();
    receive(world.vm1, packet("10.1.0.5", "10.0.0.252"));
    tick();
    receive(world.up, {arp_reply("10.0.0.252", kGateway)});
    tick();
    EXPECT_EQ(sent_by(world.up).size(), 2U);
    expect_law();
}

TEST_F(ControlScan, RP62_packets_of_one_slave_do_not_fill_the_room_for_all_that_wait) {
    for (int i = 10; i < 14; ++i) {
        for (const std::size_t count : {32U, 32U, 6U}) {
            rest();
            const Frame one = packet("10.1.0.5", "10.0.0." + std::to_string(i));
            receive(world.vm1, std::vector<Bytes>(count, one.bytes()));
            tick();
        }
    }
    EXPECT_EQ(neighbours.held_packets(), std::size_t{Punts::kHeldForOne});
    receive(world.vm2, packet("10.1.0.6", "10.0.0.251"));
    tick();
    EXPECT_EQ(neighbours.held_packets(), std::size_t{Punts::kHeldForOne} + 1);
    pass(5s);
    EXPECT_EQ(neighbours.held_packets(), 0U);
    receive(world.vm1, packet("10.1.0.5", "10.0.0.200"));
    tick();
    EXPECT_EQ(neighbours.held_packets(), 1U);
    expect_law();
}

TEST_F(ControlScan, many_answers_at_once_are_few_publications) {
    for (int i = 10; i < 110; ++i) {
        if (i % 32 == 0) {
            rest();
        }
        receive(world.vm1, packet("10.1.0.5", "10.0.0." + std::to_string(i)));
    }
    tick();
    const std::uint64_t generation = tables().generation;
    for (int i = 10; i < 110; ++i) {
        receive(world.up, {arp_reply("10.0.0." + std::to_string(i), kGateway)});
        tick();
    }
    EXPECT_LE(tables().generation - generation, 100 / Routing::kNewsTicks + 2);
    pass(20ms, 1ms);
    EXPECT_NE(tables().neighbour_addresses->find(world.up, ip("10.0.0.109")),
              table::AddressMap::kNone);
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
