// Cases are visited in turn, round after round, and with them encapsulation of bridged frames,
// which all are compared with.
#include "bench/vxbench/slaves.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/vxbench/rig.hpp"
#include "bench/vxbench/slave_stand.hpp"
#include "bench/vxbench/start.hpp"
#include "dataplane/port/eal.hpp"

namespace vxplane::bench {
namespace {

struct SlaveOptions {
    std::vector<std::uint32_t> slaves{1, 100, 10'000};
    std::vector<std::uint32_t> routes{1, 1'000, 1'000'000};
    std::vector<std::uint32_t> connections{1, 10'000, 1'000'000};
    std::uint32_t rounds = 5;
    std::uint32_t batches = 16;
    unsigned cpu = 0;
    bool no_huge = false;
    std::string json{};
};

SlaveOptions read(int argc, char** argv) {
    SlaveOptions options;
    CLI::App app{"What packets of ipvlan slaves cost in the real worker loop, in cycles."};
    app.name("vxbench slaves");
    const auto number =
        CLI::AsNumberWithUnit(std::map<std::string, std::uint32_t>{{"k", 1'000}, {"M", 1'000'000}},
                              CLI::AsNumberWithUnit::CASE_SENSITIVE);
    const auto list = [&](const char* name, std::vector<std::uint32_t>& to, const char* text) {
        app.add_option(name, to, text)->delimiter(',')->transform(number);
    };
    list("--slaves", options.slaves, "slaves of the master (1,100,10k)");
    list("--routes", options.routes, "routes in the slaves' table (1,1k,1M)");
    list("--connections", options.connections, "connections that are tracked (1,10k,1M)");
    app.add_option("--rounds", options.rounds, "visits to each case")->capture_default_str();
    app.add_option("--batches", options.batches, "batches of 2048 frames per visit")
        ->capture_default_str();
    app.add_option("--cpu", options.cpu, "CPU to run on")->capture_default_str();
    app.add_option("--json", options.json, "write the figures to this file");
    app.add_flag("--no-huge", options.no_huge, "leave hugepages alone");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    return options;
}

/// All ways with each number of slaves, of routes and of connections; what is not asked for is 1.
std::vector<SlaveCase> cases_of(const SlaveOptions& options) {
    std::vector<SlaveCase> cases;
    for (const SlaveWay way :
         {SlaveWay::to_wire, SlaveWay::from_wire, SlaveWay::to_sibling, SlaveWay::to_segment}) {
        for (const std::uint32_t slaves : options.slaves) {
            cases.push_back({way, slaves, 1, 0});
        }
    }
    for (const SlaveWay way : {SlaveWay::to_wire, SlaveWay::to_segment}) {
        for (const std::uint32_t routes : options.routes) {
            if (routes != 1) {
                cases.push_back({way, 100, routes, 0});
            }
        }
    }
    for (const SlaveWay way : {SlaveWay::to_wire, SlaveWay::from_wire}) {
        for (const auto& [tcp, nat] : {std::pair{false, false}, {true, false}, {false, true}}) {
            for (const std::uint32_t connections : options.connections) {
                cases.push_back({way, 1, 1, connections, nat, tcp});
            }
        }
    }
    return cases;
}

struct Row {
    SlaveCase which;
    std::vector<double> cycles;
    double drivers = 1e9;
    [[nodiscard]] double own() const {
        return *std::min_element(cycles.begin(), cycles.end()) - drivers;
    }
    [[nodiscard]] double median() const {
        std::vector<double> sorted = cycles;
        std::sort(sorted.begin(), sorted.end());
        return sorted[sorted.size() / 2] - drivers;
    }
};

}  // namespace

int run_slaves(int argc, char** argv) {
    const SlaveOptions options = read(argc, argv);
    const Setting setting = start_dpdk({.main_cpu = options.cpu, .huge = !options.no_huge});
    bool written = true;
    {
        Options rig;
        rig.cpu = options.cpu;
        Bench bench(rig);
        const PortIds ports{bench.access().port().id(), bench.underlay().port().id()};
        const Case bridged{Direction::encap, false, 1, 1, 64};
        Stand base(bench, bridged, std::make_shared<const Network>(bridged, rig, ports), rig);
        Row base_row;
        std::vector<Row> rows;
        for (const SlaveCase& which : cases_of(options)) {
            rows.push_back({which, {}});
        }
        // Tables of a case may be larger than what memory holds of all: one case at a time, in
        // turn.
        for (std::uint32_t round = 0; round < options.rounds; ++round) {
            for (Row& row : rows) {
                SlaveStand stand(bench, row.which, rig.batch);
                const std::uint32_t warm = std::clamp(
                    2 * std::max(row.which.routes, row.which.connections) / rig.batch, 8U, 512U);
                for (std::uint32_t i = 0; i < warm; ++i) {
                    static_cast<void>(stand.time_batch());
                }
                for (std::uint32_t i = 0; i < options.batches; ++i) {
                    row.cycles.push_back(stand.time_batch());
                    row.drivers = std::min(row.drivers, stand.time_drivers());
                    if (i % 4 == 0) {
                        base_row.cycles.push_back(base.time_batch().cycles);
                        base_row.drivers = std::min(base_row.drivers, base.time_drivers());
                    }
                }
            }
        }
        std::printf(
            "cycles per packet of the worker, drivers taken off; 64-byte frames, %s pages; "
            "bridged into a tunnel: %.1f\n",
            setting.hugepages ? "huge" : "ordinary", base_row.own());
        std::printf("%-16s %8s %9s %12s %5s %4s | %7s %7s | %8s\n", "way", "slaves", "routes",
                    "connections", "proto", "NAT", "least", "median", "bridged x");
        nlohmann::json json;
        for (const Row& row : rows) {
            std::printf("%-16s %8u %9u %12u %5s %4s | %7.1f %7.1f | %8.2f\n",
                        row.which.text().c_str(), row.which.slaves, row.which.routes,
                        row.which.connections, row.which.tcp ? "tcp" : "udp",
                        row.which.nat ? "yes" : "no", row.own(), row.median(),
                        row.own() / base_row.own());
            json["cases"].push_back({{"way", row.which.text()},
                                     {"slaves", row.which.slaves},
                                     {"routes", row.which.routes},
                                     {"connections", row.which.connections},
                                     {"nat", row.which.nat},
                                     {"tcp", row.which.tcp},
                                     {"least", row.own()},
                                     {"median", row.median()}});
        }
        json["bridged"] = base_row.own();
        json["tsc_hz"] = setting.tsc_hz;
        if (!options.json.empty()) {
            std::ofstream out{options.json};
            out << json.dump(1) << "\n";
            written = static_cast<bool>(out.flush());
        }
    }
    port::stop_eal();
    if (!written) {
        std::fprintf(stderr, "vxbench: cannot write %s\n", options.json.c_str());
    }
    return written ? 0 : 1;
}

}  // namespace vxplane::bench
