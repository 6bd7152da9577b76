// The law that every drop reason has a packet which causes it. Runs last: it looks at what the
// tests before it have caused.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

/// Only control gives packets up for these; the tests that cause them are named beside them.
const std::map<DropReason, const char*> kByControl = {
    {DropReason::arp_malformed, "tests/unit/control: malformed_frames_are_refused"},
    {DropReason::icmp_malformed, "tests/unit/control: refuses malformed ICMP"},
    {DropReason::neigh_failed, "tests/unit/control: gives up after the last probe"},
    {DropReason::neigh_queue_full, "tests/unit/control: drops the oldest held packet"},
    {DropReason::inject_ring_full, "tests/unit/control: a worker's inject ring that is full"},
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
