// What routers and switches hear of the groups that we join: IGMP and MLD of all versions.
#include "control/resolve/joined_groups.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/net/group_query.hpp"

namespace vxplane::control {
namespace {

using namespace std::chrono_literals;
using Time = JoinedGroups::Time;

const net::MacAddress kMac{{2, 0, 0, 0, 0xAA, 1}};
const net::IpAddress kGroup = net::Ipv4Address::of(239, 1, 1, 1);
const net::IpAddress kGroup6{
    std::array<std::uint8_t, 16>{0xFF, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}};
constexpr std::uint16_t kPort = 3;

/// The records of a frame that is a report, as the snooping of others reads it.
struct Heard {
    net::GroupChange change;
    net::IpAddress group;
    bool operator==(const Heard&) const = default;
};
std::vector<Heard> records_of(const JoinedGroups::Frame& frame) {
    const auto packet = std::span(frame.bytes).subspan(sizeof(net::EthernetHeader));
    const net::ReportReader reader(packet);
    EXPECT_EQ(reader.kind(), net::ReportKind::report);
    std::vector<Heard> all;
    reader.records([&](const net::GroupRecord& record) {
        all.push_back({record.change, record.group});
    });
    return all;
}
net::IpAddress destination_of(const JoinedGroups::Frame& frame) {
    const std::byte* at = frame.bytes.data() + sizeof(net::EthernetHeader);
    return net::view<net::Ipv4Header>(at).version() == 4
               ? net::IpAddress(net::view<net::Ipv4Header>(at).destination)
               : net::IpAddress(net::view<net::Ipv6Header>(at).destination);
}

struct Host {
    JoinedGroups groups{1};
    Time now{1h};

    Host() {
        const std::vector<OwnAddress> own{{net::Ipv4Address::of(192, 0, 2, 1), 24}};
        groups.set_port(kPort, kMac, own);
    }
    /// What is sent within `time`, millisecond by millisecond.
    std::vector<JoinedGroups::Frame> pass(std::chrono::milliseconds time) {
        std::vector<JoinedGroups::Frame> all;
        for (const Time end = now + time; now <= end; now += 1ms) {
            groups.tick(now);
            for (auto& frame : groups.take_frames()) all.push_back(std::move(frame));
        }
        return all;
    }
    void ask(const net::IpAddress& group, std::chrono::milliseconds response) {
        std::array<std::byte, net::kGroupQueryFrame> frame{};
        const std::size_t size = net::make_group_query(kMac, group, response, frame);
        hear(std::span(frame).first(size));
    }
    void hear(std::span<const std::byte> frame) {
        groups.hear(kPort, frame.subspan(sizeof(net::EthernetHeader)), now);
    }
    /// IGMPv2 for a group, or IGMPv1 with `code` 0.
    void ask_old(std::uint8_t code, net::Ipv4Address group = {}) {
        std::array<std::byte, net::kGroupQueryFrame> made{};
        net::make_group_query(kMac, net::IpAddress(group), 1s, made);
        std::vector<std::byte> frame(made.begin(), made.begin() + 14 + 24 + 8);
        auto& ip = *reinterpret_cast<net::Ipv4Header*>(frame.data() + 14);
        ip.total_length = net::Be16::of(32);
        ip.checksum = {};
        ip.checksum = net::finish(net::add_bytes(0, &ip, 24));
        std::byte* igmp = frame.data() + 38;
        igmp[1] = std::byte{code};
        igmp[2] = igmp[3] = std::byte{};
        const net::Be16 sum = net::finish(net::add_bytes(0, igmp, 8));
        std::memcpy(igmp + 2, &sum, 2);
        hear(frame);
    }
};

using net::GroupChange;

TEST(JoinedGroups, VX73_a_join_is_told_at_once_and_again_within_a_second) {
    for (const net::IpAddress& group : {kGroup, kGroup6}) {
        Host host;
        host.groups.join(kPort, group, host.now);
        const auto first = host.pass(0ms);
        ASSERT_EQ(first.size(), 1U);
        EXPECT_EQ(records_of(first[0]), (std::vector<Heard>{{GroupChange::to_exclude, group}}));
        EXPECT_EQ(first[0].port, kPort);
        const auto second = host.pass(1001ms);
        ASSERT_EQ(second.size(), 1U) << "robustness 2";
        EXPECT_EQ(records_of(second[0]), records_of(first[0]));
        EXPECT_TRUE(host.pass(60s).empty());
        host.groups.join(kPort, group, host.now);
        EXPECT_TRUE(host.pass(1s).empty()) << "joined already";
    }
}

TEST(JoinedGroups, VX73_a_leave_is_told_twice_and_then_forgotten) {
    Host host;
    host.groups.join(kPort, kGroup, host.now);
    host.pass(2s);
    host.groups.leave(kPort, kGroup, host.now);
    const auto told = host.pass(1002ms);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(records_of(told[1]), (std::vector<Heard>{{GroupChange::to_include, kGroup}}));
    EXPECT_TRUE(host.groups.views(host.now).empty());
    EXPECT_EQ(host.groups.counters().leaves, 2U);
}

TEST(JoinedGroups, VX73_general_queries_are_answered_once_within_the_time) {
    Host host;
    const net::IpAddress other = net::Ipv4Address::of(239, 1, 1, 2);
    host.groups.join(kPort, kGroup, host.now);
    host.groups.join(kPort, other, host.now);
    host.groups.join(kPort, kGroup6, host.now);
    host.pass(2s);
    host.ask(net::Ipv4Address{}, 500ms);
    host.ask(net::Ipv4Address{}, 500ms);
    const auto answers = host.pass(501ms);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(records_of(answers[0]), (std::vector<Heard>{{GroupChange::is_exclude, kGroup},
                                                          {GroupChange::is_exclude, other}}));
    host.ask(net::IpAddress{}, 500ms);
    const auto of_ipv6 = host.pass(501ms);
    ASSERT_EQ(of_ipv6.size(), 1U);
    EXPECT_EQ(records_of(of_ipv6[0]), (std::vector<Heard>{{GroupChange::is_exclude, kGroup6}}));
}

TEST(JoinedGroups, VX73_a_query_for_a_group_is_answered_for_it_alone) {
    Host host;
    host.groups.join(kPort, kGroup, host.now);
    host.groups.join(kPort, net::Ipv4Address::of(239, 1, 1, 2), host.now);
    host.pass(2s);
    host.ask(kGroup, 300ms);
    const auto answers = host.pass(301ms);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(records_of(answers[0]), (std::vector<Heard>{{GroupChange::is_exclude, kGroup}}));
    host.ask(net::Ipv4Address::of(239, 9, 9, 9), 300ms);
    EXPECT_TRUE(host.pass(1s).empty());
}

TEST(JoinedGroups, VX73_an_igmpv2_router_gets_igmpv2_until_it_is_gone) {
    Host host;
    host.groups.join(kPort, kGroup, host.now);
    host.pass(2s);
    host.ask_old(5);
    const auto answers = host.pass(501ms);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(destination_of(answers[0]), kGroup);
    EXPECT_EQ(static_cast<std::uint8_t>(answers[0].bytes[38]), net::igmp_type::kReportV2);
    EXPECT_EQ(host.groups.views(host.now)[0].version, 2);
    host.groups.leave(kPort, kGroup, host.now);
    const auto left = host.pass(11s);
    ASSERT_EQ(left.size(), 1U) << "once";
    EXPECT_EQ(static_cast<std::uint8_t>(left[0].bytes[38]), net::igmp_type::kLeave);
    EXPECT_EQ(destination_of(left[0]), net::IpAddress(net::Ipv4Address::of(224, 0, 0, 2)));
    host.groups.join(kPort, kGroup, host.now);
    host.pass(10s);
    EXPECT_EQ(host.groups.views(host.now)[0].version, 2);
    host.now += 2 * 125s + 10s;
    EXPECT_EQ(host.groups.views(host.now)[0].version, 3);
}

TEST(JoinedGroups, VX73_an_igmpv1_router_hears_no_leave) {
    Host host;
    host.groups.join(kPort, kGroup, host.now);
    host.pass(2s);
    host.ask_old(0);
    const auto answers = host.pass(10001ms);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(static_cast<std::uint8_t>(answers[0].bytes[38]), net::igmp_type::kReportV1);
    host.groups.leave(kPort, kGroup, host.now);
    EXPECT_TRUE(host.pass(11s).empty());
    EXPECT_TRUE(host.groups.views(host.now).empty());
}

TEST(JoinedGroups, VX73_after_the_link_was_down_groups_are_joined_again) {
    Host host;
    host.groups.join(kPort, kGroup, host.now);
    host.pass(2s);
    host.groups.link_is_back(kPort, host.now);
    const auto again = host.pass(1001ms);
    ASSERT_EQ(again.size(), 2U);
    EXPECT_EQ(records_of(again[0]), (std::vector<Heard>{{GroupChange::to_exclude, kGroup}}));
}

TEST(JoinedGroups, malformed_queries_are_counted_and_not_answered) {
    Host host;
    host.groups.join(kPort, kGroup, host.now);
    host.pass(2s);
    std::array<std::byte, net::kGroupQueryFrame> made{};
    const std::size_t size = net::make_group_query(kMac, net::Ipv4Address{}, 100ms, made);
    for (std::size_t at = 14; at < size; ++at) {
        std::array<std::byte, net::kGroupQueryFrame> bad = made;
        bad[at] ^= std::byte{0x40};
        host.hear(std::span(bad).first(size));
    }
    for (std::size_t cut = 14; cut < size; ++cut) host.hear(std::span(made).first(cut));
    EXPECT_TRUE(host.pass(2s).empty());
    EXPECT_GT(host.groups.counters().malformed, 0U);
    EXPECT_EQ(host.groups.counters().queries, 0U);
}

TEST(GroupQueryReader, RFC3376_times_above_a_certain_size_are_floats) {
    EXPECT_EQ(net::query_reader::short_float(127), 127U);
    EXPECT_EQ(net::query_reader::short_float(0x80), 128U);
    EXPECT_EQ(net::query_reader::short_float(0xFF), 31744U);
    EXPECT_EQ(net::query_reader::long_float(32767), 32767U);
    EXPECT_EQ(net::query_reader::long_float(0x8000), 32768U);
    EXPECT_EQ(net::query_reader::long_float(0xFFFF), 8387584U);
}

}  // namespace
}  // namespace vxplane::control
