// The command line of vxbench.
#include "bench/vxbench/options.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>

namespace vxplane::bench {
namespace {

// Inner headers and the stamp that recognises a frame, and what fits a tunnel of MTU 1500.
constexpr std::uint32_t kLeastSize = 60;
constexpr std::uint32_t kLongestSize = 1464;
constexpr std::uint32_t kMostVnis = 4096;
constexpr std::uint32_t kMostMacs = 8'000'000;

using Numbers = std::vector<std::uint32_t>;

CLI::Option* add_list(CLI::App& app, const char* name, Numbers& numbers, const char* help,
                      std::uint32_t least, std::uint32_t most) {
    const std::map<std::string, std::uint32_t> units{{"k", 1'000}, {"M", 1'000'000}};
    return app.add_option(name, numbers, help)
        ->delimiter(',')
        ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_OPTIONAL))
        ->check(CLI::Range(least, most))
        ->capture_default_str();
}

}  // namespace

Options read_options(int argc, char** argv) {
    Options options;
    std::string direction = "both";
    std::string learning = "both";
    Numbers macs{1, 1'000, 100'000, 1'000'000};
    Numbers vnis{1, 1'000};
    Numbers sizes{64, 512, 1'400};
    bool no_huge = false;
    bool no_stages = false;

    CLI::App app{
        "Cycles per packet of the real worker loop over in-memory ports.\n"
        "Lists are written 1,1k,1M."};
    app.add_option("--direction", direction, "encap, decap or both")
        ->check(CLI::IsMember({"encap", "decap", "both"}))
        ->capture_default_str();
    app.add_option("--learning", learning, "on, off or both")
        ->check(CLI::IsMember({"on", "off", "both"}))
        ->capture_default_str();
    add_list(app, "--macs", macs, "entries in the FDB", 1, kMostMacs);
    add_list(app, "--vnis", vnis, "segments that they are spread over", 1, kMostVnis);
    add_list(app, "--size", sizes, "inner frame in bytes, without FCS", kLeastSize, kLongestSize);
    app.add_option("--rounds", options.rounds, "interleaved visits to each case")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--batches", options.batches, "timed batches per visit")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--batch", options.batch, "frames per batch, a multiple of 32")
        ->check(CLI::Range(32, 16'384))
        ->capture_default_str();
    app.add_option("--seconds", options.seconds,
                   "go on with rounds for so long, in place of --rounds")
        ->check(CLI::Range(0.1, 86'400.0));
    app.add_option("--remotes", options.remotes, "remote VTEPs")
        ->check(CLI::Range(1, 16'384))
        ->capture_default_str();
    app.add_option("--vnis-per-burst", options.vnis_per_burst,
                   "decap: segments that a burst of 64 falls into; each has its own port")
        ->check(CLI::Range(1, 32))
        ->capture_default_str();
    app.add_option("--cpu", options.cpu, "CPU to run on")->capture_default_str();
    app.add_option("--json", options.json, "write the figures to this file (- for stdout)");
    app.add_flag("--no-huge", no_huge, "leave hugepages alone");
    app.add_flag("--no-stages", no_stages, "leave out the cycle account of the stages");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    options.huge = !no_huge;
    options.list_stages = !no_stages;
    options.batch -= options.batch % 32;

    for (const Direction way : {Direction::encap, Direction::decap}) {
        if (direction != "both" && (direction == "encap") != (way == Direction::encap)) {
            continue;
        }
        for (const bool learns : {false, true}) {
            if (learning != "both" && (learning == "on") != learns) {
                continue;
            }
            for (const auto size : sizes) {
                for (const auto vni : vnis) {
                    for (const auto mac : macs) {
                        options.cases.push_back(
                            {way, learns, mac, vni, static_cast<std::uint16_t>(size)});
                    }
                }
            }
        }
    }
    return options;
}

}  // namespace vxplane::bench
