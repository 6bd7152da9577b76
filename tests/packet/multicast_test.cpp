// Multicast groups of the underlay and of tenants.
#include <gtest/gtest.h>

#include "dataplane/net/icmpv6.hpp"
#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr const char* kGroup = "239.1.1.1";

net::MacAddress group_mac(const std::string& group) {
    return net::group_mac(address(group));
}

/// Group 239.1.1.1 (or `group`) is joined at the uplink for red alone.
void join(Scene& s, const std::string& group = kGroup) {
    s.lab.complete = [&s, group](table::Tables& tables) {
        tables.joined = std::make_shared<const table::AddressMap>(
            std::vector<std::pair<table::ScopedAddress, std::uint32_t>>{
                {{address(group), s.up}, 0}});
        tables.group_segments = std::make_shared<const table::FlatMap>(
            std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                {table::group_segment_key(0, s.red), 0}});
    };
    s.lab.publish();
}

Frame to_group(const Frame& inner, const char* source = "10.0.0.2", const char* group = kGroup,
               std::uint32_t vni = 7) {
    return a_frame()
        .to(group_mac(group))
        .from(Scene::remote_mac(2))
        .ipv4({.source = source, .destination = group, .ttl = 1})
        .udp(40000, 4789, {.checksum = 0})
        .vxlan({.vni = vni}, inner);
}

TEST(UnderlayGroup, VX73_a_flood_leaves_once_to_the_group_with_ttl_1) {
    Scene s;
    table::TunnelSpec spec = s.spec(2);
    spec.remote = address(kGroup);
    spec.next_hop = group_mac(kGroup);
    spec.ttl = 1;
    s.lab.flood_to(s.red, {s.lab.tunnel(spec)});
    const Frame frame = small(mac("ff:ff:ff:ff:ff:ff"));
    Golden(s.lab, s.vm1, frame)
        .out(s.vm2, frame)
        .out(s.up, a_frame()
                       .to(group_mac(kGroup))
                       .from(s.local_mac)
                       .ipv4({.source = Scene::kLocal, .destination = kGroup, .ttl = 1})
                       .udp(0, 4789, {.checksum = 0})
                       .vxlan({}, frame)
                       .any_source_port()
                       .any_id())
        .tunnelled(s.red, 1, frame.size())
        .flooded(s.red, 1)
        .uncut()
        .check();
}

TEST(UnderlayGroup, VX73_a_packet_to_the_joined_group_is_delivered) {
    Scene s;
    join(s);
    const Frame inner = small_from(12, host(1));
    // Twice: the second packet is no plain one, either.
    for (int again = 0; again < 2; ++again)
        Golden(s.lab, s.up, to_group(inner)).out(s.vm1, inner).arrived(s.red, 60).uncut().check();
    // Unicast as ever, and the remote is learned from what came by the group.
    Golden(s.lab, s.up, s.from_remote(inner)).out(s.vm1, inner).arrived(s.red, 60).check();
    Golden(s.lab, s.up, to_group(small_from(13, host(1)), "10.0.0.9"))
        .out(s.vm1, small_from(13, host(1)))
        .arrived(s.red, 60)
        .learns_behind("10.0.0.9")
        .uncut()
        .check();
}

TEST(UnderlayGroup, VX73_a_segment_that_does_not_use_the_group_refuses_it) {
    Scene s;
    join(s);
    Golden(s.lab, s.up, to_group(small_from(12, host(1))))
        .out(s.vm1, small_from(12, host(1)))
        .arrived(s.red, 60)
        .uncut()
        .check();
    Golden(s.lab, s.up, to_group(small_from(12, host(1)), "10.0.0.2", kGroup, 8))
        .drops(DropReason::vxlan_other_group)
        .uncut()
        .check();
}

TEST(UnderlayGroup, VX73_own_copies_and_groups_of_nobody_are_not_received) {
    Scene s;
    join(s);
    Golden(s.lab, s.up, to_group(small_from(12, host(1)), Scene::kLocal))
        .drops(DropReason::outer_own_vtep)
        .uncut()
        .check();
    Golden(s.lab, s.up, to_group(small_from(12, host(1)), "10.0.0.2", "239.1.1.2"))
        .drops(DropReason::host_unclaimed)
        .uncut()
        .check();
    Golden(s.lab, s.up, to_group(small_from(12, host(1)), "127.0.0.1"))
        .drops(DropReason::ip4_bad_source)
        .uncut()
        .check();
}

TEST(UnderlayGroup, VX73_headers_to_a_group_are_judged_as_all_others) {
    Scene s;
    join(s);
    const auto bad = [&](Ip4 ip, DropReason reason) {
        ip.source = "10.0.0.2";
        ip.destination = kGroup;
        Golden(s.lab, s.up,
               a_frame()
                   .to(group_mac(kGroup))
                   .ipv4(ip)
                   .udp(40000, 4789, {.checksum = 0})
                   .vxlan({}, small_from(12, host(1))))
            .drops(reason)
            .uncut()
            .check();
    };
    bad({.checksum = 0x1234}, DropReason::ip4_bad_checksum);
    bad({.version_ihl = 0x55}, DropReason::ip4_bad_version);
    bad({.version_ihl = 0x44}, DropReason::ip4_bad_header_length);
    bad({.total_length = 2000}, DropReason::ip4_bad_total_length);
    bad({.fragment = 0x2000}, DropReason::outer_fragment);
}

TEST(UnderlayGroup, VX73_over_ipv6) {
    SceneWords words;
    words.red.ipv6 = true;
    Scene s(words);
    s.lab.own(address("2001:db8::1"), s.up);
    join(s, "ff05::100");
    const Frame inner = small_from(12, host(1));
    const auto frame = [&](const char* source, const char* group, std::uint32_t vni) {
        return a_frame()
            .to(group_mac(group))
            .from(Scene::remote_mac(2))
            .ipv6({.source = source, .destination = group, .hop_limit = 1})
            .udp(40000, 4789)
            .vxlan({.vni = vni}, inner);
    };
    const Seen seen = s.lab.receive(s.up, frame("2001:db8::2", "ff05::100", 7));
    expect_law(seen);
    EXPECT_EQ(seen.sent_by(s.vm1).size(), 1U);
    EXPECT_EQ(s.lab.receive(s.up, frame("2001:db8::1", "ff05::100", 7)).only_reason(),
              DropReason::outer_own_vtep);
    EXPECT_EQ(s.lab.receive(s.up, frame("2001:db8::2", "ff05::101", 7)).only_reason(),
              DropReason::host_unclaimed);
}

TEST(UnderlayGroup, VX73_control_hears_queries_and_the_host_gets_them) {
    SceneWords words;
    words.twin = true;
    Scene s(words);
    join(s);
    const Frame query = a_frame()
                            .to(group_mac("224.0.0.1"))
                            .ipv4({.source = "10.0.0.254",
                                   .destination = "224.0.0.1",
                                   .ttl = 1,
                                   .protocol = std::uint8_t{2}})
                            .payload(Bytes{0x11, 0x64, 0xEE, 0x9B, 0, 0, 0, 0});
    Golden(s.lab, s.up, query)
        .out(s.host_twin, query)
        .punts(packet::Punt::group_query)
        .counts("copies", 1)
        .uncut()
        .check();
}

// --- groups of tenants

struct Entries {
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> groups{};
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> sources{};
    std::vector<table::MdbEntry> entries{};
    std::vector<std::uint32_t> tunnels{};
    std::vector<std::uint16_t> ports{};

    std::uint32_t add(std::vector<TunnelId> to, bool has_tunnels, std::vector<PortId> members,
                      bool has_ports) {
        entries.push_back(
            {{static_cast<std::uint32_t>(tunnels.size()), static_cast<std::uint32_t>(to.size())},
             {static_cast<std::uint32_t>(ports.size()), static_cast<std::uint32_t>(members.size())},
             has_tunnels,
             has_ports});
        tunnels.insert(tunnels.end(), to.begin(), to.end());
        ports.insert(ports.end(), members.begin(), members.end());
        return static_cast<std::uint32_t>(entries.size() - 1);
    }
    void into(table::Tables& tables) const {
        tables.mdb_groups = std::make_shared<const table::AddressMap>(groups);
        tables.mdb_sources = std::make_shared<const table::AddressMap>(sources);
        tables.mdb = table::Shared{entries};
        tables.mdb_tunnels = table::Shared{tunnels};
        tables.mdb_ports = table::Shared{ports};
    }
};

/// 239.9.9.9: remote 3 and vm2; of source 192.0.2.7 remote 4 and nobody here. vm2 has a router, and
/// a querier was heard.
struct MdbScene : Scene {
    MdbScene() {
        Entries made;
        const std::uint32_t any = made.add({t3}, true, {vm2}, true);
        made.groups.push_back({{address("239.9.9.9"), red}, any});
        made.sources.push_back({{address("192.0.2.7"), any}, made.add({t4}, true, {}, true)});
        made.groups.push_back({{net::IpAddress{}, red}, made.add({}, false, {vm2}, true)});
        made.groups.push_back({{address("239.9.9.10"), red}, made.add({t2}, true, {}, false)});
        lab.segment_entry(red).watch |= table::watch::kMulticast;
        lab.complete = [made](table::Tables& tables) { made.into(tables); };
        lab.publish();
    }
    static Frame to_many(const char* group, const char* source = "192.0.2.1") {
        return a_frame()
            .to(group_mac(group))
            .ipv4({.source = source, .destination = group})
            .udp(1000, 2000)
            .payload(18);
    }
};

TEST(Mdb, VX74_source_and_group_before_group_before_flood) {
    MdbScene s;
    const auto sent = [&](const Frame& frame, std::vector<unsigned> remotes, bool vm2) {
        const Seen seen = s.lab.receive(s.vm1, frame);
        expect_law(seen);
        std::vector<unsigned> to;
        for (const Bytes& one : seen.sent_by(s.up)) to.push_back(one[33]);
        EXPECT_EQ(to, remotes);
        EXPECT_EQ(seen.sent_by(s.vm2).size(), vm2 ? 1U : 0U);
    };
    sent(MdbScene::to_many("239.9.9.9"), {3}, true);
    sent(MdbScene::to_many("239.9.9.9", "192.0.2.7"), {4}, false);
    // Unregistered: all remotes, and of the ports those of routers.
    sent(MdbScene::to_many("239.9.9.8"), {3, 4, 2}, true);
    // An entry of remotes alone.
    sent(MdbScene::to_many("239.9.9.10"), {2}, true);
    // Of the link: everybody.
    sent(MdbScene::to_many("224.0.0.5"), {3, 4, 2}, true);
}

TEST(Mdb, VX74_who_is_wanted_by_nobody_else_is_dropped_for_that_reason) {
    MdbScene s;
    const Frame inner = MdbScene::to_many("239.9.9.9", "192.0.2.7").from(host(12));
    Golden(s.lab, s.up, s.from_remote(inner)).drops(DropReason::mdb_no_listener).uncut().check();
}

TEST(Mdb, VX74_from_a_tunnel_only_listeners_get_it) {
    MdbScene s;
    const Frame inner = MdbScene::to_many("239.9.9.9").from(host(12));
    Golden(s.lab, s.up, s.from_remote(inner))
        .out(s.vm2, inner)
        .arrived(s.red, inner.size())
        .flooded(s.red, 0)
        .uncut()
        .check();
}

TEST(Mdb, VX74_reports_go_to_routers_and_tunnels_and_control_hears_them) {
    MdbScene s;
    const Frame report =
        a_frame()
            .to(group_mac("239.9.9.9"))
            .from(host(2))
            .ipv4({.destination = "239.9.9.9", .ttl = 1, .protocol = std::uint8_t{2}})
            .payload(Bytes{0x16, 0, 0xF1, 0xEC, 239, 9, 9, 9});
    const Seen seen = s.lab.receive(s.vm2, report);
    expect_law(seen);
    EXPECT_TRUE(seen.sent_by(s.vm1).empty());
    EXPECT_EQ(seen.sent_by(s.up).size(), 3U);
    ASSERT_EQ(seen.punted.size(), 1U);
    EXPECT_EQ(seen.punted[0].why, packet::Punt::listeners);
}

TEST(Mdb, VX74_a_segment_without_entries_floods) {
    MdbScene s;
    const Frame frame = MdbScene::to_many("239.9.9.9").from(host(9));
    const Seen seen = s.lab.receive(s.vm9, frame);
    EXPECT_EQ(seen.only_reason(), DropReason::flood_empty);
}

}  // namespace
}  // namespace vxplane::support
