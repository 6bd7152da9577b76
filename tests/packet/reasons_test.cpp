// The law that every drop reason has a packet which causes it. Runs last: it looks at what the
// tests before it have caused.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

/// Only control gives packets up for these: the test of tests/unit/control/punts_test.cpp that
/// causes each. The last one needs two packets at once in the hooks (tests/unit/hooks).
const std::map<DropReason, const char*> kByControl = {
    {DropReason::arp_malformed, "malformed_arp_is_dropped_for_that_reason"},
    {DropReason::nd_malformed, "malformed_neighbour_discovery_is_dropped_for_that_reason"},
    {DropReason::slave_arp_foreign, "arp_of_a_slave_in_a_foreign_name_is_dropped"},
    {DropReason::slave_lease_refused, "IV06_a_lease_of_what_is_somebody_elses_is_refused"},
    {DropReason::icmp_malformed, "an_echo_request_to_us_is_answered_and_a_wrong_one_dropped"},
    {DropReason::neigh_failed,
     "RP62_after_the_last_request_packets_are_dropped_and_the_sender_is_told"},
    {DropReason::neigh_queue_full, "RP62_the_oldest_packet_goes_first_when_the_queue_is_full"},
    {DropReason::inject_ring_full, "a_full_inject_ring_drops_and_counts"},
    {DropReason::ct_clash, "a_second_packet_that_was_sent_elsewhere_meanwhile_is_dropped"},
};

TEST(ZDropReasons, each_has_a_golden_packet) {
    if (testing::GTEST_FLAG(filter) != "*" || testing::GTEST_FLAG(shuffle))
        GTEST_SKIP() << "only some tests ran before this one";
    for (std::size_t i = 1; i < packet::kDropReasons; ++i) {
        const auto reason = static_cast<DropReason>(i);
        EXPECT_NE(caused_reasons().contains(reason), kByControl.contains(reason))
            << packet::info(reason).name << " is caused by no golden packet, or is not control's";
    }
}

TEST(ZDropReasons, names_and_sentences_are_unique) {
    std::set<std::string_view> names, texts;
    for (const packet::DropReasonInfo& info : packet::kDropReasonInfo) {
        EXPECT_TRUE(names.insert(info.name).second) << info.name;
        EXPECT_TRUE(texts.insert(info.text).second) << info.text;
    }
}

}  // namespace
}  // namespace vxplane::support
