// Reads the command line of `vxbench latency`, and prints what was measured.
#include "bench/vxbench/latency_report.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace vxplane::bench {
namespace {

double least(const std::vector<double>& values) {
    return *std::min_element(values.begin(), values.end());
}

}  // namespace

double middle_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

LatencyOptions read_latency_options(int argc, char** argv) {
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
    app.add_option("--through", options.through,
                   "in place of the loops in this process: two vdevs, behind which another\n"
                   "process forwards, such as net_memif0,... net_memif1,...")
        ->expected(2);
    app.add_option("--frames", options.frames, "pcap file of what is sent through them")
        ->needs(app.get_option("--through"))
        ->check(CLI::ExistingFile);
    app.add_option("--label", options.label, "what the report calls the other process");
    app.add_option("--most", options.most, "packets per second that --loads are shares of")
        ->check(CLI::PositiveNumber);
    app.get_option("--through")->needs(app.get_option("--frames"));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    return options;
}

void Row::add(const Passage& passage, double hz) {
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

void print_rows(const std::vector<Row>& rows, const LatencyOptions& options) {
    std::printf(
        "%u MACs, %u bytes, learning %s; %u rounds of %.2f s. Microseconds from the moment a "
        "frame\n"
        "was due until the tester had it back: median over rounds, and the least of all rounds.\n"
        "All at the same rates: percent of what came through when the tester flooded vxplane.\n"
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
            row.what.c_str(), row.who.c_str(), row.load, row.offered / 1e6, middle_of(row.p50),
            middle_of(row.p99), middle_of(row.p999), middle_of(row.largest), least(row.p50),
            least(row.p99), least(row.p999), middle_of(row.tester_late),
            static_cast<unsigned long long>(row.lost),
            static_cast<unsigned long long>(row.reordered));
    }
}

bool write_rows(const std::string& file, const std::vector<Row>& rows) {
    nlohmann::json root;
    for (const Row& row : rows) {
        root.push_back({{"direction", row.what},
                        {"who", row.who},
                        {"load_percent", row.load},
                        {"offered_pps", row.offered},
                        {"sent", row.sent},
                        {"lost", row.lost},
                        {"reordered", row.reordered},
                        {"p50_us", middle_of(row.p50)},
                        {"p99_us", middle_of(row.p99)},
                        {"p99.9_us", middle_of(row.p999)},
                        {"max_us", middle_of(row.largest)},
                        {"least_p50_us", least(row.p50)},
                        {"least_p99_us", least(row.p99)},
                        {"least_p99.9_us", least(row.p999)},
                        {"tester_late_p99_us", middle_of(row.tester_late)}});
    }
    std::ofstream out{file};
    out << root.dump(1) << "\n";
    return static_cast<bool>(out.flush());
}

}  // namespace vxplane::bench
