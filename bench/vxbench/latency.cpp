// Measures latency at shares of the greatest rate: the worker loop on one CPU, the tester on
// another, and in turn with it a loop that only forwards, on the same rings with the same frames.
#include "bench/vxbench/latency.hpp"

#include <rte_cycles.h>
#include <rte_launch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/vxbench/rig.hpp"
#include "bench/vxbench/start.hpp"
#include "bench/vxbench/tester.hpp"
#include "dataplane/port/eal.hpp"

namespace vxplane::bench {
namespace {

struct LatencyOptions {
    std::string direction = "both";
    std::uint32_t macs = 1'000;
    std::uint16_t size = 64;
    bool learning = false;
    std::vector<double> loads{10, 50, 90};
    double seconds = 0.5;
    std::uint32_t rounds = 5;
    unsigned cpu = 1;
    unsigned tester_cpu = 0;
    bool no_huge = false;
    std::string json;
};

LatencyOptions read(int argc, char** argv) {
    LatencyOptions options;
    CLI::App app{
        "Latency of the real worker loop on one CPU, by stamped frames from another, beside a "
        "bare\n"
        "forwarding loop on the same rings. Frames are due at fixed times whatever became of "
        "those\n"
        "before, and latency counts from then.",
        "vxbench latency"};
    app.add_option("--direction", options.direction, "encap, decap or both")
        ->check(CLI::IsMember({"encap", "decap", "both"}))
        ->capture_default_str();
    app.add_option("--macs", options.macs, "entries in the FDB")
        ->check(CLI::Range(1, 8'000'000))
        ->capture_default_str();
    app.add_option("--size", options.size, "inner frame in bytes, without FCS")
        ->check(CLI::Range(60, 1464))
        ->capture_default_str();
    app.add_flag("--learning", options.learning, "with learning");
    app.add_option("--loads", options.loads, "percent of the greatest rate")
        ->delimiter(',')
        ->check(CLI::Range(0.1, 100.0))
        ->capture_default_str();
    app.add_option("--seconds", options.seconds, "length of one measurement")
        ->check(CLI::Range(0.01, 3600.0))
        ->capture_default_str();
    app.add_option("--rounds", options.rounds, "interleaved measurements of each kind")
        ->check(CLI::Range(1, 10'000))
        ->capture_default_str();
    app.add_option("--cpu", options.cpu, "CPU of the worker")->capture_default_str();
    app.add_option("--tester-cpu", options.tester_cpu, "CPU of the tester")->capture_default_str();
    app.add_option("--json", options.json, "write the figures to this file");
    app.add_flag("--no-huge", options.no_huge, "leave hugepages alone");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    return options;
}

/// The loop of testpmd's io-forward on the rings of a stand.
struct BareLoop {
    std::uint16_t from = 0;
    std::uint16_t to = 0;
    std::atomic<bool> stop{false};

    void run() noexcept {
        std::array<rte_mbuf*, packet::kBurstSize> burst;
        while (!stop.load(std::memory_order_relaxed)) {
            const std::uint16_t count = rte_eth_rx_burst(from, 0, burst.data(), burst.size());
            if (count == 0) {
                continue;
            }
            const std::uint16_t sent = rte_eth_tx_burst(to, 0, burst.data(), count);
            if (sent != count) {
                rte_pktmbuf_free_bulk(burst.data() + sent, unsigned{count} - sent);
            }
        }
    }
};

enum class Who : std::uint8_t { vxplane, bare };

/// Has one of the two run on lcore 1 for its lifetime.
class Subject {
  public:
    Subject(Who who, Stand& stand) : stand_(stand), who_(who) {
        bare_.from = stand.from().port().id();
        bare_.to = stand.to().port().id();
        const auto run_worker = [](void* worker) {
            static_cast<worker::Worker*>(worker)->run();
            return 0;
        };
        const auto run_bare = [](void* bare) {
            static_cast<BareLoop*>(bare)->run();
            return 0;
        };
        const int failed = who == Who::vxplane
                               ? rte_eal_remote_launch(run_worker, &stand.worker(), 1)
                               : rte_eal_remote_launch(run_bare, &bare_, 1);
        if (failed != 0) {
            give_up("the CPU of the worker does not start");
        }
    }
    ~Subject() {
        if (who_ == Who::vxplane) {
            stand_.worker().stop();
        }
        bare_.stop.store(true);
        rte_eal_wait_lcore(1);
    }
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

  private:
    Stand& stand_;
    Who who_;
    BareLoop bare_;
};

/// All rounds of one row.
struct Row {
    Case subject;
    Who who = Who::vxplane;
    double load = 0;
    double offered = 0;  ///< packets per second
    std::uint64_t sent = 0;
    std::uint64_t lost = 0;
    std::uint64_t reordered = 0;
    // Microseconds, a value per round.
    std::vector<double> p50, p99, p999, largest, tester_late;

    void add(const Passage& passage, double hz) {
        const auto microseconds = [hz](std::uint64_t cycles) {
            return static_cast<double>(cycles) * 1e6 / hz;
        };
        sent += passage.sent;
        lost += passage.lost();
        reordered += passage.reordered;
        p50.push_back(microseconds(passage.latency.percentile(0.5)));
        p99.push_back(microseconds(passage.latency.percentile(0.99)));
        p999.push_back(microseconds(passage.latency.percentile(0.999)));
        largest.push_back(microseconds(passage.latency.largest()));
        tester_late.push_back(microseconds(passage.lateness.percentile(0.99)));
    }
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}
double least(const std::vector<double>& values) {
    return *std::min_element(values.begin(), values.end());
}
const char* name(Direction direction) {
    return direction == Direction::encap ? "encap" : "decap";
}
const char* name(Who who) {
    return who == Who::vxplane ? "vxplane" : "bare io";
}

class Measurement {
  public:
    Measurement(const LatencyOptions& options, double hz) : options_(options), hz_(hz) {
        rig_.batch = 1024;
        bench_ = std::make_unique<Bench>(rig_);
        for (const Direction way : {Direction::encap, Direction::decap}) {
            if (options.direction == "both" ||
                (options.direction == "encap") == (way == Direction::encap)) {
                add_case({way, options.learning, options.macs, 1, options.size});
            }
        }
    }

    std::vector<Row>& run() {
        for (auto& one : cases_) {
            one.most = most_of(one);
        }
        for (std::uint32_t round = 0; round < options_.rounds; ++round) {
            for (Row& row : rows_) {
                Passage passage;
                const auto one = std::ranges::find(cases_, row.subject, &Prepared::subject);
                row.offered = one->most * row.load / 100;
                measure(*one, row.who, [&](Tester& tester) {
                    tester.run_paced(hz_ / row.offered, cycles_of(options_.seconds), passage);
                });
                row.add(passage, hz_);
            }
        }
        return rows_;
    }
    [[nodiscard]] double most(const Case& subject) const {
        return std::ranges::find(cases_, subject, &Prepared::subject)->most;
    }

  private:
    struct Prepared {
        Case subject;
        std::shared_ptr<const Network> network;
        FrameTexts texts;
        double most = 0;  ///< packets per second that came through when flooded
    };

    void add_case(const Case& which) {
        const PortIds ports{bench_->access().port().id(), bench_->underlay().port().id()};
        Prepared one{which, std::make_shared<const Network>(which, rig_, ports), {}};
        Stand stand(*bench_, which, one.network, rig_);
        // Lossless and right, byte by byte, before it is timed.
        stand.prepare();
        stand.poll_all();
        stand.check();
        one.texts = stand.frame_texts();
        cases_.push_back(std::move(one));
        for (const double load : options_.loads) {
            for (const Who who : {Who::vxplane, Who::bare}) {
                Row row;
                row.subject = which;
                row.who = who;
                row.load = load;
                rows_.push_back(row);
            }
        }
    }

    [[nodiscard]] std::uint64_t cycles_of(double seconds) const {
        return static_cast<std::uint64_t>(seconds * hz_);
    }

    template <class Run>
    void measure(const Prepared& one, Who who, Run&& run) {
        Stand stand(*bench_, one.subject, one.network, rig_);
        RingWire wire(stand.from(), stand.to());
        Tester tester(wire, bench_->pools().of(-1).packets, one.texts);
        {
            const Subject subject(who, stand);
            // Tables and branch predictors warm up, the other CPU gets going.
            Passage warm;
            tester.run_flood(cycles_of(0.02), warm);
            run(tester);
        }
        std::array<rte_mbuf*, 64> left;
        while (const std::uint16_t count = wire.pop(left)) {
            rte_pktmbuf_free_bulk(left.data(), count);
        }
    }

    double most_of(const Prepared& one) {
        std::vector<double> rates;
        for (int i = 0; i < 5; ++i) {
            Passage passage;
            measure(one, Who::vxplane,
                    [&](Tester& tester) { tester.run_flood(cycles_of(0.1), passage); });
            rates.push_back(static_cast<double>(passage.received) * hz_ /
                            static_cast<double>(passage.cycles));
        }
        return median(rates);
    }

    LatencyOptions options_;
    double hz_;
    Options rig_;
    std::unique_ptr<Bench> bench_;
    std::vector<Prepared> cases_;
    std::vector<Row> rows_;
};

void print(const std::vector<Row>& rows, const Measurement& measurement,
           const LatencyOptions& options) {
    std::printf(
        "%u MACs, %u bytes, learning %s; %u rounds of %.2f s. Microseconds from the moment a "
        "frame\n"
        "was due until the tester had it back: median over rounds, and the least of all rounds.\n"
        "Both at the same rates: percent of what came through vxplane when the tester flooded it.\n"
        "late: p99 of the tester's own delay, which is part of the latency.\n\n",
        options.macs, options.size, options.learning ? "on" : "off", options.rounds,
        options.seconds);
    std::printf("%-5s %-8s %5s %7s | %8s %8s %8s %9s | %8s %8s %8s | %7s %10s %9s\n", "", "",
                "load", "Mpps", "p50", "p99", "p99.9", "max", "least50", "least99", "least99.9",
                "late", "lost", "reordered");
    for (const Row& row : rows) {
        std::printf(
            "%-5s %-8s %4.0f%% %7.3f | %8.2f %8.2f %8.2f %9.1f | %8.2f %8.2f %8.2f | %7.2f %10llu "
            "%9llu\n",
            name(row.subject.direction), name(row.who), row.load, row.offered / 1e6,
            median(row.p50), median(row.p99), median(row.p999), median(row.largest), least(row.p50),
            least(row.p99), least(row.p999), median(row.tester_late),
            static_cast<unsigned long long>(row.lost),
            static_cast<unsigned long long>(row.reordered));
    }
    for (const Direction way : {Direction::encap, Direction::decap}) {
        for (const Row& row : rows) {
            if (row.subject.direction == way) {
                std::printf("%s flooded: %.3f Mpps\n", name(way),
                            measurement.most(row.subject) / 1e6);
                break;
            }
        }
    }
}

bool write(const std::string& file, const std::vector<Row>& rows) {
    nlohmann::json root;
    for (const Row& row : rows) {
        root.push_back({{"direction", name(row.subject.direction)},
                        {"who", name(row.who)},
                        {"load_percent", row.load},
                        {"offered_pps", row.offered},
                        {"sent", row.sent},
                        {"lost", row.lost},
                        {"reordered", row.reordered},
                        {"p50_us", median(row.p50)},
                        {"p99_us", median(row.p99)},
                        {"p99.9_us", median(row.p999)},
                        {"max_us", median(row.largest)},
                        {"least_p50_us", least(row.p50)},
                        {"least_p99_us", least(row.p99)},
                        {"least_p99.9_us", least(row.p999)},
                        {"tester_late_p99_us", median(row.tester_late)}});
    }
    std::ofstream out{file};
    out << root.dump(1) << "\n";
    return static_cast<bool>(out.flush());
}

}  // namespace

int run_latency(int argc, char** argv) {
    const LatencyOptions options = read(argc, argv);
    const Setting setting = start_dpdk(
        {.main_cpu = options.tester_cpu, .worker_cpus = {options.cpu}, .huge = !options.no_huge});
    int code = 0;
    {
        Measurement measurement(options, setting.tsc_hz);
        const std::vector<Row>& rows = measurement.run();
        print(rows, measurement, options);
        if (!options.json.empty() && !write(options.json, rows)) {
            std::fprintf(stderr, "vxbench: cannot write %s\n", options.json.c_str());
            code = 1;
        }
    }
    port::stop_eal();
    return code;
}

}  // namespace vxplane::bench
