// What the machine lacks, said with its place in the file.
#include <gtest/gtest.h>

#include <algorithm>

#include "config/keys.hpp"
#include "config/load.hpp"
#include "control/machine.hpp"

namespace vxplane::control {
namespace {

config::Topology topology_of(const std::string& system) {
    const config::LoadResult loaded = config::check_text("version: 1\nsystem: " + system + R"(
ports:
  up: {device: net_null0, role: underlay, addresses: [10.0.0.1/24], rx-descriptors: 512}
)",
                                                         "t.yaml");
    for (const config::Problem& problem : loaded.problems) {
        ADD_FAILURE() << problem.text();
    }
    return loaded.topology;
}

TEST(MachinePlan, words_for_hash_types_are_those_that_ports_know) {
    const auto top = config::describe_topology();
    const auto ports = std::ranges::find(top, "ports", &config::KeyDescription::name);
    const auto keys = ports->type->item->object();
    const auto rss = std::ranges::find(keys, "rss", &config::KeyDescription::name);
    ASSERT_NE(rss, keys.end());
    std::vector<std::string_view> words(rss->type->item->words.begin(),
                                        rss->type->item->words.end());
    std::vector<std::string_view> known;
    for (const port::RssType& type : port::rss_types()) {
        known.push_back(type.name);
    }
    std::ranges::sort(words);
    std::ranges::sort(known);
    EXPECT_EQ(words, known);
}

TEST(MachinePlan, cpus_that_are_not_there_are_named_with_those_that_are) {
    const auto topology = topology_of("{workers: [1, 5], control: 9}");
    EXPECT_EQ(refuse_cpus(topology, {0, 1, 5, 9}), std::nullopt);
    EXPECT_EQ(refuse_cpus(topology, {0, 1, 9}),
              "t.yaml:2:23: system.workers[1]: CPU 5 does not exist or is not one that this "
              "process may use (0, 1, 9)");
    const auto control = refuse_cpus(topology, {1, 5});
    ASSERT_TRUE(control);
    EXPECT_NE(control->find("t.yaml:2:36: system.control: CPU 9"), std::string::npos) << *control;
}

TEST(MachinePlan, buffers_that_do_not_fill_the_rings_are_counted_by_port) {
    const auto topology = topology_of("{workers: [0, 1], mbufs: 3000}");
    port::PoolDemand demand;
    demand.ports.push_back(port::demand_of(options_of(topology.ports[0], 2)));
    demand.lcores = 3;
    EXPECT_EQ(refuse_buffers(topology, demand, 5000),
              "t.yaml:2:34: system.mbufs: 3000 packet buffers do not fill the rings, which hold "
              "3072 (up: 2 x 512 rx and 2 x 1024 tx descriptors) (auto, which is 5000 here, or "
              "fewer descriptors)");
    EXPECT_EQ(refuse_buffers(topology_of("{workers: [0, 1], mbufs: 3072}"), demand, 5000),
              std::nullopt);
}

TEST(MachinePlan, failures_of_a_port_are_given_their_place) {
    const auto topology = topology_of("{workers: [0, 1]}");
    const config::Port& up = topology.ports[0];
    EXPECT_EQ(problem_at_key(topology, up, {"no such device", ""}), "no such device");
    EXPECT_EQ(problem_at_key(topology, up, {"too many", "rx-descriptors"}),
              "t.yaml:4:85: ports.up.rx-descriptors: too many");
}

}  // namespace
}  // namespace vxplane::control
