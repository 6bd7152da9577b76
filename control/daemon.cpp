#include "control/daemon.hpp"

#include <rte_cycles.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>
#include <random>

#include "config/resolve.hpp"
#include "control/apply/words.hpp"
#include "control/methods.hpp"
#include "control/telemetry.hpp"

namespace vxplane::control {

namespace {

using Time = Neighbours::Time;

// Control looks at its rings this often: the delay of an ARP answer, a learned address, a hold.
constexpr std::chrono::milliseconds kTick{1};
constexpr std::chrono::milliseconds kWatch{500};
// FDB entries visited for ageing per tick; 1 M entries are visited once in 56 s, or 18 per tick.
constexpr std::size_t kAgeingBudget = 2048;

net::MacAddress mac_of(const config::MacAddress& mac) {
    return {mac.bytes};
}

/// Locally administered, from the VNI: the same at every start, and different between segments.
net::MacAddress own_mac_of(const config::Vxlan& vxlan) {
    if (vxlan.mac) {
        return mac_of(*vxlan.mac);
    }
    const std::uint32_t id = vxlan.id;
    return {{0x02, 0x76, 0x78, static_cast<std::uint8_t>(id >> 16),
             static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id)}};
}

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
            kept_.emplace_back(text);
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

TunnelProfile profile_of(const config::Topology& topology, const config::Vxlan& vxlan) {
    TunnelProfile profile;
    if (const auto local = config::effective_local(topology, vxlan)) {
        profile.local = local->ipv4_number();
    }
    profile.dstport = vxlan.dstport;
    profile.source_port_lo = vxlan.srcport.lo;
    profile.source_port_span = static_cast<std::uint16_t>(vxlan.srcport.hi - vxlan.srcport.lo);
    profile.ttl = vxlan.ttl == 0 ? 64 : vxlan.ttl;
    profile.tos = vxlan.tos;
    profile.dont_fragment = vxlan.df == config::Df::set;
    profile.udp_checksum = vxlan.udpcsum;
    profile.ecn = vxlan.ecn == config::Ecn::rfc3168 ? net::EcnMode::rfc3168 : net::EcnMode::rfc6040;
    return profile;
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
            spdlog::warn("SIGHUP: a running daemon does not read its topology again; restart it");
            return;
        }
        spdlog::info("{}: stopping", signal == SIGINT ? "SIGINT" : "SIGTERM");
        loop_.stop();
    });
    add_methods(*this);
    if (const auto problem = server_.open()) {
        spdlog::critical("{}", *problem);
        return 1;
    }
    const auto problem = start();
    DpdkLog::opened(!problem);
    if (problem) {
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
    spdlog::info("EAL: {}", machine_.eal().text);
    for (const std::string& note : machine_.eal().notes) {
        spdlog::info("{}", note);
    }
    publisher_ = std::make_unique<Publisher>(machine_.worker_count());
    punts_ = std::make_unique<Punts>(machine_, *publisher_);
    neighbours_ = std::make_unique<Neighbours>(*punts_, NeighbourOptions{}, std::random_device{}());
    tunnels_ = std::make_unique<Tunnels>(topology_.system.tunnel_capacity, routes_, *neighbours_,
                                         *publisher_);
    bridge_ = std::make_unique<Bridge>(topology_.system.fdb_capacity, *tunnels_, *publisher_);
    punts_->connect(*neighbours_, *tunnels_);
    load_ports();
    load_routes();
    // Workers exist from here on, as resolving begins with the first tunnel and needs their rings.
    machine_.make_workers(topology_, *publisher_, clock_, topology_.vxlans.size());
    load_neighbours();
    if (auto problem = load_segments()) {
        return problem;
    }
    bridge_->finish_loading();
    stats_ = std::make_unique<stats::Reader>(machine_, *punts_, *bridge_, *publisher_);
    telemetry_ = std::make_unique<Telemetry>();
    start_events();
    if (auto problem = machine_.start()) {
        return problem;
    }
    for (const OpenPort& open : machine_.ports()) {
        if (!open.is_twin && open.config->role == config::PortRole::underlay) {
            neighbours_->announce(open.port->id());
        }
    }
    loop_.every(kTick, [this] { tick(); });
    loop_.every(kWatch, [this, known = std::vector<std::string>{}]() mutable {
        stats_->watch(std::chrono::steady_clock::now());
        telemetry_->renew(*stats_);
        const std::vector<std::string> now = stats_->alarms();
        for (const std::string& alarm : now) {
            if (std::find(known.begin(), known.end(), alarm) == known.end()) {
                spdlog::warn("alarm: {}", alarm);
                server_.publish("alarm", {{"alarm", alarm}});
            }
        }
        known = now;
    });
    return std::nullopt;
}

void Daemon::load_ports() {
    std::vector<std::pair<net::Ipv4Address, std::uint16_t>> addresses;
    for (const OpenPort& open : machine_.ports()) {
        const port::Port& port = *open.port;
        net::MacAddress mac;
        mac.bytes = port.mac();
        table::PortEntry entry;
        const bool underlay = open.config->role == config::PortRole::underlay;
        entry.role = open.is_twin ? table::PortRole::twin
                     : underlay   ? table::PortRole::underlay
                                  : table::PortRole::access;
        entry.learning = open.config->learning;
        entry.multi_segment_tx = port.multi_segment_tx();
        entry.promiscuous = open.config->promiscuous;
        entry.trusts_rx_checksum = port.rx_checksum();
        entry.partner = open.partner;
        // A twin may take less than its underlay port does.
        const std::uint16_t mtu = std::min(open.config->mtu, port.mtu());
        entry.max_frame = static_cast<std::uint16_t>(mtu + sizeof(net::EthernetHeader));
        entry.mac = mac.number();
        bridge_->set_port(port.id(), entry);
        for (const std::string& note : port.notes()) {
            spdlog::info("{}", note);
        }
        spdlog::info("port {}: {} ({}), MAC {}, MTU {}, {} rx and {} tx queues", port.name(),
                     port.device(), port.driver(), text(mac), mtu, port.rx_queues(),
                     port.tx_queues());
        if (open.is_twin || !underlay) {
            continue;
        }
        std::vector<OwnAddress> own;
        for (const config::IpPrefix& prefix : open.config->addresses) {
            const auto address = net::Ipv4Address::of(prefix.address.ipv4_number());
            own.push_back({address, prefix.length});
            addresses.emplace_back(address, port.id());
            routes_.add(address.number() & net::prefix_mask(prefix.length), prefix.length,
                        {table::RouteType::unicast, port.id(), 0});
        }
        neighbours_->set_port(port.id(), mac, own);
        punts_->set_addresses(port.id(), own);
        tunnels_->set_uplink(port.id(), {mac, open.config->mtu});
    }
    // Longer than any subnet, hence after all of them: an own address is never a next hop.
    for (const auto& [address, port] : addresses) {
        routes_.add(address.number(), 32, {table::RouteType::local, port, 0});
    }
    bridge_->set_addresses(std::move(addresses));
}

void Daemon::load_routes() {
    for (const config::Route& route : topology_.routes) {
        table::Route out;
        out.type = static_cast<table::RouteType>(route.type);
        const config::Port* port = nullptr;
        if (route.via) {
            out.via = route.via->ipv4_number();
            port = config::connected_to(topology_, *route.via).port;
        }
        if (!route.dev.empty()) {
            port = config::find_port(topology_, route.dev);
        }
        if (port != nullptr) {
            out.port = machine_.by_name(port->name)->port->id();
        }
        routes_.add(route.to.address.ipv4_number(), route.to.length, out);
    }
}

void Daemon::load_neighbours() {
    for (const config::Neighbour& neighbour : topology_.neighbours) {
        const NeighbourKey key{machine_.by_name(neighbour.dev)->port->id(),
                               net::Ipv4Address::of(neighbour.address.ipv4_number())};
        neighbours_->add_permanent(key, mac_of(neighbour.lladdr), Neighbours::Clock::now());
    }
}

std::optional<std::string> Daemon::load_segments() {
    std::map<std::uint32_t, std::vector<net::Ipv4Address>> groups;
    for (const config::NexthopGroup& group : topology_.nexthops) {
        for (const config::IpAddress& remote : group.remotes) {
            groups[group.id].push_back(net::Ipv4Address::of(remote.ipv4_number()));
        }
    }
    bridge_->set_nexthops(std::move(groups));
    const Time now = Neighbours::Clock::now();
    for (const config::Vxlan& vxlan : topology_.vxlans) {
        SegmentSpec spec;
        spec.name = vxlan.name;
        spec.vni = {vxlan.id};
        spec.profile = profile_of(topology_, vxlan);
        spec.own_mac = own_mac_of(vxlan);
        spec.mtu = config::effective_mtu(topology_, vxlan);
        spec.ageing = vxlan.ageing;
        spec.maxaddr = vxlan.maxaddr;
        spec.learning = vxlan.learning;
        spec.inner_vlan = vxlan.inner_vlan;
        for (const std::string& name : vxlan.ports) {
            spec.ports.push_back(machine_.by_name(name)->port->id());
        }
        const std::uint16_t index = bridge_->add_segment(spec, now);
        if (auto problem = load_fdb(vxlan, index)) {
            return "vxlan " + vxlan.name + ": " + *problem;
        }
    }
    return std::nullopt;
}

std::optional<std::string> Daemon::load_fdb(const config::Vxlan& vxlan, std::uint16_t index) {
    const Time now = Neighbours::Clock::now();
    FdbRequest request;
    request.segment = index;
    for (const config::IpAddress& remote : config::flood_list(vxlan)) {
        request.place.remote = net::Ipv4Address::of(remote.ipv4_number());
        if (auto problem = bridge_->add(request, now)) {
            return problem;
        }
    }
    for (const config::FdbEntry& entry : vxlan.fdb) {
        if (entry.mac.is_zero()) {
            continue;
        }
        request.mac = mac_of(entry.mac);
        request.state = entry.state == config::FdbState::static_ ? table::FdbState::static_
                                                                 : table::FdbState::permanent;
        request.place = {};
        if (entry.nhid) {
            request.place.nhid = entry.nhid;
        } else if (!entry.port.empty()) {
            request.place.port = machine_.by_name(entry.port)->port->id();
        }
        for (const config::IpAddress& remote : entry.dst) {
            request.place.remote = net::Ipv4Address::of(remote.ipv4_number());
            if (auto problem = bridge_->add(request, now)) {
                return problem;
            }
        }
        if (entry.dst.empty()) {
            if (auto problem = bridge_->add(request, now)) {
                return problem;
            }
        }
    }
    return std::nullopt;
}

void Daemon::start_events() {
    bridge_->on_news([this](const FdbNews& news) {
        const SegmentSpec& segment = bridge_->segment(news.entry.segment);
        if (news.kind == FdbNews::Kind::moved) {
            const auto now = std::chrono::steady_clock::now();
            if (now - move_logged_ >= std::chrono::seconds(1)) {
                move_logged_ = now;
                spdlog::info("segment {}: {} moved", segment.name, text(news.entry.mac));
            }
        }
        if (!server_.has_subscriber("fdb")) {
            return;
        }
        rpc::Json event{{"what", news.kind == FdbNews::Kind::moved ? "mac_moved" : name(news.kind)},
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
    bridge_->age(now, kAgeingBudget);
    bridge_->commit();
    punts_->send_released();
    bridge_->reclaim();
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
    }
    telemetry_.reset();
    stats_.reset();
    if (publisher_) {
        publisher_->drain();
    }
    bridge_.reset();
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
