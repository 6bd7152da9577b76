// Measures latency at shares of the greatest rate: the worker loop on one CPU, the tester on
// another, and in turn with it a loop that only forwards, on the same rings with the same frames.
#include "bench/vxbench/latency.hpp"

#include <rte_cycles.h>
#include <rte_launch.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "bench/vxbench/latency_report.hpp"
#include "bench/vxbench/rig.hpp"
#include "bench/vxbench/start.hpp"
#include "dataplane/port/eal.hpp"

namespace vxplane::bench {
namespace {

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

    std::vector<Row> run() {
        for (auto& one : cases_) {
            one.most = options_.most > 0 ? options_.most : most_of(one);
        }
        for (std::uint32_t round = 0; round < options_.rounds; ++round) {
            for (Planned& plan : plans_) {
                Passage passage;
                const Prepared& one = cases_[plan.subject];
                plan.row.offered = one.most * plan.row.load / 100;
                measure(one, plan.who, [&](Tester& tester) {
                    tester.run_paced(hz_ / plan.row.offered, cycles_of(options_.seconds), passage);
                });
                plan.row.add(passage, hz_);
            }
        }
        std::vector<Row> rows;
        for (Planned& plan : plans_) {
            rows.push_back(std::move(plan.row));
        }
        return rows;
    }

  private:
    struct Prepared {
        Case subject;
        std::shared_ptr<const Network> network;
        FrameTexts texts;
        double most = 0;  ///< packets per second that came through when flooded
    };

    struct Planned {
        std::size_t subject = 0;
        Who who = Who::vxplane;
        Row row;
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
                Planned plan;
                plan.subject = cases_.size() - 1;
                plan.who = who;
                plan.row.what = name(which.direction);
                plan.row.who = name(who);
                plan.row.load = load;
                plans_.push_back(plan);
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
        return middle_of(rates);
    }

    LatencyOptions options_;
    double hz_;
    Options rig_;
    std::unique_ptr<Bench> bench_;
    std::vector<Prepared> cases_;
    std::vector<Planned> plans_;
};

}  // namespace

int run_latency(int argc, char** argv) {
    const LatencyOptions options = read_latency_options(argc, argv);
    StartOptions start{.main_cpu = options.tester_cpu, .huge = !options.no_huge};
    if (options.through.empty()) {
        start.worker_cpus = {options.cpu};
    }
    for (const std::string& vdev : options.through) {
        start.extra.insert(start.extra.end(), {"--vdev", vdev});
    }
    const Setting setting = start_dpdk(start);
    const std::vector<Row> rows = options.through.empty()
                                      ? Measurement(options, setting.tsc_hz).run()
                                      : measure_through(options, setting.tsc_hz);
    print_rows(rows, options);
    int code = 0;
    if (!options.json.empty() && !write_rows(options.json, rows)) {
        std::fprintf(stderr, "vxbench: cannot write %s\n", options.json.c_str());
        code = 1;
    }
    port::stop_eal();
    return code;
}

}  // namespace vxplane::bench
