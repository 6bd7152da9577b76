#include "control/machine.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "config/resolve.hpp"
#include "control/large.hpp"
#include "control/resolve/neighbours.hpp"
#include "dataplane/port/device.hpp"
#include "dataplane/port/hugepages.hpp"

namespace vxplane::control {

namespace {

/// Of EAL's runtime folder; the process id follows.
constexpr const char* kFilePrefix = "vxplane-";

rte_ring* make_ring(const std::string& name, unsigned element, unsigned count, unsigned flags) {
    rte_ring* ring = element == sizeof(void*)
                         ? rte_ring_create(name.c_str(), count, SOCKET_ID_ANY, flags)
                         : rte_ring_create_elem(name.c_str(), element, count, SOCKET_ID_ANY, flags);
    if (ring == nullptr) {
        throw std::bad_alloc();
    }
    return ring;
}

/// Runtime folders of daemons that were killed: they are named after a process that is no more.
void remove_orphans(const std::filesystem::path& folder) {
    const std::string prefix = kFilePrefix;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        const std::string name = entry.path().filename();
        if (name.rfind(prefix, 0) != 0 || name.size() == prefix.size()) {
            continue;
        }
        char* end = nullptr;
        const long pid = std::strtol(name.c_str() + prefix.size(), &end, 10);
        if (*end == '\0' && pid > 0 && kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) {
            std::filesystem::remove_all(entry.path(), ignored);
        }
    }
}

bool is_pci(const config::Port& port) {
    return port.device.rfind("net_", 0) != 0 && port.device.find(':') != std::string::npos;
}

}  // namespace

WorkerRings::~WorkerRings() {
    rte_ring_free(rings.punt);
    rte_ring_free(rings.learn);
    rte_ring_free(rings.inject);
}

Machine::~Machine() {
    stop_workers();
    close();
}

std::optional<std::string> Machine::choose_cpus(const config::Topology& topology) {
    const config::System& system = topology.system;
    const std::vector<unsigned> cpus = port::usable_cpus();
    if (cpus.empty()) {
        return "cannot read the CPU affinity of the process";
    }
    if (auto problem = refuse_cpus(topology, cpus)) {
        return problem;
    }
    worker_cpus_ = system.workers;
    if (worker_cpus_.empty()) {
        const unsigned taken = system.control.value_or(cpus.front());
        const auto other =
            std::find_if(cpus.begin(), cpus.end(), [taken](unsigned cpu) { return cpu != taken; });
        worker_cpus_ = {other == cpus.end() ? cpus.front() : *other};
    }
    const auto is_free = [this](unsigned cpu) {
        return std::find(worker_cpus_.begin(), worker_cpus_.end(), cpu) == worker_cpus_.end();
    };
    const auto free_cpu = std::find_if(cpus.begin(), cpus.end(), is_free);
    control_cpu_ = system.control.value_or(free_cpu == cpus.end() ? cpus.front() : *free_cpu);
    return std::nullopt;
}

std::optional<std::string> Machine::open_eal(const config::Topology& topology, port::LogLine log) {
    const config::System& system = topology.system;
    port::EalOptions options;
    options.worker_cpus = worker_cpus_;
    options.control_cpu = control_cpu_;
    options.memory_bytes = system.memory;
    options.hugepages =
        system.hugepages == config::Hugepages::require ? port::EalOptions::Hugepages::require
        : system.hugepages == config::Hugepages::off   ? port::EalOptions::Hugepages::off
                                                       : port::EalOptions::Hugepages::automatic;
    options.file_prefix = kFilePrefix + std::to_string(getpid());
    options.extra = system.eal;
    options.pci = std::any_of(topology.ports.begin(), topology.ports.end(), is_pci);
    options.log_line = log;
    auto eal = port::start_eal(options);
    if (!eal) {
        return eal.failure().text;
    }
    eal_ = *eal;
    eal_runs_ = true;
    return std::nullopt;
}

std::optional<std::string> Machine::open_pools(const config::Topology& topology) {
    const auto workers = static_cast<std::uint32_t>(worker_cpus_.size());
    port::PoolDemand demand;
    port::PoolSizes sizes;
    std::uint32_t remotes = 0;
    for (const config::Port& port : topology.ports) {
        demand.ports.push_back(port::demand_of(options_of(port, workers)));
        if (!port.host.empty()) {
            const std::uint32_t descriptors = port::TwinOptions{}.descriptors;
            demand.ports.push_back({1, descriptors, 1, descriptors});
        }
        sizes.mtu =
            std::max(sizes.mtu, port::mtu_of_buffers(port.device, device_mtu(topology, port)));
    }
    for (const config::Vxlan& vxlan : topology.vxlans) {
        remotes = std::max(remotes, static_cast<std::uint32_t>(config::flood_copies(vxlan)));
    }
    demand.lcores = workers + 1;
    demand.burst = packet::kBurstSize;
    demand.held = static_cast<std::uint32_t>(NeighbourOptions{}.held_packets);
    demand.ring_slots = workers * (kPuntRing + kInjectRing) +
                        static_cast<std::uint32_t>(topology.ports.size()) * workers * kHandoffRing;
    if (steering_wanted_) {
        demand.ring_slots += workers * topology.system.backlog;
    }
    buffer_mtu_ = sizes.mtu;
    const std::uint32_t needed = port::packets_needed(demand);
    if (auto problem = refuse_buffers(topology, demand, needed)) {
        return problem;
    }
    sizes.packets = topology.system.mbufs != 0 ? topology.system.mbufs : needed;
    sizes.headers = port::headers_needed(demand, remotes);
    auto pools = port::PoolSet::make(sizes, port::nodes_of_lcores());
    if (!pools) {
        const config::System& system = topology.system;
        return config::Problem{topology.file, system.keys.of("memory", system.where),
                               "system.memory", pools.failure().text}
            .text();
    }
    pools_ = *std::move(pools);
    control_pools_ = port::WorkerPools(*pools_, static_cast<int>(rte_socket_id()));
    return std::nullopt;
}

std::optional<std::string> Machine::open_port(const config::Topology& topology,
                                              const config::Port& port) {
    port::PortOptions options = options_of(port, worker_count());
    options.mtu = device_mtu(topology, port);
    options.rx_interrupts = idle_ == config::IdlePolicy::interrupt;
    std::vector<unsigned> pollers;
    options.place_queues = [&](int node, std::uint16_t queues) {
        pollers = plan_->place(node, queues, pollers_of(port));
        std::vector<int> nodes;
        for (const unsigned worker : pollers) {
            nodes.push_back(static_cast<int>(rte_lcore_to_socket_id(worker + 1)));
        }
        return nodes;
    };
    auto opened = port::open_port(options, *pools_);
    if (!opened) {
        return problem_at_key(topology, port, opened.failure());
    }
    // Segments would be sized for an MTU that the device drops frames of.
    if ((*opened)->mtu() < options.mtu) {
        return "port " + port.name + ": mtu " + std::to_string(options.mtu) +
               ": the device takes at most " + std::to_string((*opened)->mtu());
    }
    (*opened)->offer_mtu(offered_mtu(topology, port));
    OpenPort open;
    open.config = &port;
    open.port = *std::move(opened);
    open.pollers = pollers;
    open.first_worker = pollers.front();
    if (port.host.empty()) {
        ports_.push_back(std::move(open));
        return std::nullopt;
    }
    port::TwinOptions twin;
    twin.name = port.name + ".host";
    twin.ifname = port.host;
    twin.mac = open.port->mac();
    twin.mtu = open.port->mtu();
    twin.rx_interrupts = options.rx_interrupts;
    auto made = port::make_twin(twin, *pools_);
    if (!made) {
        return made.failure().text;
    }
    OpenPort second;
    second.config = &port;
    second.port = *std::move(made);
    second.is_twin = true;
    second.partner = open.port->id();
    // The host's own traffic is no load to plan for.
    second.pollers.assign(second.port->rx_queues(), open.first_worker);
    second.first_worker = open.first_worker;
    open.partner = second.port->id();
    ports_.push_back(std::move(open));
    ports_.push_back(std::move(second));
    return std::nullopt;
}

std::optional<std::string> Machine::open(const config::Topology& topology, port::LogLine log) {
    idle_ = topology.system.idle;
    if (auto problem = choose_cpus(topology)) {
        return problem;
    }
    if (auto problem = open_eal(topology, log)) {
        return problem;
    }
    steering_wanted_ = topology.system.steering == config::Steering::software && worker_count() > 1;
    if (auto problem = pin_ipvlans(topology)) {
        return problem;
    }
    if (auto problem = open_pools(topology)) {
        return problem;
    }
    plan_.emplace(worker_nodes());
    for (const config::Port& port : topology.ports) {
        if (auto problem = open_port(topology, port)) {
            return problem;
        }
    }
    share_macs(topology);
    return std::nullopt;
}

void Machine::make_workers(const config::Topology& topology, const Publisher& publisher,
                           const worker::SharedClock& clock, std::size_t segments) {
    const unsigned count = worker_count();
    std::uint16_t ids = 0;
    for (const OpenPort& open : ports_) {
        ids = std::max(ids, static_cast<std::uint16_t>(open.port->id() + 1));
    }
    constexpr unsigned kOneToOne = RING_F_SP_ENQ | RING_F_SC_DEQ;
    make_steering(topology.system);
    std::vector<worker::WorkerOptions> plans(count);
    for (unsigned id = 0; id < count; ++id) {
        worker::WorkerOptions& plan = plans[id];
        const std::string suffix = "_" + std::to_string(id);
        rings_.emplace_back();
        rings_.back().rings.punt =
            make_ring("punt" + suffix, sizeof(path::PuntItem), kPuntRing, kOneToOne);
        rings_.back().rings.learn =
            make_ring("learn" + suffix, sizeof(step::LearnEvent), kLearnRing, kOneToOne);
        rings_.back().rings.inject =
            make_ring("inject" + suffix, sizeof(path::InjectItem), kInjectRing, kOneToOne);
        plan.id = id;
        plan.lcore = id + 1;
        plan.rings = rings_.back().rings;
        plan.lanes.resize(ids);
        plan.port_count = ids;
        plan.segment_count = segments;
        set_idle(plan, topology.system);
        plan.tables = &publisher.pointer();
        plan.clock = &clock;
        plan.steering = steering_.get();
        plan.flow_limit = topology.system.flow_limit;
        plan.rcu = publisher.rcu();
        plan.pools = port::WorkerPools(*pools_, static_cast<int>(rte_lcore_to_socket_id(id + 1)));
        // An eighth of the buffers, whoever sends fragments without an end.
        plan.fragments = plan.pools.own().packets->size / (8 * count);
    }
    plan_transmit(plans);
    plan_large(ports_, plans);
    for (worker::WorkerOptions& plan : plans) {
        workers_.push_back(std::make_unique<worker::Worker>(std::move(plan)));
    }
}

std::optional<std::string> Machine::start(const config::Topology& topology) {
    for (OpenPort& open : ports_) {
        if (const auto done = open.port->start(); !done) {
            return problem_at_key(topology, *open.config, done.failure());
        }
        note_spreading(open);
    }
    watch_queues();
    workers_run_ = true;
    for (const auto& worker : workers_) {
        const auto body = [](void* self) {
            static_cast<worker::Worker*>(self)->run();
            return 0;
        };
        if (rte_eal_remote_launch(body, worker.get(), worker->options().lcore) != 0) {
            return "worker " + std::to_string(worker->options().id) + " does not start";
        }
    }
    return std::nullopt;
}

void Machine::stop_workers() {
    if (workers_run_) {
        for (const auto& worker : workers_) {
            worker->stop();
        }
        for (const auto& worker : workers_) {
            rte_eal_wait_lcore(worker->options().lcore);
        }
        workers_run_ = false;
    }
    // Also when no worker ever ran: resolving begins before they do.
    drain_rings();
}

void Machine::drain_rings() noexcept {
    for (const WorkerRings& ring : rings_) {
        path::PuntItem punt;
        while (rte_ring_sc_dequeue_elem(ring.rings.punt, &punt, sizeof punt) == 0) {
            rte_pktmbuf_free(punt.mbuf);
            ++left_.punted;
        }
        path::InjectItem item;
        while (rte_ring_sc_dequeue_elem(ring.rings.inject, &item, sizeof item) == 0) {
            rte_pktmbuf_free(item.mbuf);
            ++left_.injected;
        }
    }
    for (rte_ring* handoff : handoffs_) {
        void* mbuf = nullptr;
        while (rte_ring_sc_dequeue(handoff, &mbuf) == 0) {
            rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
            ++left_.handed_off;
        }
    }
    if (steering_ != nullptr) {
        left_.steered += steering_->drain();
    }
}

std::uint64_t Machine::close() {
    if (!eal_runs_) {
        return 0;
    }
    workers_.clear();
    // DPDK closes an AF_XDP socket with the buffers of its fill ring: these come back with the
    // pool.
    bool kept = false;
    for (OpenPort& open : ports_) {
        open.port->stop();
        kept = kept || open.port->driver() == "net_af_xdp";
    }
    while (!ports_.empty()) {
        ports_.pop_back();
    }
    rings_.clear();
    for (rte_ring* handoff : handoffs_) {
        rte_ring_free(handoff);
    }
    handoffs_.clear();
    steering_.reset();
    const std::uint64_t missing = pools_ && !kept ? pools_->in_use() : 0;
    pools_.reset();
    eal_runs_ = false;
    const std::string runtime = rte_eal_get_runtime_dir();
    port::stop_eal();
    // Named after this process, so nobody else's; EAL leaves it behind.
    std::error_code ignored;
    std::filesystem::remove_all(runtime, ignored);
    remove_orphans(std::filesystem::path(runtime).parent_path());
    return missing;
}

bool Machine::inject(rte_mbuf* mbuf, std::uint16_t port) noexcept {
    const OpenPort* open = by_id(port);
    if (open == nullptr) {
        return false;
    }
    path::InjectItem item{mbuf, port, 0};
    if (rte_ring_sp_enqueue_elem(rings_[open->first_worker].rings.inject, &item, sizeof item) !=
        0) {
        return false;
    }
    if (open->first_worker < workers_.size()) {
        workers_[open->first_worker]->wake();
    }
    return true;
}

const OpenPort* Machine::by_id(std::uint16_t id) const noexcept {
    const auto at = std::find_if(ports_.begin(), ports_.end(),
                                 [id](const OpenPort& open) { return open.port->id() == id; });
    return at == ports_.end() ? nullptr : &*at;
}

const OpenPort* Machine::by_name(std::string_view name) const noexcept {
    const auto at = std::find_if(ports_.begin(), ports_.end(), [name](const OpenPort& open) {
        return open.port->name() == name;
    });
    return at == ports_.end() ? nullptr : &*at;
}

}  // namespace vxplane::control
