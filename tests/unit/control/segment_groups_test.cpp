// Who gets what a tenant sends to a group, by the topology, by hand and by reports: frames through
// real workers, from senders that members name and from others.
#include "control/apply/segment_groups.hpp"

#include <set>

#include "control/apply/words.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

using net::GroupChange;
using Sources = std::vector<std::string>;

constexpr const char* kTenants = "239.7.7.7";
constexpr const char* kTenants6 = "ff05::77";

void put16(Bytes& bytes, std::size_t at, std::size_t value) {
    bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
    bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}

/// Of IGMPv3 and MLDv2: one record, behind the eight bytes of the message.
Bytes message(std::uint8_t type, GroupChange change, const std::string& group,
              const Sources& sources) {
    Bytes bytes{type, 0, 0, 0, 0, 0, 0, 1, static_cast<std::uint8_t>(change), 0, 0, 0};
    put16(bytes, 10, sources.size());
    const auto add = [&bytes](const net::IpAddress& one) {
        bytes.insert(bytes.end(), one.bytes.begin() + (one.is_v4() ? 12 : 0), one.bytes.end());
    };
    add(support::address(group));
    for (const std::string& one : sources) add(support::address(one));
    return bytes;
}

Frame igmp_report(std::uint8_t who, GroupChange change, const Sources& sources) {
    Bytes bytes = message(0x22, change, kTenants, sources);
    put16(bytes, 2, support::rfc1071(bytes));
    return a_frame()
        .to(net::group_mac(support::address("224.0.0.22")))
        .from(host(who))
        .ipv4({.destination = "224.0.0.22", .ttl = 1, .protocol = std::uint8_t{2}})
        .payload(bytes);
}

Frame mld_report(std::uint8_t who, GroupChange change, const Sources& sources) {
    Bytes bytes = message(143, change, kTenants6, sources);
    const char* const all_routers = "ff02::16";
    Bytes pseudo;
    for (const char* one : {"fe80::1", all_routers}) {
        const net::IpAddress address = support::address(one);
        pseudo.insert(pseudo.end(), address.bytes.begin(), address.bytes.end());
    }
    for (const std::size_t byte : {std::size_t{0}, std::size_t{0}, bytes.size() >> 8, bytes.size(),
                                   std::size_t{0}, std::size_t{0}, std::size_t{0}, std::size_t{58}})
        pseudo.push_back(static_cast<std::uint8_t>(byte));
    pseudo.insert(pseudo.end(), bytes.begin(), bytes.end());
    put16(bytes, 2, support::rfc1071(pseudo));
    Bytes packet{58, 0, 5, 2, 0, 0, 1, 0};  // hop by hop: router alert
    packet.insert(packet.end(), bytes.begin(), bytes.end());
    return a_frame()
        .to(net::group_mac(support::address(all_routers)))
        .from(host(who))
        .ipv6({.source = "fe80::1",
               .destination = all_routers,
               .hop_limit = 1,
               .next_header = std::uint8_t{0}})
        .payload(packet);
}

/// Host 1 at vm1 sends; vm2 and vm3 may listen; 10.0.0.2 to 10.0.0.4 are in the flood list.
class SegmentGroupsTest : public Stack {
  protected:
    SegmentGroupsTest() : groups(bridge) {
        bridge.add_part(groups);
        punts.on_heard([this](const path::PuntItem& item, std::span<const std::byte> frame) {
            if (item.why == packet::Punt::listeners)
                groups.hear(item.segment, item.in_port, item.from_tunnel, frame, now);
        });
    }
    SegmentSpec spec(std::vector<MdbSpec> mdb, bool snooping = false) const {
        SegmentSpec out = red();
        out.ports.push_back(world.vm3);
        out.mdb = std::move(mdb);
        out.mcast_snooping = snooping;
        return out;
    }
    void start(const SegmentSpec& spec) {
        segment(spec);
        begin();
        for (const char* remote : {"10.0.0.2", "10.0.0.3", "10.0.0.4"})
            ASSERT_FALSE(bridge.add(to_remote({}, remote), now));
        go_on(0ms);
        for (const char* remote : {"10.0.0.2", "10.0.0.3", "10.0.0.4"})
            receive(world.up, {arp_reply(remote, mac("02:00:00:00:00:99"))});
        go_on(100ms);
    }
    void go_on(std::chrono::milliseconds time) {
        for (const Time until = now + time;; now += 20ms) {
            groups.tick(now, [this](std::uint16_t port, std::span<const std::byte> frame) {
                punts.send_frame(port, frame);
            });
            tick();
            if (now >= until) break;
        }
        forget_sent();
    }
    void says(std::uint16_t port, const Frame& report) {
        receive(port, report);
        go_on(100ms);
    }
    MdbSpec member(std::uint16_t port, const char* group = kTenants) const {
        MdbSpec out;
        out.group = support::address(group);
        out.port = port;
        return out;
    }
    static MdbSpec member(const char* remote, const char* group = kTenants) {
        MdbSpec out;
        out.group = support::address(group);
        out.remote = support::address(remote);
        return out;
    }
    static MdbSpec of(MdbSpec member, const char* source) {
        member.source = support::address(source);
        return member;
    }
    static MdbSpec filtered(MdbSpec member, bool include, const Sources& sources) {
        member.include = include;
        for (const std::string& one : sources) member.sources.push_back(support::address(one));
        return member;
    }
    /// Ports and last bytes of remotes that get a frame of host 1.
    std::string get(const char* source, const char* group = kTenants) {
        forget_sent();
        const net::IpAddress to = support::address(group);
        Frame frame = a_frame().to(net::group_mac(to));
        if (to.is_v4())
            frame.ipv4({.source = source, .destination = group});
        else
            frame.ipv6({.source = source, .destination = group});
        receive(world.vm1, frame.udp(1000, 2000).payload(18));
        std::multiset<std::string> all;
        for (const SentFrame& one : world.sent)
            all.insert(one.port == world.up ? std::to_string(one.bytes.at(33))
                                            : world.machine.by_id(one.port)->port->name());
        forget_sent();
        std::string words;
        for (const std::string& one : all) words += (words.empty() ? "" : " ") + one;
        return words;
    }
    SegmentGroups groups;
};

TEST_F(SegmentGroupsTest, VX74_a_source_and_its_group_before_the_group_before_flooding) {
    start(spec({member(world.vm2), member("10.0.0.2"), of(member(world.vm3), "192.0.2.9"),
                of(member("10.0.0.3"), "192.0.2.9"), of(member("10.0.0.4"), "192.0.2.8")}));
    EXPECT_EQ(get("192.0.2.1"), "2 vm2");
    EXPECT_EQ(get("192.0.2.9"), "3 vm3");
    EXPECT_EQ(get("192.0.2.8"), "4 vm2") << "of ports that entry says nothing";
    EXPECT_EQ(get("192.0.2.1", "239.7.7.8"), "2 3 4 vm2 vm3");
    // What an entry ends with is the rule before it.
    ASSERT_FALSE(bridge.change_segment(0, spec({member(world.vm2)}), now));
    go_on(100ms);
    EXPECT_EQ(get("192.0.2.9"), "2 3 4 vm2") << "nothing is said of remotes";
    ASSERT_FALSE(bridge.change_segment(0, spec({}), now));
    go_on(100ms);
    EXPECT_EQ(get("192.0.2.9"), "2 3 4 vm2 vm3");
    expect_law();
}

TEST_F(SegmentGroupsTest, VX74_source_filters_include_and_exclude) {
    start(spec({filtered(member(world.vm2), true, {"192.0.2.1", "192.0.2.2"}),
                filtered(member(world.vm3), false, {"192.0.2.2", "192.0.2.3"}),
                filtered(member("10.0.0.2"), true, {"192.0.2.3"}),
                filtered(member("10.0.0.3"), false, {"192.0.2.1"})}));
    EXPECT_EQ(get("192.0.2.1"), "vm2 vm3");
    EXPECT_EQ(get("192.0.2.2"), "3 vm2");
    EXPECT_EQ(get("192.0.2.3"), "2 3");
    EXPECT_EQ(get("192.0.2.4"), "3 vm3");
    // Where nobody wants it it goes nowhere, and is counted.
    const std::uint64_t before = worker_drops(DropReason::mdb_no_listener);
    ASSERT_FALSE(bridge.change_segment(0,
                                       spec({filtered(member(world.vm2), true, {"192.0.2.1"}),
                                             filtered(member("10.0.0.2"), false, {"192.0.2.4"})}),
                                       now));
    go_on(100ms);
    EXPECT_EQ(get("192.0.2.4"), "");
    EXPECT_EQ(worker_drops(DropReason::mdb_no_listener), before + 1);
    EXPECT_EQ(get("192.0.2.5"), "2");
    EXPECT_EQ(get("192.0.2.1"), "2 vm2");
    expect_law();
}

TEST_F(SegmentGroupsTest, VX74_members_by_hand_and_over_ipv6) {
    start(spec({}));
    const auto here = filtered(member(world.vm2, kTenants6), true, {"2001:db8::1"});
    const auto there = of(member("10.0.0.3", kTenants6), "2001:db8::2");
    ASSERT_FALSE(groups.add(0, here, now));
    ASSERT_FALSE(groups.add(0, there, now));
    EXPECT_TRUE(groups.add(0, here, now)) << "twice";
    go_on(100ms);
    EXPECT_EQ(get("2001:db8::1", kTenants6), "2 3 4 vm2");
    EXPECT_EQ(get("2001:db8::2", kTenants6), "3");
    EXPECT_EQ(get("2001:db8::3", kTenants6), "2 3 4");
    ASSERT_FALSE(groups.remove(0, here, now));
    ASSERT_FALSE(groups.remove(0, there, now));
    go_on(100ms);
    EXPECT_EQ(get("2001:db8::1", kTenants6), "2 3 4 vm2 vm3");
}

TEST_F(SegmentGroupsTest, VX74_a_report_of_sources_gets_frames_of_these_alone) {
    start(spec({}, true));
    const auto report = [](std::uint8_t who, GroupChange change, const Sources& sources) {
        return igmp_report(who, change, sources);
    };
    says(world.vm2, report(2, GroupChange::allow, {"192.0.2.1", "192.0.2.2"}));
    EXPECT_EQ(get("192.0.2.1"), "2 3 4 vm2");
    EXPECT_EQ(get("192.0.2.3"), "2 3 4");
    says(world.vm3, report(3, GroupChange::to_exclude, {"192.0.2.1"}));
    EXPECT_EQ(get("192.0.2.1"), "2 3 4 vm2");
    EXPECT_EQ(get("192.0.2.2"), "2 3 4 vm2 vm3");
    EXPECT_EQ(get("192.0.2.3"), "2 3 4 vm3");
    // A source that is blocked goes on for as long as others of the port may ask for it.
    says(world.vm2, report(2, GroupChange::block, {"192.0.2.1"}));
    says(world.vm3, report(3, GroupChange::block, {"192.0.2.3"}));
    EXPECT_EQ(get("192.0.2.1"), "2 3 4 vm2");
    EXPECT_EQ(get("192.0.2.3"), "2 3 4 vm3");
    go_on(2500ms);
    EXPECT_EQ(get("192.0.2.1"), "2 3 4");
    EXPECT_EQ(get("192.0.2.2"), "2 3 4 vm2 vm3");
    EXPECT_EQ(get("192.0.2.3"), "2 3 4");
    EXPECT_EQ(get("192.0.2.4"), "2 3 4 vm3");
    // A leave ends it all.
    says(world.vm3, report(3, GroupChange::to_include, {}));
    go_on(2500ms);
    EXPECT_EQ(get("192.0.2.4"), "2 3 4");
    EXPECT_EQ(get("192.0.2.2"), "2 3 4 vm2");
    expect_law();
}

TEST_F(SegmentGroupsTest, VX74_reports_of_mld) {
    start(spec({}, true));
    says(world.vm2, mld_report(2, GroupChange::allow, {"2001:db8::1"}));
    says(world.vm3, mld_report(3, GroupChange::is_exclude, {"2001:db8::1"}));
    EXPECT_EQ(get("2001:db8::1", kTenants6), "2 3 4 vm2");
    EXPECT_EQ(get("2001:db8::2", kTenants6), "2 3 4 vm3");
    EXPECT_EQ(get("2001:db8::2", "ff05::78"), "2 3 4 vm2 vm3");
}

TEST_F(SegmentGroupsTest, VX74_reports_and_entries_together) {
    start(spec({of(member(world.vm3), "192.0.2.9"), member(world.vm3)}, true));
    says(world.vm2, igmp_report(2, GroupChange::to_exclude, {"192.0.2.8"}));
    EXPECT_EQ(get("192.0.2.1"), "2 3 4 vm2 vm3");
    EXPECT_EQ(get("192.0.2.9"), "2 3 4 vm2 vm3") << "who has reported wants it too";
    EXPECT_EQ(get("192.0.2.8"), "2 3 4 vm3");
}

}  // namespace
}  // namespace vxplane::control
