// Groups of listeners over time: what reports add, what ends, what is asked, what has no room.
#include "control/resolve/memberships.hpp"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/net/checksum.hpp"

namespace vxplane::control {
namespace {

using namespace std::chrono_literals;
using net::GroupChange;
using Sources = std::vector<net::Ipv4Address>;

constexpr Memberships::Listener kOne = 1, kTwo = 2;

net::Ipv4Address group(unsigned number) {
    return net::Ipv4Address::of(0xEF000000U + number);
}
net::Ipv4Address source(unsigned number) {
    return net::Ipv4Address::of(0x0A000000U + number);
}

/// An IGMPv3 report of one record for each group.
std::vector<std::byte> report(GroupChange change, const std::vector<net::Ipv4Address>& groups,
                              const Sources& sources = {}) {
    std::vector<std::byte> bytes(20 + 8 + groups.size() * (8 + 4 * sources.size()));
    net::Ipv4Header ip{};
    ip.version_ihl = net::Ipv4Header::kPlain;
    ip.total_length = net::Be16::of(static_cast<std::uint16_t>(bytes.size()));
    ip.ttl = 1;
    ip.protocol = net::kIgmp;
    ip.destination = net::Ipv4Address::of(224, 0, 0, 22);
    ip.checksum = net::ipv4_checksum(ip);
    std::memcpy(bytes.data(), &ip, sizeof ip);
    bytes[20] = std::byte{net::igmp_type::kReportV3};
    bytes[26] = static_cast<std::byte>(groups.size() >> 8);
    bytes[27] = static_cast<std::byte>(groups.size());
    std::size_t at = 28;
    for (const net::Ipv4Address& one : groups) {
        bytes[at] = static_cast<std::byte>(change);
        bytes[at + 3] = static_cast<std::byte>(sources.size());
        std::memcpy(bytes.data() + at + 4, &one, sizeof one);
        at += 8;
        for (const net::Ipv4Address& from : sources) {
            std::memcpy(bytes.data() + at, &from, sizeof from);
            at += sizeof from;
        }
    }
    const net::Be16 sum = net::finish(net::add_bytes(0, bytes.data() + 20, bytes.size() - 20));
    std::memcpy(bytes.data() + 22, &sum, sizeof sum);
    return bytes;
}

class MembershipTable : public testing::Test {
  protected:
    MembershipTable() {
        table.listen(kOne, {});
        static_cast<void>(table.take_questions());
    }
    void says(GroupChange change, const std::vector<net::Ipv4Address>& groups,
              const Sources& sources = {}, Memberships::Listener who = kOne) {
        EXPECT_EQ(table.hear(who, report(change, groups, sources), now), net::ReportKind::report);
    }
    /// Time passes in steps of a second; nobody answers.
    void pass(std::chrono::seconds time) {
        for (auto left = time; left > 0s; left -= 1s) {
            now += 1s;
            table.tick(now);
            for (const auto& one : table.take_questions()) {
                asked.push_back({now - begin, one.response});
            }
        }
    }
    [[nodiscard]] std::size_t count(Memberships::Listener who = kOne) const {
        return table.groups(who, now).size();
    }

    /// Of the first group: which sources it is wanted from.
    [[nodiscard]] std::string shown() const {
        const auto view = table.groups(kOne, now).at(0);
        std::string words = view.any ? "all but" : "only";
        for (const net::IpAddress& one : view.sources) {
            words += " " + std::to_string(one.v4().number() & 0xFFU);
        }
        return words;
    }

    const Memberships::Time begin{1h};
    Memberships::Time now = begin;
    Memberships table;
    struct Asked {
        std::chrono::nanoseconds at;
        std::chrono::milliseconds response;
    };
    std::vector<Asked> asked;
};

TEST_F(MembershipTable, IV15_who_begins_to_listen_is_asked_for_all_its_groups_once) {
    table.listen(kTwo, {});
    table.listen(kTwo, {5});
    const auto questions = table.take_questions();
    ASSERT_EQ(questions.size(), 2U);
    EXPECT_EQ(questions[0].group, net::IpAddress(net::Ipv4Address{}));
    EXPECT_TRUE(questions[1].group.is_unset());
    EXPECT_EQ(questions[1].listener, kTwo);
    table.forget(kTwo);
    table.listen(kTwo, {});
    table.forget(kTwo);
    EXPECT_TRUE(table.take_questions().empty()) << "nobody is there to be asked";
}

TEST_F(MembershipTable, IV15_a_report_counts_for_260_seconds) {
    says(GroupChange::is_exclude, {group(1)});
    EXPECT_TRUE(table.take_changed());
    EXPECT_FALSE(table.take_changed());
    EXPECT_EQ(table.groups(kOne, now).front().left, 260s);
    EXPECT_EQ(table.macs(kOne), std::set<std::uint64_t>{0x01005E000001});
    pass(259s);
    EXPECT_EQ(count(), 1U);
    EXPECT_FALSE(table.take_changed());
    pass(1s);
    EXPECT_EQ(count(), 0U);
    EXPECT_TRUE(table.take_changed());
    EXPECT_FALSE(table.next_due());
    EXPECT_EQ(table.size(), 0U);
}

TEST_F(MembershipTable, IV15_who_is_silent_is_asked_twice_before_it_is_forgotten) {
    says(GroupChange::is_exclude, {group(1)});
    pass(300s);
    ASSERT_EQ(asked.size(), 2U);
    EXPECT_EQ(asked[0].at, 145s);
    EXPECT_EQ(asked[1].at, 249s);
    EXPECT_EQ(asked[1].response, 10s);
}

TEST_F(MembershipTable,
       IV15_reports_in_answer_to_queries_of_others_keep_a_group_and_nobody_is_asked) {
    for (int round = 0; round < 5; ++round) {
        says(GroupChange::is_exclude, {group(1)});
        pass(130s);
    }
    EXPECT_EQ(count(), 1U);
    EXPECT_TRUE(asked.empty());
}

TEST_F(MembershipTable, IV15_a_leave_takes_two_seconds_and_two_questions) {
    says(GroupChange::is_exclude, {group(1), group(2)});
    says(GroupChange::to_include, {group(1)});
    table.tick(now);
    EXPECT_EQ(table.take_questions().size(), 1U);
    says(GroupChange::to_include, {group(1)});  // hosts say it twice
    pass(1s);
    EXPECT_EQ(count(), 2U);
    pass(1s);
    EXPECT_EQ(count(), 1U);
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(asked[0].response, 1s);
}

TEST_F(MembershipTable, IV15_another_host_behind_the_port_still_wants_what_one_leaves) {
    says(GroupChange::is_exclude, {group(1)});
    says(GroupChange::to_include, {group(1)});
    pass(1s);
    says(GroupChange::is_exclude, {group(1)});
    pass(200s);
    EXPECT_EQ(count(), 1U);
}

TEST_F(MembershipTable, a_group_of_sources_lives_as_long_as_one_of_them) {
    says(GroupChange::allow, {group(1)}, {source(1), source(2)});
    says(GroupChange::block, {group(1)}, {source(1)});
    pass(10s);
    EXPECT_EQ(count(), 1U);
    says(GroupChange::block, {group(1)}, {source(2)});
    pass(2s);
    EXPECT_EQ(count(), 0U);
}

TEST_F(MembershipTable, to_include_of_some_sources_ends_the_others) {
    says(GroupChange::is_exclude, {group(1)});
    says(GroupChange::to_include, {group(1)}, {source(1)});
    pass(10s);
    EXPECT_EQ(count(), 1U);
    says(GroupChange::block, {group(1)}, {source(1)});
    pass(2s);
    EXPECT_EQ(count(), 0U);
}

TEST_F(MembershipTable, who_excludes_sources_or_names_very_many_wants_the_group) {
    Sources many;
    for (unsigned i = 0; i < 200; ++i) {
        many.push_back(source(i));
    }
    says(GroupChange::is_exclude, {group(1)}, {source(1)});
    says(GroupChange::block, {group(1)}, {source(2)});
    says(GroupChange::allow, {group(2)}, many);
    says(GroupChange::block, {group(2)}, many);
    pass(10s);
    EXPECT_EQ(count(), 2U);
}

TEST_F(MembershipTable, VX74_a_source_that_is_excluded_from_the_start_is_unwanted_at_once) {
    says(GroupChange::is_exclude, {group(1)}, {source(2), source(1)});
    EXPECT_EQ(shown(), "all but 1 2");
    // Another host behind the port wants one of them, and later all.
    says(GroupChange::allow, {group(1)}, {source(2)});
    EXPECT_EQ(shown(), "all but 1");
    says(GroupChange::is_exclude, {group(1)});
    EXPECT_EQ(shown(), "all but");
    // When nobody wants all any more, those that were asked for stay.
    says(GroupChange::allow, {group(1)}, {source(3)});
    pass(100s);
    says(GroupChange::allow, {group(1)}, {source(3)});
    pass(161s);
    EXPECT_EQ(shown(), "only 3");
}

TEST_F(MembershipTable, VX74_a_blocked_source_ends_when_nobody_else_asks_for_it) {
    for (const auto change : {GroupChange::block, GroupChange::to_exclude}) {
        says(GroupChange::is_exclude, {group(1)});
        static_cast<void>(table.take_changed());
        asked.clear();
        says(change, {group(1)}, {source(1)});
        says(change, {group(1)}, {source(1)});  // hosts say it twice
        EXPECT_EQ(shown(), "all but") << "others may want it";
        table.tick(now);
        EXPECT_EQ(table.take_questions().size(), 1U);
        pass(1s);
        says(GroupChange::is_exclude, {group(1)}, {source(1)});  // the answer
        EXPECT_FALSE(table.take_changed());
        pass(1s);
        EXPECT_EQ(shown(), "all but 1");
        EXPECT_TRUE(table.take_changed()) << "workers hear of it";
        // And again with another host that answers.
        says(GroupChange::is_exclude, {group(1)});
        says(change, {group(1)}, {source(1)});
        says(GroupChange::is_exclude, {group(1)});
        pass(5s);
        EXPECT_EQ(shown(), "all but");
    }
}

TEST_F(MembershipTable, VX74_one_of_two_sources_ends_in_its_own_time) {
    says(GroupChange::allow, {group(1)}, {source(1), source(2)});
    EXPECT_EQ(shown(), "only 1 2");
    static_cast<void>(table.take_changed());
    says(GroupChange::block, {group(1)}, {source(1)});
    pass(2s);
    EXPECT_EQ(shown(), "only 2");
    EXPECT_TRUE(table.take_changed());
    says(GroupChange::is_exclude, {group(1)});
    says(GroupChange::to_include, {group(1)}, {source(2)});
    EXPECT_EQ(shown(), "all but");
    static_cast<void>(table.take_changed());
    pass(2s);
    EXPECT_EQ(shown(), "only 2");
    EXPECT_TRUE(table.take_changed());
    // Who is silent about what is left is asked.
    asked.clear();
    pass(300s);
    EXPECT_EQ(count(), 0U);
    EXPECT_GE(asked.size(), 2U);
}

TEST_F(MembershipTable, unwanted_sources_are_bounded_and_what_has_no_room_is_wanted) {
    Sources many;
    for (unsigned i = 1; i <= 200; ++i) {
        many.push_back(source(i));
    }
    says(GroupChange::is_exclude, {group(1)}, many);
    EXPECT_EQ(table.groups(kOne, now).front().sources.size(), 32U);
    says(GroupChange::block, {group(1)}, many);
    pass(5s);
    EXPECT_EQ(table.groups(kOne, now).front().sources.size(), 32U);
    // More than 32 that are asked for are all.
    says(GroupChange::allow, {group(1)}, many);
    EXPECT_EQ(shown(), "all but");
}

TEST_F(MembershipTable, leaving_what_nobody_joined_is_nothing) {
    says(GroupChange::to_include, {group(1)});
    says(GroupChange::is_include, {group(1)});
    says(GroupChange::allow, {group(1)});
    says(GroupChange::block, {group(1)}, {source(1)});
    EXPECT_EQ(count(), 0U);
    EXPECT_FALSE(table.take_changed());
    EXPECT_FALSE(table.next_due());
}

TEST_F(MembershipTable, a_thousand_groups_of_one_listener_leave_room_for_others) {
    table.listen(kTwo, {0x01005E000001, 0x01005E7FFFFF});
    std::vector<net::Ipv4Address> thousand;
    for (unsigned i = 1; i <= 1000; ++i) {
        thousand.push_back(group(i));
    }
    says(GroupChange::is_exclude, {thousand.begin(), thousand.begin() + 150});
    says(GroupChange::is_exclude, {thousand.begin() + 150, thousand.end()});
    EXPECT_EQ(count(), 28U);
    EXPECT_EQ(table.refused(kOne), 972U);
    EXPECT_EQ(table.take_refused(), std::pair(kOne, net::IpAddress(group(1000))));
    EXPECT_FALSE(table.take_refused());
    says(GroupChange::is_exclude, thousand, {}, kTwo);
    EXPECT_EQ(table.macs(kTwo).size(), 26U) << "two have their place already";
    EXPECT_EQ(count(kTwo), 27U) << "one of which was joined, too";
    EXPECT_EQ(table.size(), 55U);
    table.forget(kOne);
    table.forget(kTwo);
    EXPECT_EQ(table.size(), 0U);
    EXPECT_FALSE(table.next_due());
    EXPECT_EQ(table.high_water(), 55U);
}

TEST_F(MembershipTable, groups_of_one_mac_address_are_as_few_as_others) {
    std::vector<net::Ipv4Address> same;
    for (unsigned i = 0; i < 32; ++i) {  // the upper bits are not in the MAC address
        same.push_back(net::Ipv4Address::of((0xE0U + i / 2) << 24 | (i % 2) << 23 | 5));
    }
    says(GroupChange::is_exclude, same);
    EXPECT_EQ(count(), 28U);
    EXPECT_EQ(table.macs(kOne).size(), 1U);
}

TEST_F(MembershipTable, all_listeners_together_have_a_bound) {
    Memberships small({.total = 10});
    for (Memberships::Listener who = 0; who < 5; ++who) {
        small.listen(who, {});
        small.hear(who, report(GroupChange::is_exclude, {group(1), group(2), group(3)}), now);
    }
    EXPECT_EQ(small.size(), 10U);
    EXPECT_EQ(small.refused(), 5U);
}

TEST_F(MembershipTable, more_fixed_addresses_take_the_room_of_groups) {
    says(GroupChange::is_exclude, {group(1), group(2), group(3)});
    std::vector<std::uint64_t> fixed;
    for (std::uint64_t i = 0; i < 26; ++i) {
        fixed.push_back(0x01005E100000 + i);
    }
    table.listen(kOne, fixed);
    EXPECT_EQ(count(), 2U);
    EXPECT_EQ(table.refused(kOne), 1U);
}

TEST_F(MembershipTable, who_does_not_listen_is_not_heard) {
    table.hear(kTwo, report(GroupChange::is_exclude, {group(1)}), now);
    EXPECT_EQ(table.size(), 0U);
    auto wrong = report(GroupChange::is_exclude, {group(2)});
    wrong[30] ^= std::byte{1};
    EXPECT_EQ(table.hear(kOne, wrong, now), net::ReportKind::malformed);
    EXPECT_EQ(table.malformed(), 1U);
    EXPECT_EQ(table.size(), 0U);
}

}  // namespace
}  // namespace vxplane::control
