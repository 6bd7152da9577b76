// Next hops, groups of them, and the neighbours that workers are told of; tables are in
// routing_tables.cpp.
#include "control/apply/routing.hpp"

#include <algorithm>

namespace vxplane::control {

using table::NextHopKind;

namespace {

/// A number that leads elsewhere soon must not be handed out meanwhile, and a stuck worker must not
/// make the list grow without end.
constexpr std::size_t kMostHops = 1U << 22;
/// Neighbours followed for the sake of packets alone; routes' gateways are not counted.
constexpr std::size_t kMostFollowed = 16'384;

NeighbourKey key_of(std::uint16_t port, const net::IpAddress& address) {
    return {port, address};
}

std::uint16_t with_ethernet(std::uint16_t mtu) {
    return static_cast<std::uint16_t>(mtu + sizeof(net::EthernetHeader));
}

}  // namespace

Routing::Routing(Bridge& bridge, Tunnels& tunnels, Neighbours& neighbours, Publisher& publisher)
    : bridge_(bridge), tunnels_(tunnels), neighbours_(neighbours), publisher_(publisher) {
    for (Table& one : tables_) {
        one.content = std::make_shared<Content>(1);
    }
    bridge_.add_part(*this);
}

Routing::~Routing() = default;

std::optional<std::uint32_t> Routing::new_number() {
    std::uint32_t number = 0;
    if (!free_.empty()) {
        number = free_.back();
        free_.pop_back();
    } else if (records_.size() >= kMostHops) {
        ++refused_;
        return std::nullopt;
    } else {
        number = static_cast<std::uint32_t>(records_.size());
        records_.emplace_back();
    }
    records_[number] = {};
    records_[number].users = 1;
    records_[number].serial = ++last_serial_;
    high_water_ = std::max(high_water_, ++used_);
    changed_ = true;
    return number;
}

std::optional<std::uint32_t> Routing::acquire(const HopSpec& spec, Time now) {
    if (const auto known = by_spec_.find(spec); known != by_spec_.end()) {
        ++records_[known->second].users;
        return known->second;
    }
    const auto line = make_line(spec, now);
    const auto number = line ? new_number() : std::nullopt;
    if (!number) {
        return std::nullopt;
    }
    records_[*number].spec = spec;
    records_[*number].line = *line;
    by_spec_[spec] = *number;
    return number;
}

std::optional<std::uint32_t> Routing::acquire_group(const std::vector<WeightedHop>& hops,
                                                    std::uint32_t before, Time now) {
    Members members;
    const auto give_back = [&] {
        for (const auto& [number, weight] : members) {
            release(number);
        }
    };
    for (const WeightedHop& one : hops) {
        const auto number = acquire(one.hop, now);
        if (!number) {
            give_back();
            return std::nullopt;
        }
        members.emplace_back(*number, one.weight);
    }
    std::sort(members.begin(), members.end());
    // The same way twice is one with the sum of the weights.
    for (std::size_t i = 1; i < members.size();) {
        if (members[i].first == members[i - 1].first) {
            members[i - 1].second =
                static_cast<std::uint16_t>(members[i - 1].second + members[i].second);
            release(members[i].first);
            members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
        } else {
            ++i;
        }
    }
    if (members.size() == 1) {
        return members.front().first;
    }
    if (const auto known = by_members_.find(members); known != by_members_.end()) {
        ++records_[known->second].users;
        give_back();
        return known->second;
    }
    const auto number = new_number();
    if (!number) {
        give_back();
        return std::nullopt;
    }
    Record& record = records_[*number];
    record.slots = GroupSlots(members, records_[before].slots);
    record.spec.kind = NextHopKind::group;
    record.line.kind = NextHopKind::group;
    record.line.count = static_cast<std::uint32_t>(record.slots.slots().size());
    by_members_[members] = *number;
    return number;
}

std::optional<table::RouteValue> Routing::acquire(const RouteSpec& route, std::uint32_t before,
                                                  Time now) {
    if (route.hops.empty()) {
        return table::RouteValue(route.type, 0);
    }
    const auto number = route.hops.size() == 1 ? acquire(route.hops.front().hop, now)
                                               : acquire_group(route.hops, before, now);
    return number ? std::optional(table::RouteValue(route.type, *number)) : std::nullopt;
}

void Routing::release(std::uint32_t number) {
    if (--records_[number].users != 0) {
        return;
    }
    const Record gone = std::move(records_[number]);
    records_[number] = {};
    --used_;
    changed_ = true;
    if (gone.spec.kind == NextHopKind::group) {
        by_members_.erase(gone.slots.members());
        for (const auto& [member, weight] : gone.slots.members()) {
            release(member);
        }
    } else {
        by_spec_.erase(gone.spec);
        drop_line(gone);
    }
    publisher_.after_next_publication([this, number] { rested_.push_back(number); });
}

void Routing::allow_reuse() {
    free_.insert(free_.end(), rested_.begin(), rested_.end());
    rested_.clear();
}

std::optional<table::NextHop> Routing::make_line(const HopSpec& spec, Time now) {
    table::NextHop line;
    line.kind = spec.kind;
    line.index = spec.index;
    switch (spec.kind) {
        case NextHopKind::gateway: {
            const NeighbourKey key = key_of(spec.port, spec.via);
            line.via = spec.via;
            line.neighbour = neighbour(key);
            ++known_[line.neighbour].gateways;
            if (const auto mac = neighbours_.want(key, now)) {
                reachable(key, *mac);
            }
            [[fallthrough]];
        }
        case NextHopKind::link:
            line.port = spec.port;
            line.max_frame = bridge_.port(spec.port).max_frame;
            break;
        case NextHopKind::slave:
            line.max_frame = spec.max_frame;
            break;
        case NextHopKind::vxlan: {
            const SegmentSpec& segment = bridge_.segment(spec.segment);
            const auto tunnel =
                tunnels_.acquire(tunnels_.profile_id(segment.profile), spec.remote, now);
            if (!tunnel) {
                return std::nullopt;
            }
            line.index = *tunnel;
            line.segment = spec.segment;
            line.max_frame = with_ethernet(segment.mtu);
            line.inner_destination = spec.inner_destination;
            line.inner_source = segment.own_mac;
            break;
        }
        case NextHopKind::table:
        case NextHopKind::group:
        case NextHopKind::none:
            break;
    }
    return line;
}

void Routing::drop_line(const Record& record) {
    if (record.line.kind == NextHopKind::vxlan) {
        tunnels_.release(record.line.index);
    } else if (record.line.kind == NextHopKind::gateway) {
        Known& known = known_[record.line.neighbour];
        neighbours_.unwant(known.key);
        --known.gateways;
        drop_neighbour(record.line.neighbour);
    }
}

void Routing::refresh(Time now) {
    for (Record& record : records_) {
        if (record.users == 0) {
            continue;
        }
        table::NextHop& line = record.line;
        if (line.kind == NextHopKind::link || line.kind == NextHopKind::gateway) {
            line.max_frame = bridge_.port(line.port).max_frame;
        } else if (line.kind == NextHopKind::vxlan && bridge_.is_used(line.segment)) {
            const SegmentSpec& segment = bridge_.segment(line.segment);
            line.max_frame = with_ethernet(segment.mtu);
            line.inner_source = segment.own_mac;
            // Other headers are another tunnel; the old one serves on while there is no room.
            const auto tunnel =
                tunnels_.acquire(tunnels_.profile_id(segment.profile), record.spec.remote, now);
            if (tunnel) {
                tunnels_.release(line.index);
                line.index = *tunnel;
            }
        }
    }
    changed_ = changed_ || active_;
}

// --- neighbours ------------------------------------------------------------------------------

std::uint32_t Routing::neighbour(NeighbourKey key) {
    const auto known = known_at_.find(key);
    if (known != known_at_.end()) {
        return known->second;
    }
    std::uint32_t at = 0;
    if (free_known_.empty()) {
        at = static_cast<std::uint32_t>(known_.size());
        known_.emplace_back();
    } else {
        at = free_known_.back();
        free_known_.pop_back();
    }
    known_[at] = {};
    known_[at].key = key;
    known_at_[key] = at;
    late_ = true;  // as long as no next hop leads there nobody misses it
    return at;
}

void Routing::drop_neighbour(std::uint32_t at) {
    Known& known = known_[at];
    if (known.gateways != 0 || known.on_link) {
        return;
    }
    // Places and next hops are published together: nobody sees one without the other.
    known_at_.erase(known.key);
    known = {};
    free_known_.push_back(at);
    changed_ = true;
}

std::optional<NeighbourKey> Routing::asked_for(std::uint32_t next_hop,
                                               const net::IpAddress& destination) const {
    if (next_hop >= records_.size() || records_[next_hop].users == 0) {
        return std::nullopt;
    }
    const HopSpec& spec = records_[next_hop].spec;
    if (spec.kind == NextHopKind::gateway) {
        return key_of(spec.port, spec.via);
    }
    if (spec.kind == NextHopKind::link && !destination.is_multicast()) {
        return key_of(spec.port, destination);
    }
    return std::nullopt;
}

void Routing::follow(NeighbourKey key, Time now) {
    const auto there = known_at_.find(key);
    if (there != known_at_.end() && known_[there->second].on_link) {
        return;
    }
    if (followed_ >= kMostFollowed) {
        return;  // its packets go on to be held and released, one by one
    }
    Known& known = known_[neighbour(key)];
    known.on_link = true;
    ++followed_;
    if (const auto mac = neighbours_.want(key, now)) {
        reachable(key, *mac);
    }
}

void Routing::reachable(NeighbourKey key, net::MacAddress mac) {
    const auto at = known_at_.find(key);
    if (at == known_at_.end()) {
        return;
    }
    Known& known = known_[at->second];
    if (known.usable ? known.mac != mac : known.gateways != 0) {
        changed_ = true;
    } else if (!known.usable) {
        late_ = true;
    }
    known.mac = mac;
    known.usable = true;
    known.failed = false;
}

void Routing::unreachable(NeighbourKey key) {
    const auto at = known_at_.find(key);
    if (at == known_at_.end()) {
        return;
    }
    Known& known = known_[at->second];
    changed_ = changed_ || known.usable;
    known.usable = false;
    known.failed = known.on_link;
    any_failed_ = any_failed_ || known.on_link;
}

void Routing::tick() {
    ticks_ = std::min(ticks_ + 1, kNewsTicks);
    changed_ = changed_ || (late_ && ticks_ == kNewsTicks);
    if (any_failed_) {
        any_failed_ = false;
        for (std::uint32_t at = 0; at < known_.size(); ++at) {
            Known& known = known_[at];
            if (known.on_link && known.failed) {
                known.on_link = false;
                known.failed = false;
                --followed_;
                neighbours_.unwant(known.key);
                drop_neighbour(at);
            }
        }
    }
}

std::uint32_t Routing::serial(std::uint32_t next_hop) const {
    return next_hop < records_.size() ? records_[next_hop].serial : 0;
}

std::vector<Routing::Member> Routing::members(std::uint32_t next_hop) const {
    std::vector<Member> all;
    const GroupSlots& slots = records_[next_hop].slots;
    for (const auto& [number, weight] : slots.members()) {
        all.push_back({number, weight, slots.held_by(number)});
    }
    return all;
}

void Routing::fill(table::Tables& next) {
    std::vector<table::NextHop> hops;
    std::vector<std::uint32_t> slots;
    hops.reserve(records_.size());
    for (Record& record : records_) {
        if (record.spec.kind == NextHopKind::group) {
            record.line.index = static_cast<std::uint32_t>(slots.size());
            const auto& own = record.slots.slots();
            slots.insert(slots.end(), own.begin(), own.end());
        }
        hops.push_back(record.line);
        if (record.line.kind == NextHopKind::vxlan && record.users != 0) {
            // What does not fit the path is found before a packet is in the segment: its sender is
            // told then, or it is cut.
            table::NextHop& line = hops.back();
            line.max_frame = std::min(line.max_frame, tunnels_.longest(line.index));
        }
    }
    lengths_ = tunnels_.lengths();
    std::vector<table::Neighbour> neighbours;
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses;
    for (const Known& known : known_) {
        if (known.usable) {
            addresses.push_back({{known.key.address, known.key.port},
                                 static_cast<std::uint32_t>(neighbours.size())});
        }
        neighbours.push_back({known.mac, known.key.port, known.usable});
    }
    next.next_hops = table::Shared<table::NextHop>(std::move(hops));
    next.next_hop_slots = table::Shared<std::uint32_t>(std::move(slots));
    next.neighbours = table::Shared<table::Neighbour>(std::move(neighbours));
    next.neighbour_addresses = std::make_shared<const table::AddressMap>(addresses);
    fill_tables(next);
    changed_ = late_ = false;
    ticks_ = 0;
}

}  // namespace vxplane::control
