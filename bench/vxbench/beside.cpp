// Each case is visited in turn with the plain one that it is compared with, round after round.
#include "bench/vxbench/beside.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/vxbench/visit.hpp"
#include "dataplane/port/eal.hpp"

namespace vxplane::bench {
namespace {

using Numbers = std::vector<std::uint32_t>;

struct BesideOptions {
    std::string what{};
    Numbers macs{};
    Numbers segments{1, 10, 100, 1'000, 10'000};
    bool no_huge = false;
    std::string json{};
    Options rig{};
};

BesideOptions read_beside(int argc, char** argv) {
    BesideOptions options;
    options.rig.batches = 16;
    CLI::App app{"Cycles per packet of one thing beside those of the plain case, in turn."};
    app.name("vxbench beside");
    app.add_option(
           "what", options.what,
           "scale: full tables beside 1 segment, 1 MAC and 1 remote; ipv6: tunnels over IPv6 "
           "beside IPv4; options: each on beside off")
        ->check(CLI::IsMember({"scale", "ipv6", "options"}))
        ->required();
    const auto number =
        CLI::AsNumberWithUnit(std::map<std::string, std::uint32_t>{{"k", 1'000}, {"M", 1'000'000}},
                              CLI::AsNumberWithUnit::CASE_SENSITIVE);
    app.add_option("--macs", options.macs,
                   "entries of the FDB that packets use (scale: 1,1k,100k,1M; else 1,1k)")
        ->delimiter(',')
        ->transform(number)
        ->check(CLI::Range(1U, Network::kFullEntries));
    app.add_option("--segments", options.segments, "scale: segments that packets use")
        ->delimiter(',')
        ->transform(number)
        ->check(CLI::Range(1U, Network::kFullSegments));
    app.add_option("--rounds", options.rig.rounds, "visits to each case")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--batches", options.rig.batches, "batches of 2048 frames per visit")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--cpu", options.rig.cpu, "CPU to run on")->capture_default_str();
    app.add_option("--json", options.json, "write the figures to this file");
    app.add_flag("--no-huge", options.no_huge, "leave hugepages alone");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    if (options.macs.empty()) {
        options.macs =
            options.what == "scale" ? Numbers{1, 1'000, 100'000, 1'000'000} : Numbers{1, 1'000};
    }
    return options;
}

/// A case, and the plain one beside it.
struct Pair {
    Case which;
    Case plain;
    std::uint32_t segments_per_burst = 1;
};

/// Frames of a burst from the underlay leave by up to as many ports as they are of segments, if
/// each segment has its own. A trunk is for thousands of them.
std::vector<Pair> scale_pairs(const BesideOptions& options) {
    std::vector<Pair> pairs;
    for (const Extra extra : {Extra::none, Extra::trunk}) {
        for (const Direction way : {Direction::encap, Direction::decap}) {
            const Numbers per_burst = way == Direction::encap ? Numbers{1}
                                      : extra == Extra::trunk ? Numbers{32}
                                                              : Numbers{1, 8};
            for (const std::uint32_t several : per_burst) {
                for (const std::uint32_t segments : options.segments) {
                    for (const std::uint32_t macs : options.macs) {
                        if (macs < segments || (segments == 1 && several == 8)) {
                            continue;
                        }
                        pairs.push_back({{way, false, macs, segments, 64, extra, true},
                                         {way, false, 1, 1, 64, extra},
                                         std::min(several, segments)});
                    }
                }
            }
        }
    }
    return pairs;
}

/// False where an option changes nothing for packets that go this way.
bool applies(Extra extra, Direction way) {
    return !(extra == Extra::peers && way == Direction::encap) &&
           !(extra == Extra::proxy && way == Direction::decap);
}

std::vector<Pair> extra_pairs(const BesideOptions& options) {
    const bool ipv6 = options.what == "ipv6";
    const std::vector<Extra> extras =
        ipv6 ? std::vector{Extra::ipv6, Extra::ipv6_zero}
             : std::vector{Extra::peers, Extra::proxy, Extra::neigh_learning, Extra::mss_clamp,
                           Extra::gbp,   Extra::gpe,   Extra::udpcsum,        Extra::trunk};
    std::vector<Pair> pairs;
    for (const Direction way : {Direction::encap, Direction::decap}) {
        for (const std::uint32_t macs : options.macs) {
            for (const Extra extra : extras) {
                if (applies(extra, way)) {
                    pairs.push_back({{way, false, macs, 1, 64, extra}, {way, false, macs, 1, 64}});
                }
            }
            if (!ipv6) {
                // As many destinations, and as many sources besides.
                pairs.push_back({{way, true, 2 * macs, 1, 64}, {way, false, macs, 1, 64}});
            }
        }
    }
    return pairs;
}

std::unique_ptr<Stand> make_stand(Bench& bench, const Case& which, const Options& rig) {
    const PortIds ports{bench.access().port().id(), bench.underlay().port().id()};
    return std::make_unique<Stand>(bench, which, std::make_shared<const Network>(which, rig, ports),
                                   rig);
}

/// Two results for each pair: its own, and that of the plain case in the same moments.
std::vector<Result> measure_pairs(Bench& bench, const std::vector<Pair>& pairs,
                                  const Options& options) {
    std::vector<Result> results;
    for (const Pair& pair : pairs) {
        for (const Case& which : {pair.which, pair.plain}) {
            results.push_back({which, 0, {}, {}, {}});
        }
    }
    // Each stand is made anew, so that no more than two networks take memory.
    for (std::uint32_t round = 0; round < options.rounds; ++round) {
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            Options rig = options;
            rig.vnis_per_burst = pairs[i].segments_per_burst;
            const auto stand = make_stand(bench, pairs[i].which, rig);
            const auto plain = make_stand(bench, pairs[i].plain, rig);
            results[2 * i].stage_names = stand->stage_names();
            results[2 * i + 1].stage_names = plain->stage_names();
            visit(*plain, results[2 * i + 1], rig);
            visit(*stand, results[2 * i], rig);
        }
    }
    return results;
}

std::string title_of(const Case& which) {
    if (which.full) {
        return which.extra == Extra::trunk ? "full, trunks" : "full";
    }
    return which.learning ? "learning" : name(which.extra);
}

nlohmann::json stages_of(const Result& result, const Summary& sum) {
    nlohmann::json stages{{"rest", sum.others}};
    for (std::size_t i = 0; i < result.stage_names.size(); ++i) {
        stages[std::string{result.stage_names[i]}] = sum.best.stages[i];
    }
    return stages;
}

nlohmann::json print_pairs(const std::vector<Pair>& pairs, const std::vector<Result>& results,
                           const Setting& setting) {
    const Probe unit = best_probe(results);
    std::printf(
        "TSC %.0f MHz, %s, hugepages %s. TSC cycles per packet without the drivers' part, 64-byte\n"
        "frames; beside: the plain case in the same moments; x: ratios of both. Probe as that of\n"
        "`vxbench`, of the least figure, of the plain one, and the median; `!` above %.2f.\n\n",
        setting.tsc_hz / 1e6, setting.isa.c_str(), setting.hugepages ? "yes" : "no", kCrowded);
    std::printf("%-5s %-17s %8s %8s %5s | %6s %6s | %6s %6s | %6s %6s | %6s %6s %5s\n", "", "what",
                "segments", "MACs", "burst", "least", "median", "beside", "median", "x", "median",
                "probe", "plain", "med.");
    nlohmann::json rows;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const Case& which = pairs[i].which;
        const Summary own(results[2 * i]);
        const Summary plain(results[2 * i + 1]);
        const double least = own.own() / plain.own();
        const double median = own.own_median() / plain.own_median();
        const auto mark = [](double probe) { return probe > kCrowded ? '!' : ' '; };
        const double probe = own.best.probe.over(unit);
        const double plain_probe = plain.best.probe.over(unit);
        std::printf(
            "%-5s %-17s %8u %8u %5u | %6.1f %6.1f | %6.1f %6.1f | %6.2f %6.2f | %5.2f%c %5.2f%c "
            "%5.2f\n",
            name(which.direction), title_of(which).c_str(), which.vnis, which.macs,
            pairs[i].segments_per_burst, own.own(), own.own_median(), plain.own(),
            plain.own_median(), least, median, probe, mark(probe), plain_probe, mark(plain_probe),
            own.probe_median.over(unit));
        rows.push_back({{"direction", name(which.direction)},
                        {"what", title_of(which)},
                        {"segments", which.vnis},
                        {"macs", which.macs},
                        {"segments_per_burst", pairs[i].segments_per_burst},
                        {"least", own.own()},
                        {"median", own.own_median()},
                        {"plain_least", plain.own()},
                        {"plain_median", plain.own_median()},
                        {"probe", probe},
                        {"plain_probe", plain_probe},
                        {"probe_median", own.probe_median.over(unit)},
                        {"stages", stages_of(results[2 * i], own)},
                        {"plain_stages", stages_of(results[2 * i + 1], plain)}});
    }
    return rows;
}

}  // namespace

int run_beside(int argc, char** argv) {
    BesideOptions options = read_beside(argc, argv);
    const bool scale = options.what == "scale";
    if (scale) {
        options.rig.remotes = 1;
    }
    const Setting setting = start_dpdk({.main_cpu = options.rig.cpu, .huge = !options.no_huge});
    bool written = true;
    {
        Bench bench(options.rig);
        const auto pairs = scale ? scale_pairs(options) : extra_pairs(options);
        const auto results = measure_pairs(bench, pairs, options.rig);
        nlohmann::json json;
        json["cases"] = print_pairs(pairs, results, setting);
        json["tsc_hz"] = setting.tsc_hz;
        json["rounds"] = options.rig.rounds;
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
