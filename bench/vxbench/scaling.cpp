// Two measurements of what workers take from each other: the whole worker loop, alone and side by
// side on the queues of the same ports with the same tables; and their counters alone.
#include "bench/vxbench/scaling.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/vxbench/crew.hpp"
#include "bench/vxbench/start.hpp"
#include "dataplane/port/eal.hpp"

namespace vxplane::bench {
namespace {

struct ScalingOptions {
    std::vector<unsigned> cpus{0, 1};
    std::uint32_t macs = 1'000;
    std::uint32_t rounds = 10;
    std::uint32_t batches = 32;
    bool no_huge = false;
    std::string json;
};

ScalingOptions read(int argc, char** argv) {
    ScalingOptions options;
    CLI::App app{
        "Packets per second of several workers beside one, each on its queue of the same "
        "in-memory\n"
        "ports, over the same tables; then what counting costs alone and side by side.",
        "vxbench scaling"};
    app.add_option("--cpus", options.cpus, "one worker on each")
        ->delimiter(',')
        ->expected(2, Bench::kMostWorkers)
        ->capture_default_str();
    app.add_option("--macs", options.macs, "entries in the FDB")
        ->check(CLI::Range(1, 8'000'000))
        ->capture_default_str();
    app.add_option("--rounds", options.rounds, "interleaved visits to each case")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--batches", options.batches, "timed batches of 2,048 frames per visit")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--json", options.json, "write the figures to this file");
    app.add_flag("--no-huge", options.no_huge, "leave hugepages alone");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    return options;
}

double least(const std::vector<double>& values) {
    return *std::min_element(values.begin(), values.end());
}
double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Times of the same work, by each member alone and by all at once; each member does as much.
struct Times {
    std::string what;
    std::vector<std::vector<double>> alone;
    std::vector<double> together;
    double items = 1;  ///< a member's

    /// What all do in a unit of time, in terms of one: the slowest of the single ones, by `pick`.
    template <class Pick>
    [[nodiscard]] double ratio(Pick&& pick) const {
        double one = 0;
        for (const auto& times : alone) {
            one += pick(times) / static_cast<double>(alone.size());
        }
        return static_cast<double>(alone.size()) * one / pick(together);
    }
};

class Scaling {
  public:
    explicit Scaling(const ScalingOptions& options)
        : options_(options), workers_(static_cast<std::uint16_t>(options.cpus.size())) {
        for (unsigned i = 0; i < workers_; ++i) {
            everyone_.push_back(i);
        }
    }

    std::vector<Times> run() {
        Bench bench(rig_, workers_);
        const PortIds ports{bench.access().port().id(), bench.underlay().port().id()};
        struct Scene {
            std::vector<std::unique_ptr<Stand>> stands;
            Times loop;
        };
        std::vector<Scene> scenes;
        for (const Direction way : {Direction::encap, Direction::decap}) {
            for (const bool learning : {false, true}) {
                const Case which{way, learning, options_.macs, 1, 64};
                const auto network = std::make_shared<const Network>(which, rig_, ports);
                Scene scene;
                for (std::uint16_t worker = 0; worker < workers_; ++worker) {
                    scene.stands.push_back(
                        std::make_unique<Stand>(bench, which, network, rig_, worker));
                }
                scene.loop = begin(std::string{way == Direction::encap ? "encap" : "decap"} +
                                   (learning ? ", learning" : ""));
                scene.loop.items = rig_.batch;
                scenes.push_back(std::move(scene));
            }
        }
        for (std::uint32_t round = 0; round < options_.rounds; ++round) {
            for (Scene& scene : scenes) {
                auto& stands = scene.stands;
                const auto prepare = [&](unsigned i) { stands[i]->prepare(); };
                visit(
                    scene.loop, options_.batches, prepare,
                    [&](unsigned i) { stands[i]->poll_all(); },
                    [&](unsigned i) { stands[i]->check(); });
            }
        }
        std::vector<Times> results;
        for (Scene& scene : scenes) {
            results.push_back(std::move(scene.loop));
        }
        return results;
    }

    /// What the machine itself gives; what a worker adds to its counters for a burst; and, to show
    /// that sharing would be seen, counters of several workers on one line.
    std::vector<Times> run_counters() {
        constexpr std::uint32_t kBursts = 10'000;
        std::vector<std::unique_ptr<path::WorkerCounters>> own;
        for (unsigned i = 0; i < workers_; ++i) {
            own.push_back(std::make_unique<path::WorkerCounters>(2, 1));
        }
        std::vector<path::Counter> crowded(workers_);
        Times machine = begin("a fixed calculation");
        Times apart = begin("counters of a burst");
        Times shared = begin("one counter each, on one line");
        apart.items = shared.items = kBursts;
        const auto nothing = [](unsigned) {};
        for (std::uint32_t round = 0; round < options_.rounds; ++round) {
            visit(
                machine, options_.batches, nothing,
                [](unsigned) {
                    for (int i = 0; i < 10; ++i) {
                        static_cast<void>(Probe::measure());
                    }
                },
                nothing);
            visit(
                apart, options_.batches, nothing,
                [&](unsigned i) {
                    for (std::uint32_t burst = 0; burst < kBursts; ++burst) {
                        count_burst(*own[i]);
                    }
                },
                nothing);
            visit(
                shared, options_.batches, nothing,
                [&](unsigned i) {
                    for (std::uint32_t burst = 0; burst < kBursts; ++burst) {
                        crowded[i].add(1);
                        asm volatile("" ::: "memory");
                    }
                },
                nothing);
        }
        return {machine, apart, shared};
    }

  private:
    static void count_burst(path::WorkerCounters& counters) noexcept {
        counters.received.add(32);
        counters.sent.add(32);
        counters.polls.add(1);
        counters.busy_cycles.add(3000);
        for (path::PortCounters& port : counters.ports) {
            port.rx_packets.add(32);
            port.tx_bytes.add(2048);
        }
        counters.segments[0].tx_packets.add(32);
        counters.drops[0].add(1);
        for (path::StageCounters& stage : counters.stages[0]) {
            stage.cycles.add(500);
            stage.packets.add(32);
        }
        asm volatile("" ::: "memory");
    }

    [[nodiscard]] Times begin(std::string what) const {
        return {std::move(what), std::vector<std::vector<double>>(workers_), {}};
    }

    template <class Prepare, class Work, class Finish>
    void visit(Times& times, std::uint32_t turns, Prepare&& prepare, Work&& work, Finish&& finish) {
        const auto add = [&](std::vector<double>& to, const std::vector<unsigned>& members) {
            // The first turns fill the caches again.
            auto more = crew_.time(members, turns + 2, prepare, work, finish);
            to.insert(to.end(), more.begin() + 2, more.end());
        };
        for (unsigned i = 0; i < workers_; ++i) {
            add(times.alone[i], {i});
        }
        add(times.together, everyone_);
    }

    ScalingOptions options_;
    Options rig_;
    std::uint16_t workers_;
    std::vector<unsigned> everyone_;
    Crew crew_;
};

void print(const std::vector<Times>& results, double hz, const char* unit, double scale) {
    std::printf("\n%-30s | %10s %10s %6s | %6s\n", "", "one", "together", "ratio", "median");
    for (const Times& one : results) {
        double alone = 0;
        for (const auto& times : one.alone) {
            alone += one.items * hz / least(times) / static_cast<double>(one.alone.size());
        }
        const double all =
            one.items * static_cast<double>(one.alone.size()) * hz / least(one.together);
        std::printf("%-30s | %10.2f %10.2f %6.2f | %6.2f   %s\n", one.what.c_str(), alone / scale,
                    all / scale, one.ratio(least), one.ratio(median), unit);
    }
}

bool write(const std::string& file, const std::vector<Times>& results, double hz) {
    nlohmann::json root;
    for (const Times& one : results) {
        root.push_back({{"what", one.what},
                        {"workers", one.alone.size()},
                        {"together_per_second", one.items * static_cast<double>(one.alone.size()) *
                                                    hz / least(one.together)},
                        {"ratio_of_best", one.ratio(least)},
                        {"ratio_of_medians", one.ratio(median)}});
    }
    std::ofstream out{file};
    out << root.dump(1) << "\n";
    return static_cast<bool>(out.flush());
}

}  // namespace

int run_scaling(int argc, char** argv) {
    const ScalingOptions options = read(argc, argv);
    const Setting setting =
        start_dpdk({.main_cpu = options.cpus[0],
                    .worker_cpus = {options.cpus.begin() + 1, options.cpus.end()},
                    .huge = !options.no_huge});
    int code = 0;
    {
        Scaling scaling(options);
        std::vector<Times> results = scaling.run();
        const std::vector<Times> counters = scaling.run_counters();
        std::printf(
            "%zu workers, one a CPU, on queues of the same ports, beside one of them; %u MACs, 64\n"
            "bytes. one: mean of the workers alone; together: all at once, from the first begin "
            "to\n"
            "the last end; best of %u rounds, and the ratio of medians. Nothing can be above the "
            "ratio of\n"
            "the fixed calculation.\n",
            options.cpus.size(), options.macs, options.rounds);
        print(results, setting.tsc_hz, "Mpps", 1e6);
        print(counters, setting.tsc_hz, "million/s", 1e6);
        results.insert(results.end(), counters.begin(), counters.end());
        if (!options.json.empty() && !write(options.json, results, setting.tsc_hz)) {
            std::fprintf(stderr, "vxbench: cannot write %s\n", options.json.c_str());
            code = 1;
        }
    }
    port::stop_eal();
    return code;
}

}  // namespace vxplane::bench
