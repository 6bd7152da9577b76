// What segments ask for beyond forwarding: ARP and neighbour discovery answered for neighbours,
// ways cut short behind routers, misses told, and peers and tenants that are not believed.
#include <gtest/gtest.h>

#include "proxy_scene.hpp"

namespace vxplane::support {
namespace {

using packet::Punt;

TEST(Proxy, VX81_arp_for_a_known_remote_address_is_answered_and_nothing_leaves) {
    ProxyScene s(watch::kProxy);
    s.asks(asked_by_arp("192.0.2.12"))
        .out(s.vm1, arp_answer(12, "192.0.2.12"))
        .counts("segment.red.answered", 1)
        .uncut()
        .check();
    // Padding of the question is not answered with padding of ours.
    s.asks(asked_by_arp("192.0.2.12").padded())
        .out(s.vm1, arp_answer(12, "192.0.2.12"))
        .counts("segment.red.answered", 1)
        .uncut()
        .check();
    // The other segment does not ask for it.
    Golden(s.lab, s.vm9, asked_by_arp("192.0.2.99"))
        .drops(DropReason::flood_empty)
        .learns_at(s.vm9)
        .uncut()
        .as_received()
        .check();
}

TEST(Proxy, VX82_what_is_not_known_is_flooded) {
    ProxyScene s(watch::kProxy);
    for (const char* target : {"192.0.2.77", "192.0.2.40", "192.0.2.99"}) {
        Golden golden = s.asks(asked_by_arp(target));
        s.is_flooded(golden, asked_by_arp(target)).uncut().check();
    }
}

TEST(Proxy, VX82_as_the_kernel_it_stays_with_local_ports) {
    ProxyScene s(watch::kProxy | watch::kProxyLocal);
    for (const Frame& frame : {asked_by_arp("192.0.2.77"), solicitation(77)})
        s.asks(frame).out(s.vm2, frame).counts("segment.red.flooded", 1).uncut().check();
    s.asks(asked_by_arp("192.0.2.12"))
        .out(s.vm1, arp_answer(12, "192.0.2.12"))
        .counts("segment.red.answered", 1)
        .uncut()
        .check();
}

TEST(Proxy, VX83_who_is_here_answers_for_itself) {
    ProxyScene s(watch::kProxy);
    for (const Frame& frame : {asked_by_arp("192.0.2.2"), solicitation(2)}) {
        Golden golden = s.asks(frame);
        s.is_flooded(golden, frame).uncut().check();
    }
}

TEST(Proxy, VX85_a_solicitation_is_answered_as_the_neighbour_would) {
    ProxyScene s(watch::kProxy);
    for (const std::uint8_t who : {std::uint8_t{12}, std::uint8_t{13}})
        s.asks(solicitation(who))
            .out(s.vm1, nd_answer(who, who == 13))
            .counts("segment.red.answered", 1)
            .uncut()
            .check();
}

TEST(Proxy, VX85_a_solicitation_that_rfc_4861_discards_is_not_answered) {
    ProxyScene s(watch::kProxy);
    Bytes far = solicitation(12).bytes();
    far[21] = 64;  // hop limit
    Bytes wrong = solicitation(12).bytes();
    wrong[57] ^= 1;  // checksum
    for (const Bytes& bytes : {far, wrong}) {
        Golden golden = s.asks(raw_frame(bytes));
        s.is_flooded(golden, raw_frame(bytes)).uncut().check();
    }
}

TEST(Proxy, VX86_loopback_and_group_targets_are_never_answered) {
    ProxyScene s(watch::kProxy);
    for (const char* target : {"127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0"}) {
        Golden golden = s.asks(asked_by_arp(target));
        s.is_flooded(golden, asked_by_arp(target)).uncut().check();
    }
}

TEST(Proxy, frames_cut_anywhere_do_no_harm) {
    ProxyScene s(watch::kProxy | watch::kSnoop | watch::kRsc | watch::kL2Miss | watch::kL3Miss |
                 watch::kRefuseVxlan);
    for (const Frame& frame : {asked_by_arp("192.0.2.12"), solicitation(12), small(host(13)),
                               a_frame().ipv6().udp(1, 4789).payload(8)}) {
        const Bytes bytes = frame.bytes();
        for (std::size_t size = 14; size <= bytes.size(); ++size)
            for (const Memory memory : {Memory::exact, Memory::split})
                expect_law(s.lab.receive(
                    s.vm1, {Bytes(bytes.begin(), bytes.begin() + static_cast<long>(size))},
                    memory));
    }
}

TEST(Proxy, without_a_buffer_the_question_is_dropped) {
    ProxyScene s(watch::kProxy);
    s.lab.push(s.vm1, {asked_by_arp("192.0.2.12").bytes()});
    const auto famine = s.lab.starve(s.lab.packet_pool());
    s.lab.poll();
    const Seen seen = s.lab.collect();
    EXPECT_EQ(seen.only_reason(), DropReason::proxy_no_buffer);
    note_reasons(seen);
}

TEST(Snooping, VX87_who_speaks_in_arp_and_nd_is_told_and_the_frame_goes_on) {
    ProxyScene s(watch::kSnoop);
    for (const Frame& frame : {asked_by_arp("192.0.2.1", "192.0.2.1"), solicitation(77)}) {
        Golden golden = s.asks(frame);
        s.is_flooded(golden, frame)
            .punts(Punt::neighbour)
            .counts("copies", 1)
            .uncut()
            .as_received()
            .check();
        // The same within a second is no news.
        s.lab.receive(s.vm1, frame);
        const Seen again = s.lab.receive(s.vm1, frame);
        EXPECT_TRUE(again.punted.empty());
        EXPECT_EQ(again.moved.at("segment.red.untold"), 1U);
    }
    s.lab.pass_time(1100);
    const Seen seen = s.lab.receive(s.vm1, asked_by_arp("192.0.2.1", "192.0.2.1"));
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].why, Punt::neighbour);
    EXPECT_FALSE(seen.punted[0].from_tunnel);
    EXPECT_EQ(seen.punted[0].segment, s.red);
}

TEST(Snooping, what_speaks_from_a_tunnel_is_told_too) {
    ProxyScene s(watch::kSnoop);
    const Frame inner = a_frame().to(host(1)).from(host(12)).arp(
        {.operation = 2, .sender_mac = host(12), .sender = "192.0.2.12", .target = "192.0.2.1"});
    const Seen seen = s.lab.receive(s.up, s.from_remote(inner));
    expect_law(seen);
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].why, Punt::neighbour);
    EXPECT_TRUE(seen.punted[0].from_tunnel);
    EXPECT_EQ(seen.punted[0].segment, s.red);
    EXPECT_EQ(seen.punted[0].tunnel, 50U) << "where the inner frame begins";
    ASSERT_EQ(seen.sent_by(s.vm1).size(), 1U);
    EXPECT_EQ(seen.sent_by(s.vm1)[0], inner.bytes());
    // What is not ARP costs control nothing.
    EXPECT_TRUE(s.lab.receive(s.up, s.from_remote(small_from(12, host(1)))).punted.empty());
}

TEST(Misses, VX92_unknown_destinations_are_told_once_in_a_second) {
    ProxyScene s(watch::kL2Miss);
    const Frame frame = small(host(99));
    Golden golden = s.asks(frame);
    s.is_flooded(golden, frame)
        .punts(Punt::l2_miss)
        .counts("copies", 1)
        .uncut()
        .as_received()
        .check();
    s.lab.receive(s.vm1, frame);
    const Seen again = s.lab.receive(s.vm1, frame);
    EXPECT_TRUE(again.punted.empty());
    EXPECT_EQ(again.moved.at("segment.red.untold"), 1U);
    // Groups and what is known are no misses.
    EXPECT_TRUE(s.lab.receive(s.vm1, small(kEverybody)).punted.empty());
    EXPECT_TRUE(s.lab.receive(s.vm1, small(host(12))).punted.empty());
}

TEST(Misses, VX92_unknown_ip_addresses_are_told) {
    ProxyScene s(watch::kProxy | watch::kL3Miss | watch::kRsc);
    const Frame to_77 = a_frame().to(host(13)).ipv4({.destination = "192.0.2.77"}).payload(26);
    for (const Frame& frame : {asked_by_arp("192.0.2.77"), solicitation(77), to_77}) {
        const Seen seen = s.lab.receive(s.vm1, frame);
        ASSERT_EQ(seen.punted.size(), 1U);
        EXPECT_EQ(seen.punted[0].why, Punt::l3_miss);
        EXPECT_EQ(seen.punted[0].in_port, s.vm1);
        s.lab.pass_time(1100);
    }
    EXPECT_TRUE(s.lab.receive(s.vm1, asked_by_arp("192.0.2.12")).punted.empty());
}

TEST(Misses, a_copy_that_finds_no_buffer_is_counted) {
    ProxyScene s(watch::kL2Miss);
    s.lab.push(s.vm1, {small(host(99)).bytes()});
    const auto famine = s.lab.starve(s.lab.header_pool());
    s.lab.poll();
    const Seen seen = s.lab.collect();
    EXPECT_EQ(seen.moved.count("drop.control_no_copy"), 1U);
    EXPECT_EQ(seen.broken_law, "");
    note_reasons(seen);
}

TEST(RouteShortCircuit, VX91_a_packet_for_a_router_goes_to_the_neighbour_at_once) {
    ProxyScene s(watch::kRsc);
    const Ip4 to_12{.destination = "192.0.2.12", .ttl = 1};
    const auto packet = [&](net::MacAddress to, net::MacAddress from) {
        return a_frame().to(to).from(from).ipv4(to_12).udp(1000, 2000).payload(18);
    };
    s.asks(packet(host(13), host(1)))
        .out(s.up, s.to_remote(packet(host(12), host(13)), 2))
        .tunnelled(s.red, 1, 60)
        .uncut()
        .check();
    // The second lookup may find nothing, as in the kernel.
    const auto lost = [&](net::MacAddress to, net::MacAddress from) {
        return a_frame()
            .to(to)
            .from(from)
            .ipv4({.destination = "192.0.2.40"})
            .udp(1, 2)
            .payload(18);
    };
    Golden golden = s.asks(lost(host(13), host(1)));
    s.is_flooded(golden, lost(host(40), host(13))).uncut().check();
    // Who is no router, what is not IP or not for a known host goes where it says.
    for (const Frame& same :
         {packet(host(12), host(1)), a_frame().to(host(12)).type(0x88B5).payload(46)})
        s.asks(same).out(s.up, s.to_remote(same, 2)).tunnelled(s.red, 1, 60).uncut().check();
    for (const Frame& same :
         {a_frame().to(host(13)).ipv4({.destination = "192.0.2.77"}).payload(26),
          a_frame().to(host(13)).type(0x88B5).payload(46),
          a_frame().to(host(13)).ipv4({.destination = "224.0.0.5"}).payload(26)})
        s.asks(same).out(s.up, s.to_remote(same, 3)).tunnelled(s.red, 1, 60).uncut().check();
}

TEST(Trust, a_tenant_that_makes_vxlan_is_refused_where_the_segment_says_so) {
    ProxyScene s(watch::kRefuseVxlan), off(0);
    const auto made = [](Frame frame) { return frame.udp(40000, 4789).payload(40); };
    for (const Frame& frame : {made(a_frame().ipv4()), made(a_frame().ipv6())}) {
        s.asks(frame).drops(DropReason::access_vxlan).uncut().check();
        off.asks(frame).out(off.vm2, frame).uncut().check();
    }
    const Frame other = a_frame().ipv4().udp(4789, 4790).payload(18);
    s.asks(other).out(s.vm2, other).uncut().check();
    const Frame later = a_frame().ipv4({.fragment = 100}).udp(40000, 4789).payload(18);
    s.asks(later).out(s.vm2, later).uncut().check();
}

/// Red with a guard.
struct Guarded : Scene {
    explicit Guarded(table::Guard guard, std::vector<table::PeerPrefix> prefixes = {},
                     std::vector<const char*> hosts = {}) {
        lab.segment_entry(red).guard = 1;
        lab.complete = [guard, prefixes, hosts](table::Tables& tables) {
            tables.guards = table::Shared{std::vector<table::Guard>{{}, guard}};
            tables.peer_prefixes = table::Shared{prefixes};
            std::vector<std::pair<table::ScopedAddress, std::uint32_t>> all;
            for (const char* one : hosts) all.push_back({{ip(one), 1}, 0});
            tables.allowed_peers = std::make_shared<const table::AddressMap>(all);
        };
        lab.publish();
    }
    Golden from(unsigned last, std::uint32_t vni = 7) {
        return {lab, up, from_remote(small_from(12, host(1)), last, {.vni = vni})};
    }
    std::uint64_t noted(const char* peer, DropReason reason) {
        std::uint64_t count = 0;
        lab.worker().refused_peers().for_each([&](const step::RefusedPeers::Sample& sample) {
            if (sample.peer == net::IpAddress(ip(peer)) && sample.reason == reason)
                count += sample.count;
        });
        return count;
    }
};

TEST(Trust, VX42_only_listed_peers_are_heard) {
    table::Guard guard;
    guard.listed = true;
    guard.count = 1;
    Guarded s(guard, {{ip("10.0.0.8"), 30}}, {"10.0.0.2"});
    const Frame inner = small_from(12, host(1));
    s.from(2).out(s.vm1, inner).arrived(s.red, 60).uncut().check();
    s.from(8).out(s.vm1, inner).arrived(s.red, 60).learns_behind("10.0.0.8").uncut().check();
    for (const unsigned last : {3U, 7U, 12U})
        s.from(last).drops(DropReason::peer_unknown).uncut().check();
    EXPECT_EQ(s.noted("10.0.0.3", DropReason::peer_unknown), 3U);
    EXPECT_EQ(s.noted("10.0.0.2", DropReason::peer_unknown), 0U);
    // Another segment has no list, and asks for its own.
    const Seen seen = s.lab.receive(s.up, s.from_remote(small_from(12, host(9)), 3, {.vni = 8}));
    EXPECT_EQ(seen.sent_by(s.vm9).size(), 1U);
}

TEST(Trust, VX43_source_ports_outside_the_range_are_refused) {
    table::Guard guard;
    guard.source_port_lo = 40000;
    guard.source_port_hi = 40001;
    Guarded s(guard);
    s.from(2).out(s.vm1, small_from(12, host(1))).arrived(s.red, 60).uncut().check();
    for (const std::uint16_t port : {39999, 40002, 0}) {
        const Frame frame = a_frame()
                                .to(s.local_mac)
                                .from(Scene::remote_mac(2))
                                .ipv4({.source = "10.0.0.2", .destination = Scene::kLocal})
                                .udp(port, 4789, {.checksum = 0})
                                .vxlan({}, small_from(12, host(1)));
        Golden(s.lab, s.up, frame).drops(DropReason::peer_port).uncut().check();
    }
    EXPECT_EQ(s.noted("10.0.0.2", DropReason::peer_port), 9U);
}

}  // namespace
}  // namespace vxplane::support
