// Options, the one-shot, the watch and the follow.
#include "control/ctl/app.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "control/ctl/client.hpp"
#include "control/ctl/command.hpp"
#include "control/ctl/render.hpp"

namespace vxplane::control::ctl {

namespace {

constexpr int done = 0;
constexpr int refused = 1;
constexpr int wrong_usage = 2;

struct Options {
    std::string socket = "/run/vxplane/vxplane.sock";
    bool json = false;
    bool pretty = false;
    bool all = false;
    bool dry_run = false;
    double watch = 0;
    std::uint64_t count = 0;
    std::vector<std::string> words;
};

class App {
  public:
    App(const Options& options, const Command& command, std::ostream& out, std::ostream& err)
        : options_(options), command_(command), out_(out), err_(err) {}

    int run() {
        if (const auto failure = client_.connect(options_.socket)) return fail(failure->problem);
        if (command_.follows) return follow();
        return options_.watch > 0 ? watch() : once();
    }

  private:
    int fail(const std::string& problem) {
        out_.flush();
        err_ << "vxctl: " << problem << "\n";
        return refused;
    }

    // The result of all calls; those of several flushes are added up.
    std::variant<Json, Failure> ask() {
        Json whole;
        for (const auto& params : command_.calls) {
            auto got = client_.call(command_.method, params);
            if (std::holds_alternative<Failure>(got)) return got;
            Json& result = std::get<Json>(got);
            if (result.contains("next") && command_.limit != 0) {
                if (auto failure = ask_for_more(params, result)) return *failure;
            }
            if (whole.is_null()) {
                whole = std::move(result);
            } else if (at(whole, "/removed").is_number_integer() &&
                       at(result, "/removed").is_number_integer()) {
                whole["removed"] =
                    whole["removed"].get<std::uint64_t>() + result["removed"].get<std::uint64_t>();
            }
        }
        return whole;
    }

    // Of an answer in pages: the others, up to the limit.
    std::optional<Failure> ask_for_more(Json params, Json& whole) {
        while (whole.contains("next") && whole["entries"].size() < command_.limit) {
            params["from"] = whole["next"];
            params["limit"] = command_.limit - whole["entries"].size();
            auto got = client_.call(command_.method, params);
            if (auto* failure = std::get_if<Failure>(&got)) return *failure;
            Json& result = std::get<Json>(got);
            for (Json& entry : result["entries"]) whole["entries"].push_back(std::move(entry));
            whole["cut"] = result["cut"];
            whole.erase("next");
            if (result.contains("next")) whole["next"] = result["next"];
        }
        return std::nullopt;
    }

    void print_json(const Json& value) {
        out_ << value.dump(options_.pretty ? 4 : -1, ' ', false, Json::error_handler_t::replace)
             << "\n";
    }

    int once() {
        auto got = ask();
        if (const auto* failure = std::get_if<Failure>(&got)) return fail(failure->problem);
        Json& result = std::get<Json>(got);
        if (!command_.only.empty()) {
            std::erase_if(result.get_ref<Json::array_t&>(), [this](const Json& method) {
                return at(method, "/name") != command_.only;
            });
            if (result.empty()) return fail("the daemon has no method '" + command_.only + "'");
        }
        if (options_.json || options_.pretty || command_.view == View::raw) {
            print_json(result);
        } else {
            out_ << render(command_.view, result);
        }
        return done;
    }

    int watch() {
        using Clock = std::chrono::steady_clock;
        const bool terminal = ::isatty(STDOUT_FILENO) == 1 && &out_ == &std::cout;
        const auto period = std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(options_.watch));
        Json earlier;
        Clock::time_point sampled{};
        auto next = Clock::now();
        for (std::uint64_t n = 0; options_.count == 0 || n < options_.count; ++n) {
            if (n > 0) std::this_thread::sleep_until(next);
            next = std::max(next + period, Clock::now());
            auto got = ask();
            if (const auto* failure = std::get_if<Failure>(&got)) return fail(failure->problem);
            const auto now = Clock::now();
            Json& result = std::get<Json>(got);
            if (options_.json || options_.pretty) {
                print_json(result);
            } else {
                const double seconds = std::chrono::duration<double>(now - sampled).count();
                const std::string text = render_rates(command_.view, result, earlier, seconds);
                if (terminal) {
                    out_ << "\033[H\033[J";
                } else if (n > 0) {
                    out_ << "\n";
                }
                out_ << text;
            }
            out_.flush();
            if (!out_) return done;  // nobody reads any more
            earlier = std::move(result);
            sampled = now;
        }
        return done;
    }

    int follow() {
        auto got = ask();
        if (const auto* failure = std::get_if<Failure>(&got)) return fail(failure->problem);
        for (std::uint64_t n = 0; options_.count == 0 || n < options_.count; ++n) {
            auto event = client_.next_event();
            if (const auto* failure = std::get_if<Failure>(&event)) return fail(failure->problem);
            if (options_.json || options_.pretty) {
                print_json(std::get<Json>(event));
            } else {
                out_ << render_event(std::get<Json>(event));
            }
            out_.flush();
            if (!out_) return done;
        }
        return done;
    }

    const Options& options_;
    const Command& command_;
    std::ostream& out_;
    std::ostream& err_;
    Client client_;
};

int usage(std::ostream& err, const std::string& problem) {
    err << "vxctl: " << problem << "\nTry 'vxctl --help'.\n";
    return wrong_usage;
}

}  // namespace

int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
    Options options;
    CLI::App parser("Asks a running vxplane daemon.\n\n" + grammar(), "vxctl");
    parser.set_version_flag("-V,--version", "vxctl " VXPLANE_VERSION);
    parser.add_option("-s,--socket", options.socket, "socket of the daemon")
        ->envname("VXPLANE_SOCKET")
        ->capture_default_str();
    parser.add_flag("-j,--json", options.json, "print the daemon's result as JSON");
    parser.add_flag("-p,--pretty", options.pretty, "print it as indented JSON");
    parser.add_option("-w,--watch", options.watch, "show again each SECONDS, counters as rates")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.05, 86400.0));
    parser.add_option("-n,--count", options.count, "end after N samples or events")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    parser.add_flag("-a,--all", options.all, "drops: also reasons that never happened");
    parser.add_flag("--dry-run", options.dry_run, "reload: only say what would be done");
    parser.add_option("words", options.words, "object, verb, keys and values");
    try {
        parser.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        if (problem.get_exit_code() == 0) return parser.exit(problem, out, err);
        return usage(err, problem.what());
    }
    if (options.words.empty() || options.words[0] == "help") {
        (options.words.empty() ? err : out) << parser.help();
        return options.words.empty() ? wrong_usage : done;
    }
    if (options.dry_run) options.words.emplace_back("dry-run");
    const auto parsed = parse_command(options.words, options.all);
    if (const auto* bad = std::get_if<Usage>(&parsed)) return usage(err, bad->problem);
    const auto& command = std::get<Command>(parsed);
    if (options.watch > 0 && (command.writes || command.follows)) {
        return usage(err, "--watch goes with what shows something");
    }
    if (options.count > 0 && options.watch <= 0 && !command.follows) {
        return usage(err, "--count goes with --watch or events");
    }
    return App(options, command, out, err).run();
}

}  // namespace vxplane::control::ctl
