// vxbench: what a packet costs in the real worker loop, in cycles. Cases are visited in turn, round
// after round, so that a slow moment of the machine falls on all of them.
#include <rte_cycles.h>

#include <cstdio>
#include <map>
#include <memory>
#include <string_view>
#include <tuple>

#include "bench/vxbench/beside.hpp"
#include "bench/vxbench/latency.hpp"
#include "bench/vxbench/report.hpp"
#include "bench/vxbench/scaling.hpp"
#include "bench/vxbench/slaves.hpp"
#include "bench/vxbench/visit.hpp"
#include "dataplane/port/eal.hpp"

namespace vxplane::bench {
namespace {

std::vector<std::unique_ptr<Stand>> make_stands(Bench& bench, const Options& options) {
    const PortIds ports{bench.access().port().id(), bench.underlay().port().id()};
    std::map<std::tuple<Direction, bool, std::uint32_t, std::uint32_t>,
             std::shared_ptr<const Network>>
        networks;
    std::vector<std::unique_ptr<Stand>> stands;
    for (const Case& which : options.cases) {
        auto& network = networks[{which.direction, which.learning, which.macs, which.vnis}];
        if (network == nullptr) {
            network = std::make_shared<const Network>(which, options, ports);
        }
        stands.push_back(std::make_unique<Stand>(bench, which, network, options));
    }
    return stands;
}

std::vector<Result> measure(std::vector<std::unique_ptr<Stand>>& stands, const Options& options) {
    std::vector<Result> results;
    for (const auto& stand : stands) {
        results.push_back(
            {stand->subject(), stand->network().entries(), stand->stage_names(), {}, {}});
    }
    const std::uint64_t end =
        rte_rdtsc() +
        static_cast<std::uint64_t>(options.seconds * static_cast<double>(rte_get_tsc_hz()));
    const auto goes_on = [&](std::uint32_t round) {
        return options.seconds > 0 ? round == 0 || rte_rdtsc() < end : round < options.rounds;
    };
    for (std::uint32_t round = 0; goes_on(round); ++round) {
        for (std::size_t i = 0; i < stands.size(); ++i) {
            visit(*stands[i], results[i], options);
        }
    }
    return results;
}

int run(const Options& options) {
    const Setting setting = start_dpdk({.main_cpu = options.cpu, .huge = options.huge});
    bool written = true;
    {
        Bench bench(options);
        auto stands = make_stands(bench, options);
        const auto results = measure(stands, options);
        if (options.json != "-") {
            print_table(results, setting, options.list_stages);
        }
        if (!options.json.empty() && !write_json(results, setting, options)) {
            std::fprintf(stderr, "vxbench: cannot write %s\n", options.json.c_str());
            written = false;
        }
    }
    port::stop_eal();
    return written ? 0 : 1;
}

}  // namespace
}  // namespace vxplane::bench

int main(int argc, char** argv) {
    const std::string_view kind = argc > 1 ? argv[1] : "";
    if (kind == "latency") {
        return vxplane::bench::run_latency(argc - 1, argv + 1);
    }
    if (kind == "scaling") {
        return vxplane::bench::run_scaling(argc - 1, argv + 1);
    }
    if (kind == "beside") {
        return vxplane::bench::run_beside(argc - 1, argv + 1);
    }
    if (kind == "slaves") {
        return vxplane::bench::run_slaves(argc - 1, argv + 1);
    }
    return vxplane::bench::run(vxplane::bench::read_options(argc, argv));
}
