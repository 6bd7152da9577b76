// Packet memory: sizes, and which node's buffers a worker takes.
#include "dataplane/port/pool.hpp"

#include "lab.hpp"

namespace vxplane::port::test {
namespace {

TEST(PoolSize, covers_all_that_can_hold_a_packet) {
    PoolDemand demand;
    demand.ports = {{2, 1024, 3, 512}, {1, 256, 3, 256}};
    demand.lcores = 4;
    demand.burst = 64;
    demand.held = 100;
    demand.ring_slots = 2048;
    const std::uint32_t queues = 2 * 1024 + 3 * 512 + 256 + 3 * 256;
    const std::uint32_t in_hand = 4 * 64 * 3;
    const std::uint32_t caches = 4 * pool_cache * 3 / 2;
    EXPECT_EQ(packets_needed(demand), queues + in_hand + caches + 100 + 2048);
    const std::uint32_t sent = 3 * 512 + 3 * 256;
    EXPECT_EQ(headers_needed(demand, 4), 2 * (sent + 4 * 64 * 4) + caches);
    // However long the list: two bursts for each port and to be freed, held packets, rings.
    const std::uint32_t kept = 4 * 2 * 64 * 3 + 100 + 2048;
    EXPECT_EQ(headers_needed(demand, 4096), 2 * (sent + kept) + caches);
}

TEST(PoolSize, data_room_holds_the_largest_frame_in_one_piece) {
    EXPECT_EQ(packet_data_room(1500), RTE_MBUF_DEFAULT_BUF_SIZE);
    for (const std::uint16_t mtu : {2047, 2048, 9000, 9216}) {
        const std::uint16_t room = packet_data_room(mtu);
        EXPECT_GE(room, RTE_PKTMBUF_HEADROOM + mtu + 18);
        EXPECT_EQ(room % RTE_CACHE_LINE_SIZE, 0);
    }
}

TEST(PoolSet, refuses_what_does_not_fit_and_gives_the_numbers) {
    PoolSizes sizes;
    sizes.packets = 1000000;
    sizes.headers = 1023;
    const auto set = PoolSet::make(sizes, {0});
    ASSERT_FALSE(set.ok());
    const std::string& text = set.failure().text;
    EXPECT_NE(text.find("1000000 packet buffers of 2176 bytes need"), std::string::npos) << text;
    EXPECT_NE(text.find("MB given to DPDK are free"), std::string::npos) << text;
    EXPECT_GT(pool_bytes(sizes), 2000ULL << 20);
}

TEST(PoolSet, can_be_made_again_after_it_was_freed) {
    PoolSizes sizes;
    sizes.packets = 1023;
    sizes.headers = 1023;
    for (int i = 0; i < 3; ++i) {
        const auto set = PoolSet::make(sizes, {});
        ASSERT_TRUE(set.ok()) << set.failure().text;
        EXPECT_EQ((*set)->in_use(), 0U);
    }
}

/// Two pools with node numbers of their own: machines with one node have workers on two as well.
std::unique_ptr<PoolSet> two_nodes(unsigned count) {
    std::vector<PoolSet::Node> nodes;
    for (const int node : {0, 1}) {
        const auto make = [&](const char* kind) {
            return rte_pktmbuf_pool_create((kind + std::to_string(node)).c_str(), count, 0, 0,
                                           header_data_room, SOCKET_ID_ANY);
        };
        nodes.push_back({node, {make("p"), make("h")}});
    }
    return std::make_unique<PoolSet>(nodes);
}

TEST(WorkerPools, RP06_takes_from_its_own_node_while_there_is_any) {
    const auto set = two_nodes(4);
    WorkerPools worker{*set, 1};
    EXPECT_EQ(worker.own().packets, set->of(1).packets);
    std::vector<rte_mbuf*> taken;
    for (int i = 0; i < 4; ++i) {
        taken.push_back(worker.packet());
        ASSERT_NE(taken.back(), nullptr);
        EXPECT_EQ(taken.back()->pool, set->of(1).packets);
    }
    EXPECT_EQ(worker.foreign(), 0U);
    for (rte_mbuf* mbuf : taken) rte_pktmbuf_free(mbuf);
    EXPECT_EQ(set->in_use(), 0U);
}

TEST(WorkerPools, RP06_counts_buffers_of_another_node_and_refusals) {
    const auto set = two_nodes(2);
    WorkerPools worker{*set, 1};
    std::vector<rte_mbuf*> taken;
    for (int i = 0; i < 4; ++i) taken.push_back(worker.header());
    EXPECT_EQ(taken[1]->pool, set->of(1).headers);
    EXPECT_EQ(taken[2]->pool, set->of(0).headers);
    EXPECT_EQ(worker.foreign(), 2U);
    EXPECT_EQ(worker.refused(), 0U);
    EXPECT_EQ(worker.header(), nullptr);
    EXPECT_EQ(worker.refused(), 1U);
    EXPECT_EQ(worker.foreign(), 2U);
    for (rte_mbuf* mbuf : taken) rte_pktmbuf_free(mbuf);
    EXPECT_EQ(set->in_use(), 0U);
}

TEST(WorkerPools, shares_a_payload_without_copying_it) {
    const auto set = two_nodes(2);
    WorkerPools worker{*set, 0};
    rte_mbuf* payload = worker.packet();
    rte_pktmbuf_append(payload, 60);
    rte_mbuf* copies[3] = {worker.share(payload), worker.share(payload), worker.share(payload)};
    EXPECT_EQ(copies[0]->buf_addr, payload->buf_addr);
    EXPECT_EQ(worker.foreign(), 1U);
    EXPECT_EQ(rte_mbuf_refcnt_read(payload), 4);
    for (rte_mbuf* copy : copies) rte_pktmbuf_free(copy);
    rte_pktmbuf_free(payload);
    EXPECT_EQ(set->in_use(), 0U);
}

}  // namespace
}  // namespace vxplane::port::test
