// The plan of queues: which worker polls what, and by which queue it sends. On machines of two
// nodes, which need not be there.
#include <gtest/gtest.h>

#include "dataplane/worker/plan.hpp"

namespace vxplane::worker {
namespace {

using Workers = std::vector<unsigned>;

TEST(QueuePlan, one_queue_for_each_worker) {
    QueuePlan plan({0, 0, 0});
    EXPECT_EQ(plan.place(0, 3, {}), (Workers{0, 1, 2}));
    EXPECT_EQ(plan.place(-1, 3, {}), (Workers{0, 1, 2}));
}

TEST(QueuePlan, ports_with_one_queue_go_to_different_workers) {
    QueuePlan plan({0, 0});
    EXPECT_EQ(plan.place(-1, 1, {}), Workers{0});
    EXPECT_EQ(plan.place(-1, 1, {}), Workers{1});
    EXPECT_EQ(plan.place(-1, 1, {}), Workers{0});
}

TEST(QueuePlan, RP06_workers_of_the_devices_node_come_first) {
    QueuePlan plan({0, 1, 0, 1});
    EXPECT_EQ(plan.place(1, 2, {}), (Workers{1, 3}));
    EXPECT_EQ(plan.place(0, 1, {}), Workers{0});
    EXPECT_EQ(plan.place(0, 1, {}), Workers{2});
    EXPECT_EQ(plan.place(1, 1, {}), Workers{1}) << "its node, though others poll nothing";
}

TEST(QueuePlan, RP06_a_foreign_node_helps_when_there_are_more_queues_than_workers_of_the_own) {
    QueuePlan plan({0, 0, 1, 1});
    EXPECT_EQ(plan.place(1, 4, {}), (Workers{2, 3, 0, 1}));
    EXPECT_EQ(plan.place(1, 6, {}), (Workers{2, 3, 0, 1, 2, 3}));
}

TEST(QueuePlan, named_workers_are_used_in_turn) {
    QueuePlan plan({0, 1, 0});
    EXPECT_EQ(plan.place(0, 5, {2, 1}), (Workers{2, 1, 2, 1, 2}));
    EXPECT_EQ(plan.place(0, 1, {}), Workers{0}) << "the least loaded";
}

TEST(QueuePlan, each_worker_has_a_transmit_queue_where_there_are_enough) {
    const auto places = place_tx(2, 4, {1});
    EXPECT_EQ(places[0].queue, 0);
    EXPECT_EQ(places[0].owner, 0U);
    EXPECT_EQ(places[1].queue, 1);
    EXPECT_EQ(places[1].owner, 1U);
}

TEST(QueuePlan, workers_share_transmit_queues_that_those_who_poll_the_port_own) {
    const auto one = place_tx(3, 1, {2});
    for (unsigned worker = 0; worker < 3; ++worker) {
        EXPECT_EQ(one[worker].queue, 0);
        EXPECT_EQ(one[worker].owner, 2U);
    }
    const auto two = place_tx(4, 2, {3, 1});
    EXPECT_EQ(two[3].owner, 3U);
    EXPECT_EQ(two[1].owner, 1U);
    EXPECT_NE(two[3].queue, two[1].queue);
    EXPECT_EQ(two[0].owner, 3U);
    EXPECT_EQ(two[0].queue, two[3].queue);
    EXPECT_EQ(two[2].owner, 1U);
    EXPECT_EQ(two[2].queue, two[1].queue);
}

}  // namespace
}  // namespace vxplane::worker
