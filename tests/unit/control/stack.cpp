#include "stack.hpp"

#include <rte_ethdev.h>
#include <sched.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <thread>

#include "control/apply/words.hpp"

namespace vxplane::control {

namespace {

std::uint16_t note_sent(std::uint16_t port, std::uint16_t, rte_mbuf** mbufs, std::uint16_t count,
                        void* into) {
    if (!static_cast<World*>(into)->records) {
        return count;
    }
    for (std::uint16_t i = 0; i < count; ++i) {
        Bytes bytes;
        for (const rte_mbuf* s = mbufs[i]; s != nullptr; s = s->next) {
            const auto* data = rte_pktmbuf_mtod(s, const std::uint8_t*);
            bytes.insert(bytes.end(), data, data + s->data_len);
        }
        static_cast<World*>(into)->sent.push_back({port, std::move(bytes)});
    }
    return count;
}

[[noreturn]] void give_up(const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
    std::exit(1);
}

config::Port port_of(const std::string& name, unsigned number, config::PortRole role) {
    config::Port port;
    port.name = name;
    port.device = "net_null" + std::to_string(number) + ",no-rx=1";
    port.role = role;
    port.rx_descriptors = port.tx_descriptors = 64;
    if (role == config::PortRole::underlay) {
        config::IpPrefix address;
        address.address.bytes = {10, 0, 0, 1};
        address.length = 24;
        port.addresses = {address};
    }
    return port;
}

std::vector<unsigned> two_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && cpus.size() < 2; ++cpu) {
        if (CPU_ISSET(cpu, &set)) {
            cpus.push_back(cpu);
        }
    }
    return cpus;
}

}  // namespace

World& World::get() {
    static World* const world = new World;  // DPDK cannot be started again
    return *world;
}

World::World() {
    spdlog::set_level(spdlog::level::off);
    topology.system.workers = two_cpus();
    if (topology.system.workers.size() != 2) {
        give_up("these tests need two CPUs");
    }
    topology.system.hugepages = config::Hugepages::off;
    topology.system.memory = 256ULL << 20;
    topology.system.mbufs = 8191;
    topology.system.eal = {"--no-telemetry"};
    topology.ports = {
        port_of("up", 0, config::PortRole::underlay), port_of("vm1", 1, config::PortRole::access),
        port_of("vm2", 2, config::PortRole::access), port_of("vm3", 3, config::PortRole::access)};
    if (const auto problem = machine.open(topology, [](int, std::string_view) {})) {
        give_up(*problem);
    }
    publisher = std::make_unique<Publisher>(machine.worker_count() + 1);
    machine.make_workers(topology, *publisher, clock, 8);
    const auto id = [this](const char* name) { return machine.by_name(name)->port->id(); };
    up = id("up");
    vm1 = id("vm1");
    vm2 = id("vm2");
    vm3 = id("vm3");
    for (OpenPort& open : machine.ports()) {
        for (std::uint16_t queue = 0; queue < open.port->tx_queues(); ++queue) {
            rte_eth_add_tx_callback(open.port->id(), queue, note_sent, this);
        }
        if (const auto started = open.port->start(); !started) {
            give_up(started.failure().text);
        }
    }
}

net::MacAddress World::mac_of(std::uint16_t port) const {
    net::MacAddress mac;
    mac.bytes = machine.by_id(port)->port->mac();
    return mac;
}

Stack::Stack(std::uint32_t fdb_capacity, std::uint32_t tunnel_capacity, NeighbourOptions options)
    : neighbours(punts, options, 1),
      tunnels(tunnel_capacity, routes, neighbours, publisher),
      bridge(fdb_capacity, tunnels, publisher) {
    punts.connect(neighbours, tunnels);
    punts.connect(routing, slaves);
    for (const OpenPort& open : world.machine.ports()) {
        table::PortEntry entry;
        const bool underlay = open.config->role == config::PortRole::underlay;
        entry.role = underlay ? table::PortRole::underlay : table::PortRole::access;
        entry.multi_segment_tx = open.port->multi_segment_tx();
        entry.mac = world.mac_of(open.port->id()).number();
        bridge.set_port(open.port->id(), entry);
    }
    const std::vector<OwnAddress> own{{ip("10.0.0.1"), 24}};
    neighbours.set_port(world.up, world.mac_of(world.up), own);
    punts.set_addresses(own);
    tunnels.set_uplink(world.up, {world.mac_of(world.up), 1500, own});
    routes.v4.add(ip("10.0.0.0").number(), 24, {table::RouteType::unicast, world.up, 0});
    routes.v4.add(ip("10.0.0.1").number(), 32, {table::RouteType::local, world.up, 0});
    bridge.set_addresses({{own.front(), world.up}});
    bridge.on_news([this](const FdbNews& one) { news.push_back(one); });
    for (std::size_t i = 0; i < drops_before_.size(); ++i) {
        for (const auto& worker : world.machine.workers()) {
            drops_before_[i] += worker->counters().drops[i].get();
        }
    }
    for (const WorkerRings& ring : world.machine.rings()) {
        step::LearnEvent old;
        while (rte_ring_sc_dequeue_elem(ring.rings.learn, &old, sizeof old) == 0) {
        }
    }
    world.sent.clear();
    world.records = true;
    // The workers' rate limit towards control, in real time: a burst's worth is there again.
    std::this_thread::sleep_for(12ms);
}

Stack::~Stack() {
    world.now = now;
    neighbours.remove_port(world.up);
    punts.drop_all();
    for (unsigned worker = 0; worker < world.machine.worker_count(); ++worker) {
        poll(worker);
    }
    // Workers look at tables that outlive this test's, before these are freed.
    publisher.publish(std::make_unique<table::Tables>());
    publisher.drain();
    // All buffers are back.
    EXPECT_EQ(world.machine.pools().in_use(), 0U);
}

SegmentSpec Stack::red() {
    SegmentSpec spec;
    spec.name = "red";
    spec.vni = {7};
    spec.profile.local = ip("10.0.0.1").number();
    spec.own_mac = mac("02:ee:00:00:00:07");
    spec.ports = {World::get().vm1, World::get().vm2};
    return spec;
}

void Stack::begin() {
    if (bridge.segment_count() == 0) {
        segment(red());
    }
    bridge.finish_loading();
    loaded_ = true;
}

void Stack::poll(unsigned worker) {
    if (publisher.current() == nullptr) {
        return;
    }
    rte_rcu_qsbr_thread_online(publisher.rcu(), worker);
    while (world.machine.workers()[worker]->poll() != 0) {
    }
    rte_rcu_qsbr_thread_offline(publisher.rcu(), worker);
}

void Stack::receive(std::uint16_t port, const std::vector<Bytes>& frames, unsigned worker) {
    world.clock.epoch = bridge.epoch(now);
    world.clock.milliseconds = static_cast<std::uint32_t>(now.time_since_epoch() / 1ms);
    for (std::size_t first = 0; first < frames.size();) {
        poll(worker);  // the tables of now
        std::array<rte_mbuf*, packet::kBurstSize> burst{};
        std::uint16_t n = 0;
        while (n < burst.size() && first < frames.size()) {
            rte_mbuf* mbuf = world.machine.control_pools().packet();
            ASSERT_NE(mbuf, nullptr);
            // Jumbo frames arrive in several buffers, as from a NIC that scatters.
            const Bytes& bytes = frames[first++];
            for (std::size_t done = 0; done < bytes.size();) {
                rte_mbuf* segment = done == 0 ? mbuf : world.machine.control_pools().packet();
                ASSERT_NE(segment, nullptr);
                const auto size =
                    std::min<std::size_t>(bytes.size() - done, rte_pktmbuf_tailroom(segment));
                std::memcpy(rte_pktmbuf_append(segment, static_cast<std::uint16_t>(size)),
                            bytes.data() + done, size);
                ASSERT_TRUE(done == 0 || rte_pktmbuf_chain(mbuf, segment) == 0);
                done += size;
            }
            mbuf->ol_flags |= rx_flags;
            burst[n++] = mbuf;
        }
        world.machine.workers()[worker]->receive(port, burst.data(), n);
        poll(worker);
    }
}

void Stack::from_remote(const std::string& remote, const Frame& inner, std::uint32_t vni) {
    receive(world.up, a_frame()
                          .to(world.mac_of(world.up))
                          .from(mac("02:aa:00:00:00:01"))
                          .ipv4({.source = remote, .destination = "10.0.0.1"})
                          .udp(50000, 4789)
                          .vxlan({.vni = vni}, inner));
}

Frame Stack::unicast(std::uint8_t from, std::uint8_t to) {
    Frame frame = a_frame();
    frame.to(host(to))
        .from(host(from))
        .ipv4({.source = "192.0.2." + std::to_string(from),
               .destination = "192.0.2." + std::to_string(to)})
        .udp(1000, 2000)
        .payload(64);
    return frame;
}

Bytes Stack::arp_reply(const std::string& sender, net::MacAddress address) const {
    return a_frame()
        .to(world.mac_of(world.up))
        .from(address)
        .arp({.operation = 2,
              .sender_mac = address,
              .sender = sender,
              .target_mac = world.mac_of(world.up),
              .target = "10.0.0.1"})
        .padded()
        .bytes();
}

void Stack::tick() {
    std::array<step::LearnEvent, 512> events;
    for (const WorkerRings& ring : world.machine.rings()) {
        const unsigned n = rte_ring_sc_dequeue_burst_elem(
            ring.rings.learn, events.data(), sizeof(step::LearnEvent), events.size(), nullptr);
        if (n != 0) {
            bridge.learn(std::span(events).first(n), now);
        }
    }
    punts.take(now);
    neighbours.tick(now);
    routing.tick();
    slaves.tick();
    punts.tick_slaves(now);
    bridge.age(now, 2048);
    bridge.commit();
    punts.send_released();
    routing.reclaim();
    bridge.reclaim();
    EXPECT_EQ(punts.difference(), 0U);
    poll(0);
    poll(1);
}

void Stack::pass(std::chrono::milliseconds time, std::chrono::milliseconds step) {
    for (const Time until = now + time; now < until;) {
        now = std::min(now + step, until);
        world.clock.epoch = bridge.epoch(now);
        tick();
    }
}

std::vector<Bytes> Stack::sent_by(std::uint16_t port) {
    std::vector<Bytes> frames;
    for (const SentFrame& one : world.sent) {
        if (one.port == port) {
            frames.push_back(one.bytes);
        }
    }
    world.sent.clear();
    return frames;
}

std::vector<FdbView> Stack::entries(const FdbFilter& filter) {
    std::vector<FdbView> all;
    bridge.show(filter, now, [&](const FdbView& view) {
        all.push_back(view);
        return true;
    });
    return all;
}

std::optional<FdbView> Stack::entry(net::MacAddress address, std::uint16_t segment) {
    FdbFilter filter;
    filter.segment = segment;
    filter.mac = address;
    const auto found = entries(filter);
    return found.empty() ? std::nullopt : std::optional(found.front());
}

std::string Stack::dst(net::MacAddress address, std::uint16_t segment) {
    const auto found = entry(address, segment);
    if (!found) {
        return "none";
    }
    std::string words;
    for (const net::IpAddress& remote : found->remotes) {
        words += (words.empty() ? "" : " ") + text(remote);
    }
    return found->port ? "port " + world.machine.by_id(*found->port)->port->name() : words;
}

std::uint64_t Stack::worker_drops(DropReason reason) const {
    const auto i = static_cast<std::size_t>(reason);
    std::uint64_t sum = 0;
    for (const auto& worker : world.machine.workers()) {
        sum += worker->counters().drops[i].get();
    }
    return sum - drops_before_[i];
}

std::uint64_t Stack::control_drops(DropReason reason) const {
    return punts.counters().drops[static_cast<std::size_t>(reason)];
}

std::size_t Stack::count(FdbNews::Kind kind) const {
    return static_cast<std::size_t>(std::count_if(
        news.begin(), news.end(), [kind](const FdbNews& one) { return one.kind == kind; }));
}

void Stack::expect_law() {
    EXPECT_EQ(punts.difference(), 0U);
    const PuntCounters& c = punts.counters();
    EXPECT_EQ(c.taken + c.made, c.consumed + c.forwarded + c.dropped + punts.held());
    for (const auto& worker : world.machine.workers()) {
        EXPECT_EQ(worker->counters().unaccounted.get(), 0U);
    }
}

FdbRequest Stack::to_remote(net::MacAddress address, const std::string& remote,
                            std::uint16_t segment) {
    FdbRequest request;
    request.segment = segment;
    request.mac = address;
    request.place.remote = support::address(remote);
    return request;
}

}  // namespace vxplane::control
