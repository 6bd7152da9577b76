// The lab's configuration: from words to published tables and workers.
#include "tests/support/lab.hpp"

#include <cstdio>
#include <cstdlib>

#include "tests/support/environment.hpp"

namespace vxplane::support {
namespace {

unsigned labs = 0;

[[noreturn]] void lab_fails(const std::string& text) {
    std::fprintf(stderr, "lab: %s\n", text.c_str());
    std::abort();
}

std::vector<std::pair<std::uint64_t, std::uint32_t>> pairs(
    const std::map<std::uint64_t, std::uint32_t>& map) {
    return {map.begin(), map.end()};
}

}  // namespace

Lab::Lab(LabWords words) : words_{words}, number_{labs++}, fdb_{words.fdb_capacity} {
    level_ = pools().in_use();
}

Lab::~Lab() {
    collect();
    workers_.clear();
    steering_.reset();
    ports_.clear();
    for (rte_ring* one : rings_) rte_ring_free(one);
}

PortId Lab::add_port(const std::string& name, const PortWords& words, table::PortRole role) {
    port::MemoryPortOptions options;
    options.name = "lab" + std::to_string(number_) + "_" + std::to_string(ports_.size());
    options.queues = words.queues;
    options.ring_slots = words.slots;
    options.mtu = words.mtu;
    auto made = port::MemoryPort::make(options, pools());
    if (!made) lab_fails(made.failure().text);
    const PortId id = (*made)->port().id();
    PortState& state = ports_[id];
    state.name = name;
    state.memory = std::move(*made);
    state.words = words;
    state.entry.role = role;
    state.entry.learning = words.learning;
    state.entry.multi_segment_tx = words.chains;
    state.entry.promiscuous = words.promiscuous;
    state.entry.reassembles = words.reassembles;
    state.entry.trusted_sums = words.trusts_checksum ? packet::kAllRxSums : packet::RxSums{0};
    state.entry.from_guest = words.from_guest;
    state.entry.max_frame = static_cast<std::uint16_t>(words.mtu + sizeof(net::EthernetHeader));
    state.entry.mac = words.mac.number();
    return id;
}

PortId Lab::underlay(const std::string& name, PortWords words) {
    return add_port(name, words, table::PortRole::underlay);
}

PortId Lab::twin(const std::string& name, PortId of, PortWords words) {
    const PortId id = add_port(name, words, table::PortRole::twin);
    ports_[id].entry.partner = of;
    ports_[of].entry.partner = id;
    return id;
}

PortId Lab::access(const std::string& name, SegmentId segment, PortWords words) {
    const PortId id = add_port(name, words, table::PortRole::access);
    ports_[id].entry.segment = segment;
    return id;
}

SegmentId Lab::segment(const std::string& name, SegmentWords words) {
    SegmentState state;
    state.name = name;
    state.words = words;
    table::Segment& s = state.entry;
    s.vni = {words.vni};
    s.vni_word = net::VxlanHeader::of(s.vni).vni_reserved.wire();
    s.own_mac = words.own_mac.number();
    s.profile = words.profile;
    s.max_frame = static_cast<std::uint16_t>(words.mtu + sizeof(net::EthernetHeader));
    s.learning = words.learning;
    s.inner_vlan = words.inner_vlan;
    s.udp6_zero_rx = words.udp6_zero_rx;
    s.in_use = true;
    segments_.push_back(std::move(state));
    return static_cast<SegmentId>(segments_.size() - 1);
}

void Lab::trunk(PortId port, SegmentId segment, std::uint16_t vid, bool untagged) {
    segments_[segment].vid = vid;
    segments_[segment].trunks[port] = untagged;
}

void Lab::own(const net::IpAddress& address, PortId port) {
    if (address.is_v4())
        addresses_[address.v4().be.wire()] = port;
    else
        own6_.push_back({{address, 0}, port});
}

void Lab::no_host(net::Ipv4Address address) {
    addresses_[address.be.wire()] = table::kNoHost;
}

TunnelId Lab::tunnel(const table::TunnelSpec& spec, std::uint32_t profile) {
    tunnels_.push_back({spec, profile});
    return static_cast<TunnelId>(tunnels_.size() - 1);
}

TunnelId Lab::tunnel_by_tos(const table::TunnelSpec& spec, const table::TosWays& ways,
                            std::uint32_t profile) {
    const TunnelId id = tunnel(spec, profile);
    tos_ways_[id] = ways;
    return id;
}

void Lab::replace_tunnel(TunnelId id, const table::TunnelSpec& spec) {
    tunnels_[id].spec = spec;
}

table::RemoteList Lab::add_remotes(const std::vector<TunnelId>& ids) {
    const table::RemoteList list{static_cast<std::uint32_t>(remotes_.size()),
                                 static_cast<std::uint32_t>(ids.size())};
    remotes_.insert(remotes_.end(), ids.begin(), ids.end());
    return list;
}

std::uint32_t Lab::flood_list(std::vector<TunnelId> remotes) {
    flood_lists_.push_back(add_remotes(remotes));
    return static_cast<std::uint32_t>(flood_lists_.size() - 1);
}

void Lab::flood_to(SegmentId segment, std::vector<TunnelId> remotes) {
    segments_[segment].entry.flood_remotes = flood_list(std::move(remotes));
}

std::uint32_t Lab::group(std::vector<TunnelId> members) {
    groups_.push_back(add_remotes(members));
    return static_cast<std::uint32_t>(groups_.size() - 1);
}

void Lab::fdb(SegmentId segment, net::MacAddress address, table::FdbKind kind, std::uint32_t index,
              table::FdbState state, std::uint8_t epoch) {
    const auto put = fdb_.put(table::FdbKey::make(address.number(), segment),
                              table::FdbValue::make(kind, index, state, epoch));
    if (put == table::Fdb::Put::full) lab_fails("the FDB is full");
}

void Lab::fdb_erase(SegmentId segment, net::MacAddress address) {
    fdb_.erase(table::FdbKey::make(address.number(), segment));
}

table::FdbValue Lab::fdb_find(SegmentId segment, net::MacAddress address) const {
    return fdb_.find(table::FdbKey::make(address.number(), segment)).value;
}

void Lab::publish() {
    auto t = std::make_unique<table::Tables>();
    t->generation = generations_.size() + 1;
    t->fdb = &fdb_;
    std::vector<table::PortEntry> ports(ports_.empty() ? 1 : ports_.rbegin()->first + 1U);
    for (const auto& [id, state] : ports_) ports[id] = state.entry;
    std::vector<std::uint16_t> members;
    std::vector<table::Segment> segments;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> vnis, dstports;
    for (SegmentId i = 0; i < segments_.size(); ++i) {
        table::Segment entry = segments_[i].entry;
        entry.local_begin = static_cast<std::uint32_t>(members.size());
        for (const auto& [id, state] : ports_)
            if (state.entry.role == table::PortRole::access &&
                (state.entry.segment == i || segments_[i].trunks.contains(id)))
                members.push_back(id);
        entry.local_count = static_cast<std::uint16_t>(members.size() - entry.local_begin);
        segments.push_back(entry);
        if (!entry.in_use) continue;
        const SegmentWords& words = segments_[i].words;
        for (const bool ipv6 : {false, true}) {
            if (!(ipv6 ? words.ipv6 : words.ipv4)) continue;
            vnis.emplace_back(table::vni_key(words.dstport, entry.vni, ipv6),
                              table::vni_value(entry, i));
            dstports.emplace_back(table::dstport_key(words.dstport, ipv6), 0);
        }
    }
    std::vector<std::uint16_t> trunks;
    std::vector<std::uint16_t> vids(segments_.size());
    for (SegmentId i = 0; i < segments_.size(); ++i) {
        vids[i] = segments_[i].vid;
        for (const auto& [id, untagged] : segments_[i].trunks) {
            if (ports[id].trunk == table::kNoTrunk) {
                ports[id].trunk = static_cast<std::uint16_t>(trunks.size() / table::kVids);
                trunks.resize(trunks.size() + table::kVids, table::kNoSegment);
            }
            trunks[ports[id].trunk * table::kVids + vids[i]] = i;
            if (untagged) ports[id].home = i;
        }
    }
    t->trunks = table::Shared{std::move(trunks)};
    t->vids = table::Shared{std::move(vids)};
    std::vector<table::Tunnel> tunnels;
    std::vector<table::Tunnel6> tunnels6;
    std::map<std::uint64_t, std::uint32_t> peers;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> peers6;
    for (const auto& [spec, profile] : tunnels_) {
        const auto id = static_cast<TunnelId>(tunnels.size());
        tunnels.push_back(table::make_tunnel(spec));
        if (spec.remote.is_v4()) {
            if (profile != 0) peers[table::peer_key(profile, spec.remote.v4())] = id;
            continue;
        }
        if (spec.state == table::TunnelState::local) continue;
        tunnels.back().set_line6(static_cast<std::uint32_t>(tunnels6.size()));
        tunnels6.push_back(table::make_tunnel6(spec));
        if (profile == 0) continue;
        peers[table::peer_key(profile, table::peer6_name(id))] = id;
        peers6.push_back({{spec.remote, profile}, id});
    }
    std::vector<table::TosWays> tos_ways;
    for (const auto& [id, ways] : tos_ways_) {
        tunnels[id].set_tos_ways(static_cast<std::uint32_t>(tos_ways.size()));
        tos_ways.push_back(ways);
    }
    t->tos_ways = table::Shared{std::move(tos_ways)};
    for (table::PortEntry& port : ports) {
        port.plain_exit = table::plain_exit_of(port);
        port.plain_frame =
            port.trunk != table::kNoTrunk ? std::uint16_t{0}
            : port.segment == table::kNoSegment || port.role != table::PortRole::access
                ? port.max_frame
                : table::plain_frame_of(port, segments[port.segment]);
    }
    t->ports = table::Shared{std::move(ports)};
    t->segments = table::Shared{std::move(segments)};
    t->tunnels = table::Shared{std::move(tunnels)};
    t->tunnels6 = table::Shared{std::move(tunnels6)};
    if (!peers6.empty()) t->peers6 = std::make_shared<const table::AddressMap>(peers6);
    if (!own6_.empty()) t->addresses6 = std::make_shared<const table::AddressMap>(own6_);
    t->flood_lists = table::Shared{flood_lists_};
    t->groups = table::Shared{groups_};
    std::vector<std::uint32_t> remotes = remotes_;
    std::vector<table::RemoteList> slots;
    for (const table::RemoteList& group : groups_) {
        const std::uint32_t count = group.count == 0 ? 0 : 256;
        slots.push_back({static_cast<std::uint32_t>(remotes.size()), count});
        for (std::uint32_t i = 0; i < count; ++i)
            remotes.push_back(remotes_[group.begin + i % group.count]);
    }
    t->group_slots = table::Shared{std::move(slots)};
    t->remotes = table::Shared{std::move(remotes)};
    t->members = table::Shared{std::move(members)};
    t->vnis = std::make_shared<const table::FlatMap>(vnis);
    t->peers = std::make_shared<const table::FlatMap>(pairs(peers));
    t->addresses = std::make_shared<const table::FlatMap>(pairs(addresses_));
    t->dstports = std::make_shared<const table::FlatMap>(dstports);
    if (complete) complete(*t);
    generations_.push_back(std::move(t));
    tables_.store(generations_.back().get(), std::memory_order_release);
}

rte_ring* Lab::ring(const char* what, std::uint32_t slots, unsigned item, unsigned flags) {
    const std::string name = "lab" + std::to_string(number_) + what + std::to_string(rings_.size());
    rte_ring* made = rte_ring_create_elem(name.c_str(), item, slots, SOCKET_ID_ANY, flags);
    if (made == nullptr) lab_fails(name + ": no memory for a ring");
    rings_.push_back(made);
    return made;
}

void Lab::start() {
    if (!workers_.empty()) return;
    publish();
    constexpr unsigned kOneToOne = RING_F_SP_ENQ | RING_F_SC_DEQ;
    if (words_.workers > 1)
        for (const auto& [id, state] : ports_)
            handoffs_[id] = ring("_ho", words_.handoff_slots, sizeof(void*), RING_F_SC_DEQ);
    if (words_.backlog != 0) {
        steering_ = worker::SteeringTable::make("lab" + std::to_string(number_) + "_st",
                                                words_.workers, words_.backlog);
        if (steering_ == nullptr) lab_fails("no memory for steering");
        for (const auto& [id, handoff] : handoffs_) steering_->add_way_out(handoff);
    }
    for (unsigned w = 0; w < words_.workers; ++w) {
        worker::WorkerOptions options;
        options.steering = steering_.get();
        options.flow_limit = words_.flow_limit;
        options.id = w;
        options.rings.punt = ring("_pu", words_.punt_slots, sizeof(path::PuntItem), kOneToOne);
        options.rings.learn = ring("_le", words_.learn_slots, sizeof(step::LearnEvent), kOneToOne);
        options.rings.inject =
            ring("_in", words_.inject_slots, sizeof(path::InjectItem), kOneToOne);
        control_.push_back(options.rings);
        options.port_count = ports_.empty() ? 1 : ports_.rbegin()->first + 1U;
        options.segment_count = segments_.size();
        options.lanes.resize(options.port_count);
        for (const auto& [id, state] : ports_) {
            path::TxLane& lane = options.lanes[id];
            lane.port = id;
            lane.multi_segment = state.words.chains;
            lane.tso = state.words.tso;
            if (state.words.owner == w) {
                if (words_.workers > 1) options.shared.push_back({id, handoffs_[id]});
            } else {
                lane.handoff = handoffs_[id];
            }
            for (std::uint16_t q = 0; q < state.words.queues; ++q)
                if ((state.words.spread ? q : state.words.poller) == w)
                    options.rx.push_back({id, q, state.words.gro});
        }
        options.punt_rate = words_.punt_rate;
        options.idle = words_.idle;
        options.idle_after = words_.idle_after;
        options.idle_sleep = words_.idle_sleep;
        options.tables = &tables_;
        options.clock = &clock_;
        options.pools = port::WorkerPools{pools(), 0};
        workers_.push_back(std::make_unique<worker::Worker>(std::move(options)));
    }
    before_ = counts();
}

void Lab::pass_time(std::uint32_t milliseconds) {
    clock_.milliseconds += milliseconds;
}

void Lab::next_epoch() {
    ++clock_.epoch;
}

rte_mempool* Lab::header_pool() const {
    return pools().of(0).headers;
}

rte_mempool* Lab::packet_pool() const {
    return pools().of(0).packets;
}

std::unique_ptr<Lab::Famine> Lab::starve(rte_mempool* pool) {
    return std::make_unique<Famine>(pool, level_);
}

Lab::Famine::Famine(rte_mempool* pool, std::uint64_t& level) : level_{level} {
    while (rte_mbuf* one = rte_pktmbuf_alloc(pool)) taken_.push_back(one);
    level_ += taken_.size();
}

Lab::Famine::~Famine() {
    level_ -= taken_.size();
    for (rte_mbuf* one : taken_) rte_pktmbuf_free(one);
}

}  // namespace vxplane::support
