// Key and value of the forwarding database: what goes in comes out, and what counts as one place.
#include "dataplane/table/fdb_entry.hpp"

#include <gtest/gtest.h>

namespace vxplane::table {
namespace {

TEST(FdbKey, holds_mac_and_segment) {
    const auto key = FdbKey::make(0x1234'5678'9abcULL, 0xdef0);
    EXPECT_EQ(key.raw, 0x1234'5678'9abc'def0ULL);
    EXPECT_EQ(key.mac48(), 0x1234'5678'9abcULL);
    EXPECT_EQ(key.segment(), 0xdef0);
}

TEST(FdbKey, only_the_marks_of_empty_and_given_up_slots_are_no_keys) {
    EXPECT_FALSE(FdbKey::make(0, 0).is_storable());
    EXPECT_FALSE(FdbKey::make(0xffff'ffff'ffffULL, 0xffff).is_storable());
    EXPECT_TRUE(FdbKey::make(0, 1).is_storable());
    EXPECT_TRUE(FdbKey::make(0xffff'ffff'ffffULL, 0).is_storable());
}

TEST(FdbValue, holds_every_field_at_its_limits) {
    for (const std::uint32_t index : {0U, 1U, FdbValue::max_index}) {
        for (const auto state : {FdbState::dynamic, FdbState::controller}) {
            for (const auto kind : {FdbKind::port, FdbKind::flood_list}) {
                for (const std::uint8_t epoch : {0, 255}) {
                    const auto value = FdbValue::make(kind, index, state, epoch);
                    EXPECT_EQ(value.index(), index);
                    EXPECT_EQ(value.state(), state);
                    EXPECT_EQ(value.kind(), kind);
                    EXPECT_EQ(value.epoch(), epoch);
                    EXPECT_EQ(FdbValue::from_raw(value.raw()), value);
                }
            }
        }
    }
}

TEST(FdbValue, location_is_kind_and_index_alone) {
    const auto here = FdbValue::make(FdbKind::tunnel, 7, FdbState::dynamic, 1);
    EXPECT_EQ(here.location(),
              FdbValue::make(FdbKind::tunnel, 7, FdbState::permanent, 200).location());
    EXPECT_NE(here.location(), FdbValue::make(FdbKind::tunnel, 8, FdbState::dynamic, 1).location());
    EXPECT_NE(here.location(), FdbValue::make(FdbKind::port, 7, FdbState::dynamic, 1).location());
}

TEST(FdbValue, all_but_dynamic_entries_are_fixed) {
    EXPECT_FALSE(FdbValue::make(FdbKind::port, 1, FdbState::dynamic, 0).is_fixed());
    EXPECT_TRUE(FdbValue::make(FdbKind::port, 1, FdbState::static_, 0).is_fixed());
    EXPECT_TRUE(FdbValue::make(FdbKind::port, 1, FdbState::permanent, 0).is_fixed());
    EXPECT_TRUE(FdbValue::make(FdbKind::port, 1, FdbState::controller, 0).is_fixed());
}

}  // namespace
}  // namespace vxplane::table
