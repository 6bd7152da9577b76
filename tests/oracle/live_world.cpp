// The machine and the control side of it.
#include "live_world.hpp"

#include <rte_ethdev.h>
#include <sched.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "config/load.hpp"
#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/words.hpp"
#include "setup.hpp"

namespace vxplane::oracle {
namespace {

using namespace std::chrono_literals;

std::uint16_t keep_sent(std::uint16_t port, std::uint16_t, rte_mbuf** mbufs, std::uint16_t count,
                        void* into) {
    auto& world = *static_cast<LiveMachine*>(into);
    for (std::uint16_t i = 0; i < count; ++i) {
        Bytes bytes;
        for (const rte_mbuf* s = mbufs[i]; s != nullptr; s = s->next) {
            const auto* data = rte_pktmbuf_mtod(s, const std::uint8_t*);
            bytes.insert(bytes.end(), data, data + s->data_len);
        }
        world.sent[world.machine.by_id(port)->port->name()].push_back(std::move(bytes));
    }
    return count;
}

unsigned last_usable_cpu() {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    unsigned last = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) last = cpu;
    return last;
}

std::string quoted_word(const std::string& text) {
    return "\"" + text + "\"";
}

}  // namespace

LiveMachine& LiveMachine::get(const Topology& topology) {
    static LiveMachine* const machine = new LiveMachine(topology);  // it cannot be started again
    return *machine;
}

std::string LiveMachine::text(const std::map<std::string, std::string>& ports) const {
    const auto port = [&](const std::string& name, unsigned number, const std::string& keys) {
        const auto own = ports.find(name);
        return "  " + name + ": {device: \"net_null" + std::to_string(number) +
               ",no-rx=1\", rx-descriptors: 64, tx-descriptors: 64, " + keys +
               (own == ports.end() ? "" : ", " + own->second) + "}\n";
    };
    return "version: 1\n"
           "system: {workers: [" +
           std::to_string(cpu_) +
           "], hugepages: off, memory: 256M, mbufs: 8191, fdb-capacity: 4096, "
           "tunnel-capacity: 256, eal: [\"--no-telemetry\"]}\n"
           "ports:\n" +
           port("wire", 0, "role: underlay, mac: " + mac_ + ", addresses: [" + addresses_ + "]") +
           port("host", 1, "role: access, learning: false") +
           port("host2", 2, "role: access, learning: false") + "neighbours:\n" + neighbours_;
}

LiveMachine::LiveMachine(const Topology& topology) {
    spdlog::set_level(spdlog::level::off);
    cpu_ = last_usable_cpu();  // DPDK pins the thread, so it cannot be asked later
    mac_ = quoted_word(topology.macs.at("under"));
    const Setup setup = setup_of(topology, {}, {});
    for (const Setup::Route& route : setup.routes) {
        const net::IpAddress& own = setup.addresses.at(&route - setup.routes.data());
        addresses_ += (addresses_.empty() ? "" : ", ") +
                      quoted_word(control::text(own) + "/" + std::to_string(route.length));
    }
    for (const auto& [address, mac] : setup.neighbours)
        neighbours_ += "  - {address: " + quoted_word(control::text(address)) +
                       ", lladdr: " + quoted_word(mac) + ", dev: wire}\n";
    config::LoadResult loaded = config::check_text(text(), "ports");
    if (!loaded.problems.empty()) throw std::runtime_error(loaded.problems.front().text());
    base = std::move(loaded.topology);
    if (const auto problem = machine.open(base, [](int, std::string_view) {}))
        throw std::runtime_error(*problem);
    publisher = std::make_unique<control::Publisher>(machine.worker_count());
    constexpr std::size_t kSegments = 256;
    machine.make_workers(base, *publisher, clock, kSegments);
    for (control::OpenPort& open : machine.ports()) {
        for (std::uint16_t queue = 0; queue < open.port->tx_queues(); ++queue)
            rte_eth_add_tx_callback(open.port->id(), queue, keep_sent, this);
        if (const auto started = open.port->start(); !started)
            throw std::runtime_error(started.failure().text);
    }
}

Live::Live(LiveMachine& world)
    : world_{world}, topology_{std::make_unique<config::Topology>(world.base)} {
    // Later than anything that happened before, as workers remember what they told.
    world_.now = std::max(world_.now + 2s, control::Neighbours::Clock::now());
    control::Publisher& publisher = *world_.publisher;
    punts_ = std::make_unique<control::Punts>(world_.machine, publisher);
    neighbours_ = std::make_unique<control::Neighbours>(*punts_, control::NeighbourOptions{}, 1);
    tunnels_ = std::make_unique<control::Tunnels>(256, routes_, *neighbours_, publisher);
    bridge_ = std::make_unique<control::Bridge>(4096, *tunnels_, publisher);
    groups_ = std::make_unique<control::UnderlayGroups>(world_.machine, *bridge_, 1);
    bridge_->add_part(*groups_);
    routing_ = std::make_unique<control::Routing>(*bridge_, *tunnels_, *neighbours_, publisher);
    slaves_ = std::make_unique<control::Slaves>(world_.machine, *bridge_, *routing_);
    punts_->connect(*neighbours_, *tunnels_);
    punts_->connect(*routing_, *slaves_);
    punts_->on_heard([this](const path::PuntItem& item, std::span<const std::byte> frame) {
        if (item.why == packet::Punt::group_query) groups_->hear(item.in_port, frame, world_.now);
    });
    for (control::OpenPort& open : world_.machine.ports())
        open.config = config::find_port(*topology_, open.config->name);
    load_ports();
    bridge_->finish_loading();
    tick();
    world_.sent.clear();
}

Live::~Live() {
    for (control::OpenPort& open : world_.machine.ports())
        open.config = config::find_port(world_.base, open.config->name);
    neighbours_->remove_port(world_.machine.by_name("wire")->port->id());
    punts_->drop_all();
    poll();
    // Workers look at tables that outlive these, before these are freed.
    world_.publisher->publish(std::make_unique<table::Tables>());
    world_.publisher->drain();
    world_.sent.clear();
}

void Live::load_ports() {
    for (const control::OpenPort& open : world_.machine.ports()) {
        table::PortEntry entry;
        const bool underlay = open.config->role == config::PortRole::underlay;
        entry.role = underlay ? table::PortRole::underlay : table::PortRole::access;
        entry.learning = open.config->learning;
        entry.multi_segment_tx = open.port->multi_segment_tx();
        entry.promiscuous = open.config->promiscuous;
        entry.reassembles = open.config->reassembly;
        entry.max_frame = static_cast<std::uint16_t>(open.port->mtu() + 14);
        const net::MacAddress mac{open.port->mac()};
        entry.mac = mac.number();
        bridge_->set_port(open.port->id(), entry);
        if (!underlay) continue;
        neighbours_->set_port(open.port->id(), mac,
                              control::answered_addresses(*topology_, *open.config));
        tunnels_->set_uplink(open.port->id(),
                             {mac, open.port->mtu(), control::own_addresses(*open.config)});
    }
    auto addresses = control::all_addresses(*topology_, world_.machine);
    std::vector<control::OwnAddress> all;
    for (const auto& [own, port] : addresses) all.push_back(own);
    punts_->set_addresses(std::move(all));
    bridge_->set_addresses(std::move(addresses));
    control::set_routes(routes_, *topology_, world_.machine);
    for (const config::Neighbour& one : topology_->neighbours)
        neighbours_->add_permanent(control::neighbour_of(one, world_.machine),
                                   control::mac_of(one.lladdr), world_.now);
}

Live::Problems Live::change(const std::string& text, bool in_place) {
    auto loaded = config::check_text(text, "topology");
    Problems problems;
    for (const config::Problem& problem : loaded.problems) problems.push_back(problem.text());
    if (!problems.empty()) return problems;
    control::Reload reload(
        {world_.machine, *bridge_, *tunnels_, *neighbours_, *punts_, routes_, *slaves_}, *topology_,
        loaded.topology);
    problems = reload.refusals();
    for (const config::Change& change : reload.changes()) {
        const bool is_segment = change.path.starts_with("vxlans.") &&
                                change.path.find_first_of(".[", 7) == std::string::npos;
        if (in_place && is_segment && change.kind == config::Change::Kind::remove)
            problems.push_back(change.line() + ": it takes another segment");
    }
    if (problems.empty())
        if (const auto problem = reload.apply()) problems.push_back(*problem);
    if (!problems.empty()) return problems;
    auto next = std::make_unique<config::Topology>(std::move(loaded.topology));
    for (control::OpenPort& open : world_.machine.ports())
        open.config = config::find_port(*next, open.config->name);
    topology_ = std::move(next);
    slaves_->adopt(*topology_);
    tick();
    return {};
}

Frames Live::receive(const std::string& port, const Bytes& frame, std::set<std::string>& facts) {
    std::array<std::uint64_t, packet::kDropReasons> before{};
    const auto& counters = world_.machine.workers().front()->counters();
    for (std::size_t i = 0; i < before.size(); ++i) before[i] = counters.drops[i].get();
    poll();  // the tables of now
    rte_mbuf* mbuf = world_.machine.control_pools().packet();
    if (mbuf == nullptr || rte_pktmbuf_tailroom(mbuf) < frame.size())
        throw std::runtime_error("no buffer for a frame");
    std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size())), frame.data(),
                frame.size());
    world_.machine.workers().front()->receive(world_.machine.by_name(port)->port->id(), &mbuf, 1);
    poll();
    tick();
    for (std::size_t i = 0; i < before.size(); ++i)
        if (counters.drops[i].get() != before[i])
            facts.insert("we_drop:" +
                         std::string(packet::info(static_cast<packet::DropReason>(i)).name));
    return take_sent();
}

Frames Live::take_sent() {
    return std::exchange(world_.sent, {});
}

void Live::pass(std::chrono::milliseconds time) {
    for (const auto until = world_.now + time; world_.now < until;) {
        world_.now = std::min(world_.now + 10ms, until);
        tick();
    }
}

void Live::poll() {
    control::Publisher& publisher = *world_.publisher;
    if (publisher.current() == nullptr) return;
    world_.clock.epoch = bridge_->epoch(world_.now);
    world_.clock.milliseconds =
        static_cast<std::uint32_t>(world_.now.time_since_epoch() / std::chrono::milliseconds(1));
    rte_rcu_qsbr_thread_online(publisher.rcu(), 0);
    while (world_.machine.workers().front()->poll() != 0) {
    }
    rte_rcu_qsbr_thread_offline(publisher.rcu(), 0);
}

void Live::tick() {
    std::array<step::LearnEvent, 64> events;
    for (const control::WorkerRings& ring : world_.machine.rings()) {
        const unsigned n = rte_ring_sc_dequeue_burst_elem(
            ring.rings.learn, events.data(), sizeof(step::LearnEvent), events.size(), nullptr);
        if (n != 0) bridge_->learn(std::span(events).first(n), world_.now);
    }
    punts_->take(world_.now);
    neighbours_->tick(world_.now);
    routing_->tick();
    slaves_->tick();
    punts_->tick_slaves(world_.now);
    groups_->tick(world_.now, [this](std::uint16_t port, std::span<const std::byte> frame) {
        punts_->send_frame(port, frame);
    });
    bridge_->age(world_.now, 2048);
    bridge_->commit();
    punts_->send_released();
    routing_->reclaim();
    bridge_->reclaim();
    poll();
}

std::vector<std::uint64_t> Live::received_by_segment() const {
    std::vector<std::uint64_t> all;
    for (const auto& one : world_.machine.workers().front()->counters().segments)
        all.push_back(one.rx_packets.get());
    return all;
}

std::string Live::broken_law() const {
    return punts_->difference() == 0 ? "" : "packets are unaccounted for in control";
}

}  // namespace vxplane::oracle
