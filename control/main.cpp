// The command line of the daemon.
#include <rte_version.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "config/load.hpp"
#include "control/daemon.hpp"
#include "control/log_level.hpp"

namespace {

// Exit codes, as in the README: 1 run-time failure, 2 bad input.
constexpr int kBadInput = 2;

}  // namespace

int main(int argc, char** argv) {
    // A reader of our log that goes away must not take the data plane with it.
    std::signal(SIGPIPE, SIG_IGN);
    CLI::App app{"vxplane: a DPDK data plane for VXLAN"};
    std::string topology;
    bool check = false;
    app.add_option("TOPOLOGY", topology, "YAML file that says what to forward")->required();
    app.add_flag("--check", check, "say what is wrong with the file, and do nothing else");
    app.set_version_flag("--version",
                         std::string("vxplane ") + VXPLANE_VERSION + ", " + rte_version());
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kBadInput;
    }
    const vxplane::config::LoadResult loaded = vxplane::config::check_file(topology);
    for (const vxplane::config::Problem& problem : loaded.problems) {
        std::fprintf(stderr, "%s\n", problem.text().c_str());
    }
    if (!loaded.problems.empty()) {
        return kBadInput;
    }
    if (check) {
        std::printf("%s: good\n", topology.c_str());
        return 0;
    }
    spdlog::set_default_logger(spdlog::stderr_color_mt("vxplane"));
    spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
    vxplane::control::set_log_level(loaded.topology.system.log_level);
    try {
        vxplane::control::Daemon daemon(loaded.topology);
        return daemon.run();
    } catch (const std::exception& error) {
        spdlog::critical("{}", error.what());
        return 1;
    }
}
