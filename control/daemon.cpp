#include "control/daemon.hpp"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>
#include <random>

#include "control/apply/tap_addresses.hpp"
#include "control/apply/words.hpp"
#include "control/methods.hpp"
#include "control/rx_verdicts.hpp"
#include "control/telemetry.hpp"

namespace vxplane::control {

namespace {

using Time = Neighbours::Time;

// Control looks at its rings this often: the delay of an ARP answer, a learned address, a hold.
constexpr std::chrono::milliseconds kTick{1};
constexpr std::chrono::milliseconds kWatch{500};
// How late slaves hear that their link has lost its carrier, or has it again.
constexpr std::chrono::milliseconds kLinks{100};
// FDB entries visited for ageing per tick; 1 M entries are visited once in 56 s, or 18 per tick.
constexpr std::size_t kAgeingBudget = 2048;

// That reloads may add: counters of them take 64 bytes each and worker.
constexpr std::size_t kSpareSegments = 1024;

/// DPDK's own lines. Level 1 to 4 are emergency to error, 5 warning, 6 notice, 7 info, 8 debug.
/// While the machinery is opened, drivers complain of much that does no harm: their errors are
/// kept, and told only when opening fails.
class DpdkLog {
  public:
    static void line(int level, std::string_view text) {
        const std::lock_guard guard(lock_);
        if (level > 5) {
            spdlog::debug("dpdk: {}", text);
        } else if (opening_) {
            spdlog::debug("dpdk: {}", text);
            // Said at every start without hugepages, and of no consequence.
            if (text.find("No legacy callbacks") == std::string_view::npos) {
                kept_.emplace_back(text);
            }
        } else {
            spdlog::log(level == 5 ? spdlog::level::warn : spdlog::level::err, "dpdk: {}", text);
        }
    }
    static void opened(bool well) {
        const std::lock_guard guard(lock_);
        for (const std::string& text : kept_) {
            if (!well) {
                spdlog::error("dpdk: {}", text);
            }
        }
        kept_.clear();
        opening_ = false;
    }

  private:
    static inline std::mutex lock_;
    static inline bool opening_ = true;
    static inline std::vector<std::string> kept_;
};

/// What start() says when it was asked to end.
constexpr const char* kStopped = "asked to stop while starting";

/// Whether SIGINT or SIGTERM has come while the loop does not turn yet. On a crowded machine a
/// start takes seconds, and who wants it to end should not wait for all of them.
bool stop_is_pending() {
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

}  // namespace

Daemon::Daemon(config::Topology topology)
    : topology_(std::move(topology)),
      server_(loop_, {.path = topology_.system.socket, .group = topology_.system.socket_group}),
      routes_(static_cast<std::uint32_t>(topology_.routes.size() + 2 * topology_.ports.size() +
                                         1024)) {}

Daemon::~Daemon() = default;

int Daemon::run() {
    // Before any other thread exists, so that only the loop gets signals.
    loop_.on_signal({SIGINT, SIGTERM, SIGHUP}, [this](int signal) {
        if (signal == SIGHUP) {
            reload(false);
            return;
        }
        spdlog::info("{}: stopping", signal == SIGINT ? "SIGINT" : "SIGTERM");
        loop_.stop();
    });
    add_methods(*this);
    server_.methods().after_writes([this] { bridge_->commit(); });
    if (const auto problem = server_.open()) {
        spdlog::critical("{}", *problem);
        return 1;
    }
    const auto problem = start();
    DpdkLog::opened(!problem || problem == kStopped);
    if (problem == kStopped) {
        spdlog::info("{}", kStopped);
    } else if (problem) {
        spdlog::critical("{}", *problem);
        failed_ = true;
    } else {
        spdlog::info("running: {} workers, {} ports, {} segments, socket {}",
                     machine_.worker_count(), machine_.ports().size(), bridge_->segment_count(),
                     server_.path());
        loop_.run();
    }
    stop();
    return failed_ ? 1 : 0;
}

std::optional<std::string> Daemon::start() {
    started_ = std::chrono::steady_clock::now();
    if (auto problem = machine_.open(topology_, DpdkLog::line)) {
        return problem;
    }
    if (stop_is_pending()) {
        return kStopped;
    }
    spdlog::info("EAL: {}", machine_.eal().text);
    for (const std::string& note : machine_.eal().notes) {
        spdlog::info("{}", note);
    }
    publisher_ = std::make_unique<Publisher>(machine_.worker_count());
    punts_ = std::make_unique<Punts>(machine_, *publisher_);
    punts_->set_icmp_rate(topology_.system.icmp_rate);
    neighbours_ = std::make_unique<Neighbours>(*punts_, NeighbourOptions{}, std::random_device{}());
    tunnels_ = std::make_unique<Tunnels>(topology_.system.tunnel_capacity, routes_, *neighbours_,
                                         *publisher_);
    bridge_ = std::make_unique<Bridge>(topology_.system.fdb_capacity, *tunnels_, *publisher_);
    segment_neighbours_ = std::make_unique<SegmentNeighbours>(*bridge_);
    bridge_->add_part(*segment_neighbours_);
    underlay_groups_ = std::make_unique<UnderlayGroups>(machine_, *bridge_, std::random_device{}());
    bridge_->add_part(*underlay_groups_);
    segment_groups_ = std::make_unique<SegmentGroups>(*bridge_);
    bridge_->add_part(*segment_groups_);
    routing_ = std::make_unique<Routing>(*bridge_, *tunnels_, *neighbours_, *publisher_);
    slaves_ = std::make_unique<Slaves>(machine_, *bridge_, *routing_);
    punts_->connect(*neighbours_, *tunnels_);
    punts_->connect(*routing_, *slaves_);
    if (const config::System& system = topology_.system; !system.persist.empty()) {
        persist_ = std::make_unique<Persist>(
            system.persist, std::chrono::seconds(system.persist_interval), *bridge_, machine_);
        bridge_->count_ages_from(Neighbours::Clock::now() - Persist::kOldest);
    }
    load_ports();
    load_routes();
    // Workers exist from here on, as resolving begins with the first tunnel and needs their rings.
    machine_.make_workers(topology_, *publisher_, clock_, topology_.vxlans.size() + kSpareSegments);
    load_neighbours();
    if (auto problem = load_segments()) {
        return problem;
    }
    if (auto problem = load_ipvlans()) {
        return problem;
    }
    if (persist_) {
        persist_->restore(Neighbours::Clock::now());
    }
    tick_groups(Neighbours::Clock::now());
    bridge_->finish_loading();
    stats_ = std::make_unique<stats::Reader>(machine_, *punts_, *bridge_, *publisher_, topology_);
    stats_->connect(*segment_neighbours_);
    telemetry_ = std::make_unique<Telemetry>();
    captures_ = std::make_unique<capture::Captures>(*publisher_);
    start_events();
    start_segment_events();
    if (stop_is_pending()) {
        return kStopped;
    }
    if (auto problem = machine_.start(topology_)) {
        return problem;
    }
    for (const OpenPort& open : machine_.ports()) {
        if (!open.is_twin && open.config->role == config::PortRole::underlay) {
            neighbours_->announce(open.port->id());
        }
    }
    loop_.every(kTick, [this] { tick(); });
    loop_.every(kLinks, [this, addresses = TapAddresses{}]() mutable {
        slaves_->follow_links();
        addresses.turn(machine_, *slaves_);
    });
    loop_.every(kWatch, [this, known = std::vector<std::string>{}]() mutable {
        follow_mtus(Neighbours::Clock::now());
        follow_rx_verdicts(machine_, *bridge_);
        stats_->watch(std::chrono::steady_clock::now());
        telemetry_->renew(*stats_, *slaves_);
        const std::vector<std::string> now = stats_->alarms();
        for (const std::string& alarm : now) {
            if (std::find(known.begin(), known.end(), alarm) == known.end()) {
                spdlog::warn("alarm: {}", alarm);
                server_.publish("alarm", {{"what", "raised"}, {"alarm", alarm}});
            }
        }
        for (const std::string& alarm : known) {
            if (std::find(now.begin(), now.end(), alarm) == now.end()) {
                spdlog::info("alarm over: {}", alarm);
                server_.publish("alarm", {{"what", "cleared"}, {"alarm", alarm}});
            }
        }
        known = now;
    });
    return std::nullopt;
}

namespace {

std::string_view event_name(FdbNews::Kind kind) {
    switch (kind) {
        case FdbNews::Kind::moved:
            return "mac_moved";
        case FdbNews::Kind::duplicate:
            return "mac_duplicate";
        case FdbNews::Kind::recovered:
            return "mac_recovered";
        default:
            return name(kind);
    }
}

}  // namespace

void Daemon::start_events() {
    bridge_->on_news([this](const FdbNews& news) {
        const SegmentSpec& segment = bridge_->segment(news.entry.segment);
        if (news.kind == FdbNews::Kind::moved) {
            const auto now = std::chrono::steady_clock::now();
            if (now - move_logged_ >= std::chrono::seconds(1)) {
                move_logged_ = now;
                spdlog::info(
                    "segment {}: {} moved from {} to {}", segment.name, text(news.entry.mac),
                    news.entry.previous ? text(*news.entry.previous) : "a local port",
                    news.entry.remotes.empty() ? "a local port" : text(news.entry.remotes.front()));
            }
        }
        if (news.kind == FdbNews::Kind::duplicate || news.kind == FdbNews::Kind::recovered) {
            spdlog::warn("segment {}: {} {}", segment.name, text(news.entry.mac),
                         news.kind == FdbNews::Kind::duplicate
                             ? "moves too often: two hosts may have it, and it stays where it is"
                             : "may move again");
        }
        if (!server_.has_subscriber("fdb")) {
            return;
        }
        rpc::Json event{{"what", event_name(news.kind)},
                        {"mac", text(news.entry.mac)},
                        {"segment", segment.name},
                        {"vni", segment.vni.number}};
        if (news.entry.port) {
            const OpenPort* port = machine_.by_id(*news.entry.port);
            event["port"] = port == nullptr ? "?" : port->port->name();
        }
        if (!news.entry.remotes.empty()) {
            event["dst"] = text(news.entry.remotes.front());
        }
        if (news.kind == FdbNews::Kind::refused && news.entry.nhid) {
            event["nhid"] = *news.entry.nhid;
        }
        if (news.entry.previous) {
            event["previous"] = text(*news.entry.previous);
        }
        server_.publish("fdb", event);
    });
    punts_->on_news([this](std::string_view what, NeighbourKey key, net::MacAddress mac) {
        if (server_.has_subscriber("neigh")) {
            server_.publish("neigh", {{"what", what},
                                      {"address", text(key.address)},
                                      {"lladdr", mac.is_zero() ? "" : text(mac)}});
        }
    });
}

void Daemon::take_learned(Time now) {
    std::array<step::LearnEvent, 512> events;
    for (const WorkerRings& ring : machine_.rings()) {
        const unsigned n = rte_ring_sc_dequeue_burst_elem(
            ring.rings.learn, events.data(), sizeof(step::LearnEvent), events.size(), nullptr);
        if (n != 0) {
            bridge_->learn(std::span(events).first(n), now);
        }
    }
}

void Daemon::tick() {
    const Time now = Neighbours::Clock::now();
    clock_.milliseconds.store(
        static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(now - started_).count()),
        std::memory_order_relaxed);
    clock_.epoch.store(bridge_->epoch(now), std::memory_order_relaxed);
    take_learned(now);
    punts_->take(now);
    if (const auto due = neighbours_->next_due(); due && *due <= now) {
        neighbours_->tick(now);
    }
    routing_->tick();
    slaves_->tick();
    punts_->tick_slaves(now);
    tunnels_->tick(now);
    captures_->turn();
    if (persist_) {
        persist_->turn(now);
    }
    bridge_->age(now, kAgeingBudget);
    segment_neighbours_->tick(now);
    tick_groups(now);
    bridge_->commit();
    punts_->send_released();
    routing_->reclaim();
    bridge_->reclaim();
}

void Daemon::check_account() {
    // Nothing runs any more: what one side gave, the other side took or left in a ring.
    std::uint64_t diverted = 0;
    std::uint64_t injected = 0;
    std::uint64_t handed_off = 0;
    std::uint64_t taken_over = 0;
    std::uint64_t steered_out = 0;
    std::uint64_t steered_in = 0;
    for (const auto& worker : machine_.workers()) {
        const path::WorkerCounters& counters = worker->counters();
        diverted += counters.diverted.get();
        injected += counters.injected.get();
        handed_off += counters.handed_off.get();
        taken_over += counters.taken_over.get();
        steered_out += counters.steered_out.get();
        steered_in += counters.steered_in.get();
    }
    const PuntCounters& punts = punts_->counters();
    const Machine::Left& left = machine_.left();
    const auto check = [this](std::string_view what, std::uint64_t gave, std::uint64_t took) {
        if (gave != took) {
            spdlog::error("account: {}: {} given, {} taken", what, gave, took);
            failed_ = true;
        }
    };
    check("workers to control", diverted, punts.taken + left.punted);
    check("control to workers", punts.forwarded, injected + left.injected);
    check("workers to workers", handed_off, taken_over + left.handed_off);
    check("steering", steered_out, steered_in + left.steered);
    check("control", punts.taken + punts.made, punts.consumed + punts.forwarded + punts.dropped);
}

void Daemon::stop() {
    server_.close();
    machine_.stop_workers();
    if (neighbours_) {
        punts_->disconnect();
        for (const OpenPort& open : machine_.ports()) {
            neighbours_->remove_port(open.port->id());
        }
    }
    if (punts_) {
        punts_->drop_all();
        check_account();
    }
    captures_.reset();
    if (persist_ && stats_) {
        persist_->save(Neighbours::Clock::now());
    }
    persist_.reset();
    telemetry_.reset();
    stats_.reset();
    if (publisher_) {
        publisher_->drain();
    }
    slaves_.reset();
    routing_.reset();
    bridge_.reset();
    segment_neighbours_.reset();
    underlay_groups_.reset();
    segment_groups_.reset();
    tunnels_.reset();
    neighbours_.reset();
    punts_.reset();
    publisher_.reset();
    if (const std::uint64_t missing = machine_.close(); missing != 0) {
        spdlog::error("{} packet buffers did not come back", missing);
        failed_ = true;
    }
    spdlog::info("stopped");
}

}  // namespace vxplane::control
