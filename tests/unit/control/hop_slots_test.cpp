// Which member of a group of next hops a flow goes by, before and after the group changes.
#include <gtest/gtest.h>

#include <bit>

#include "control/apply/hop_slots.hpp"

namespace vxplane::control {
namespace {

using Member = GroupSlots::Member;

std::size_t moved(const GroupSlots& one, const GroupSlots& other) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < other.slots().size(); ++i) {
        count += one.slots()[i & (one.slots().size() - 1)] != other.slots()[i] ? 1U : 0U;
    }
    return count;
}

std::vector<Member> members(std::uint32_t count) {
    std::vector<Member> all;
    for (std::uint32_t i = 1; i <= count; ++i) {
        all.emplace_back(i, 1);
    }
    return all;
}

TEST(GroupSlots, there_are_a_power_of_two_and_enough_for_each_member) {
    for (const std::uint32_t count : {1U, 2U, 3U, 8U, 9U, 64U}) {
        const GroupSlots group(members(count), {});
        EXPECT_TRUE(std::has_single_bit(group.slots().size()));
        EXPECT_GE(group.slots().size(), GroupSlots::kFewest);
        EXPECT_GE(group.slots().size(), count * GroupSlots::kForEach);
        for (const auto& [number, weight] : group.members()) {
            EXPECT_NEAR(group.held_by(number), group.slots().size() / count, 1);
        }
    }
}

TEST(GroupSlots, weights_are_kept) {
    const GroupSlots group({{1, 1}, {2, 3}}, {});
    EXPECT_EQ(group.held_by(1), 64U);
    EXPECT_EQ(group.held_by(2), 192U);
}

TEST(GroupSlots, RP73_a_member_that_leaves_moves_its_own_slots_alone) {
    for (const std::uint32_t count : {2U, 3U, 5U, 8U, 16U, 33U, 64U}) {
        const GroupSlots before(members(count), {});
        for (std::uint32_t gone = 1; gone <= count; ++gone) {
            std::vector<Member> rest = members(count);
            rest.erase(rest.begin() + gone - 1);
            const GroupSlots after(rest, before);
            ASSERT_EQ(after.slots().size(), before.slots().size());
            EXPECT_EQ(moved(before, after), before.held_by(gone));
            EXPECT_LE(static_cast<double>(moved(before, after)),
                      (1.0 / count + 0.02) * static_cast<double>(before.slots().size()));
        }
    }
}

TEST(GroupSlots, RP73_a_member_that_comes_takes_no_more_than_its_share) {
    const GroupSlots before(members(7), {});
    const GroupSlots after(members(8), before);
    EXPECT_EQ(moved(before, after), after.held_by(8));
    EXPECT_EQ(after.held_by(8), after.slots().size() / 8);
}

}  // namespace
}  // namespace vxplane::control
