// Prints what was measured.
#include "bench/vxbench/report.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

namespace vxplane::bench {
namespace {

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

template <class Get>
std::vector<double> column(const std::vector<Sample>& samples, Get&& get) {
    std::vector<double> values;
    for (const Sample& sample : samples) {
        values.push_back(get(sample));
    }
    return values;
}

/// More segments beside one, all else equal.
void print_vnis(const std::vector<Result>& results) {
    bool first = true;
    for (const Result& many : results) {
        for (const Result& one : results) {
            Case same = many.subject;
            same.vnis = 1;
            if (many.subject.vnis == 1 || !(one.subject == same)) {
                continue;
            }
            if (std::exchange(first, false)) {
                std::printf("\nmany VNIs beside one, least of own cycles:\n");
            }
            const double ratio = Summary(many).own() / Summary(one).own();
            std::printf("%-5s %-5s %8u MACs %5u bytes: %5u VNIs cost %+.1f %%\n",
                        name(same.direction), same.learning ? "on" : "off", same.macs, same.size,
                        many.subject.vnis, (ratio - 1) * 100);
        }
    }
}

}  // namespace

Summary::Summary(const Result& result) {
    const auto by_cycles = [](const Sample& a, const Sample& b) { return a.cycles < b.cycles; };
    best = *std::min_element(result.samples.begin(), result.samples.end(), by_cycles);
    cycles_median = median(column(result.samples, [](const Sample& s) { return s.cycles; }));
    probe_median.chain =
        median(column(result.samples, [](const Sample& s) { return s.probe.chain; }));
    probe_median.wide =
        median(column(result.samples, [](const Sample& s) { return s.probe.wide; }));
    drivers = *std::min_element(result.drivers.begin(), result.drivers.end());
    others = best.cycles;
    for (const double stage : best.stages) {
        others -= stage;
    }
}

Probe best_probe(const std::vector<Result>& results) {
    Probe best = results.front().samples.front().probe;
    for (const Result& result : results) {
        for (const Sample& sample : result.samples) {
            best.improve(sample.probe);
        }
    }
    return best;
}

void print_table(const std::vector<Result>& results, const Setting& setting, bool list_stages) {
    const Probe unit = best_probe(results);
    std::printf(
        "TSC %.0f MHz, %s, hugepages %s. Cycles are TSC cycles per packet.\n"
        "poll: Worker::poll(), rings of the ports included; drivers: the rings alone; own: poll\n"
        "minus drivers. Probe: two fixed calculations around the batch (%.3f and %.3f cycles a\n"
        "step), the worse of both, 1.00 = best of this run; `!` marks figures that were taken "
        "while\n"
        "the CPU was throttled or shared.\n\n",
        setting.tsc_hz / 1e6, setting.isa.c_str(), setting.hugepages ? "yes" : "no", unit.chain,
        unit.wide);
    std::printf("%-5s %-5s %8s %5s %5s | %6s %6s %7s %6s | %6s | %6s %5s", "", "learn", "MACs",
                "VNIs", "bytes", "poll", "median", "drivers", "own", "Mpps", "probe", "med.");
    std::printf(list_stages ? " | stages of the best batch\n" : "\n");
    for (const Result& result : results) {
        const Summary sum(result);
        const Case& what = result.subject;
        std::printf("%-5s %-5s %8u %5u %5u | %6.1f %6.1f %7.1f %6.1f | %6.2f | %5.2f%c %5.2f",
                    name(what.direction), what.learning ? "on" : "off", what.macs, what.vnis,
                    what.size, sum.best.cycles, sum.cycles_median, sum.drivers, sum.own(),
                    setting.tsc_hz / sum.best.cycles / 1e6, sum.best.probe.over(unit),
                    sum.best.probe.over(unit) > kCrowded ? '!' : ' ', sum.probe_median.over(unit));
        if (list_stages) {
            std::printf(" |");
            for (std::size_t i = 0; i < result.stage_names.size(); ++i) {
                std::printf(" %s %.1f", std::string{result.stage_names[i]}.c_str(),
                            sum.best.stages[i]);
            }
            std::printf(" rest %.1f", sum.others);
        }
        std::printf("\n");
    }
    print_vnis(results);
}

bool write_json(const std::vector<Result>& results, const Setting& setting,
                const Options& options) {
    nlohmann::json root;
    root["tsc_hz"] = setting.tsc_hz;
    root["isa"] = setting.isa;
    root["hugepages"] = setting.hugepages;
    root["batch"] = options.batch;
    root["remotes"] = options.remotes;
    root["vnis_per_burst"] = options.vnis_per_burst;
    const Probe unit = best_probe(results);
    root["probe_best"] = {{"chain", unit.chain}, {"wide", unit.wide}};
    for (const Result& result : results) {
        const Summary sum(result);
        nlohmann::json stages;
        for (std::size_t i = 0; i < result.stage_names.size(); ++i) {
            stages[std::string{result.stage_names[i]}] = sum.best.stages[i];
        }
        root["cases"].push_back({{"direction", name(result.subject.direction)},
                                 {"learning", result.subject.learning},
                                 {"macs", result.subject.macs},
                                 {"vnis", result.subject.vnis},
                                 {"size", result.subject.size},
                                 {"fdb_entries", result.entries},
                                 {"batches", result.samples.size()},
                                 {"cycles_min", sum.best.cycles},
                                 {"cycles_median", sum.cycles_median},
                                 {"cycles_drivers", sum.drivers},
                                 {"cycles_own", sum.own()},
                                 {"mpps", setting.tsc_hz / sum.best.cycles / 1e6},
                                 {"probe_of_min", sum.best.probe.over(unit)},
                                 {"probe_median", sum.probe_median.over(unit)},
                                 {"stages_of_min", stages},
                                 {"rest_of_min", sum.others}});
    }
    const std::string text = root.dump(2) + "\n";
    if (options.json == "-") {
        std::cout << text;
        return static_cast<bool>(std::cout.flush());
    }
    std::ofstream file{options.json};
    file << text;
    return static_cast<bool>(file.flush());
}

}  // namespace vxplane::bench
