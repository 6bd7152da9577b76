// Cases are visited in turn, round after round, and with them encapsulation of bridged frames,
// which all are compared with.
#include "bench/vxbench/slaves.hpp"

#include <rte_cycles.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "bench/vxbench/rig.hpp"
#include "bench/vxbench/slave_world.hpp"
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
            cases.push_back({way, slaves, 1, 0, false});
        }
    }
    for (const SlaveWay way : {SlaveWay::to_wire, SlaveWay::to_segment}) {
        for (const std::uint32_t routes : options.routes) {
            if (routes != 1) {
                cases.push_back({way, 100, routes, 0, false});
            }
        }
    }
    for (const SlaveWay way : {SlaveWay::to_wire, SlaveWay::from_wire}) {
        for (const bool nat : {false, true}) {
            for (const std::uint32_t connections : options.connections) {
                cases.push_back({way, 1, 1, connections, nat});
            }
        }
    }
    return cases;
}

/// One case: its worker, its tables and its frames.
class SlaveStand {
  public:
    SlaveStand(Bench& bench, const SlaveCase& which, std::uint32_t batch)
        : bench_(bench),
          world_(which, {bench.access().port().id(), bench.underlay().port().id()}),
          from_(which.way == SlaveWay::from_wire ? bench.underlay() : bench.access()),
          to_(which.way == SlaveWay::from_wire || which.way == SlaveWay::to_sibling
                  ? bench.access()
                  : bench.underlay()),
          published_(world_.tables()),
          mbufs_(batch) {
        worker::WorkerOptions options;
        options.rx = {{from_.port().id(), 0}};
        options.idle = worker::Idle::busy;
        options.port_count = kFirstTenant;
        options.segment_count = 1;
        options.lanes.resize(options.port_count);
        for (port::MemoryPort* port : {&bench.access(), &bench.underlay()}) {
            options.lanes[port->port().id()].port = port->port().id();
        }
        options.rings = bench.rings();
        options.tables = &published_;
        options.clock = &clock_;
        options.rcu = bench.rcu();
        options.pools = port::WorkerPools(bench.pools(), 0);
        worker_ = std::make_unique<worker::Worker>(std::move(options));
    }

    /// Cycles per packet, drivers included.
    double time_batch() {
        fill();
        const std::uint64_t start = rte_rdtsc_precise();
        for (const std::uint32_t slave : senders_) {
            world_.enter(slave);
            worker_->poll();
        }
        const std::uint64_t stop = rte_rdtsc_precise();
        drain();
        return static_cast<double>(stop - start) / static_cast<double>(mbufs_.size());
    }
    double time_drivers() {
        fill();
        std::array<rte_mbuf*, packet::kBurstSize> burst;
        const std::uint64_t start = rte_rdtsc_precise();
        while (const std::uint16_t count =
                   rte_eth_rx_burst(from_.port().id(), 0, burst.data(), burst.size())) {
            rte_eth_tx_burst(to_.port().id(), 0, burst.data(), count);
        }
        const std::uint64_t stop = rte_rdtsc_precise();
        static_cast<void>(to_.pop(mbufs_));
        rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
        return static_cast<double>(stop - start) / static_cast<double>(mbufs_.size());
    }
    [[nodiscard]] const SlaveCase& subject() const { return world_.subject(); }

  private:
    void fill() {
        const SlaveCase& which = world_.subject();
        bench_.take(mbufs_);
        senders_.clear();
        for (std::size_t i = 0; i < mbufs_.size(); ++i) {
            // A burst from a slave's port is of one slave; a burst from the wire is for many.
            if (i % packet::kBurstSize == 0) {
                senders_.push_back(net::scale(random(), which.slaves));
            }
            const std::uint32_t slave = which.way == SlaveWay::from_wire
                                            ? net::scale(random(), which.slaves)
                                            : senders_.back();
            world_.write(mbufs_[i], slave, random());
        }
        if (from_.push(mbufs_) != mbufs_.size()) {
            give_up("the receive ring is too small");
        }
    }
    void drain() {
        const std::uint16_t sent = to_.pop(mbufs_);
        const auto& drops = worker_->counters().drops;
        for (std::size_t i = 0; i < drops.size(); ++i) {
            if (drops[i].get() != 0) {
                give_up(subject().text() +
                        ": dropped: " + std::string(packet::kDropReasonInfo[i].name));
            }
        }
        if (sent != mbufs_.size()) {
            give_up(subject().text() + ": " + std::to_string(sent) + " frames came out, " +
                    std::to_string(worker_->counters().diverted.get()) + " went to control");
        }
        for (const rte_mbuf* mbuf : mbufs_) {
            if (const std::string wrong = world_.check(mbuf); !wrong.empty()) {
                give_up(subject().text() + ": wrong output: " + wrong);
            }
        }
        rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
    }
    std::uint32_t random() { return static_cast<std::uint32_t>(random_() >> 16); }

    Bench& bench_;
    SlaveWorld world_;
    port::MemoryPort& from_;
    port::MemoryPort& to_;
    std::atomic<const table::Tables*> published_;
    worker::SharedClock clock_;
    std::vector<rte_mbuf*> mbufs_;
    std::vector<std::uint32_t> senders_;
    std::mt19937_64 random_{7};
    std::unique_ptr<worker::Worker> worker_;
};

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
        std::printf("%-16s %8s %9s %12s %4s | %7s %7s | %8s\n", "way", "slaves", "routes",
                    "connections", "NAT", "least", "median", "bridged x");
        nlohmann::json json;
        for (const Row& row : rows) {
            std::printf("%-16s %8u %9u %12u %4s | %7.1f %7.1f | %8.2f\n", row.which.text().c_str(),
                        row.which.slaves, row.which.routes, row.which.connections,
                        row.which.nat ? "yes" : "no", row.own(), row.median(),
                        row.own() / base_row.own());
            json["cases"].push_back({{"way", row.which.text()},
                                     {"slaves", row.which.slaves},
                                     {"routes", row.which.routes},
                                     {"connections", row.which.connections},
                                     {"nat", row.which.nat},
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
