// Configuration, publication and what is shown; segments are in bridge_segments.cpp, the FDB's
// writer is in bridge_fdb.cpp.
#include "control/apply/bridge.hpp"

#include <algorithm>
#include <thread>

#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

namespace {

// A napping worker is offline and a polling one is back within microseconds; longer means that the
// CPU was taken away, or that the worker is stuck.
constexpr std::chrono::milliseconds kLongestPoll{50};
// What somebody asked for is worth waiting for a CPU that has more to do than it can. Once: while a
// worker is known to be stuck for longer, nobody waits.
constexpr std::chrono::milliseconds kPatience{500};
constexpr std::chrono::microseconds kNap{200};

}  // namespace

Bridge::Bridge(std::uint32_t fdb_capacity, Tunnels& tunnels, Publisher& publisher)
    : tunnels_(tunnels),
      publisher_(publisher),
      fdb_(fdb_capacity),
      origin_(Neighbours::Clock::now()),
      wheel_(fdb_capacity, 0) {}

std::string_view name(FdbNews::Kind kind) noexcept {
    constexpr std::array<std::string_view, 9> kNames{"learned",   "moved",     "aged",
                                                     "added",     "replaced",  "removed",
                                                     "duplicate", "recovered", "refused"};
    return kNames[static_cast<std::size_t>(kind)];
}

AgeingTime Bridge::millis(Time now) const noexcept {
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - origin_).count();
    return since < 0 ? 0 : static_cast<AgeingTime>(since);
}

void Bridge::set_port(std::uint16_t id, const table::PortEntry& port) {
    if (ports_.size() <= id) {
        ports_.resize(id + 1U);
    }
    ports_[id] = port;
    shape_changed_ = true;
}

void Bridge::set_mac(std::uint16_t id, std::uint64_t mac) {
    shape_changed_ = shape_changed_ || ports_[id].mac != mac;
    shape_version_ += ports_[id].mac != mac ? 1 : 0;
    ports_[id].mac = mac;
}

void Bridge::set_rx_belief(std::uint16_t id, RxBelief belief, packet::RxSums sums) {
    if (rx_beliefs_.size() <= id) {
        rx_beliefs_.resize(id + 1U, RxBelief::none);
    }
    rx_beliefs_[id] = belief;
    ports_[id].trusted_sums = belief == RxBelief::believed ? sums : packet::RxSums{0};
    ports_[id].watches_sums = belief == RxBelief::trying || belief == RxBelief::believed;
    shape_changed_ = true;
}

RxBelief Bridge::rx_belief(std::uint16_t id) const {
    return id < rx_beliefs_.size() ? rx_beliefs_[id] : RxBelief::none;
}

void Bridge::set_part_in_ipvlan(std::uint16_t id, table::PortRole role, std::uint16_t master,
                                std::uint16_t slave) {
    table::PortEntry& port = ports_[id];
    shape_changed_ =
        shape_changed_ || port.role != role || port.master != master || port.slave != slave;
    port.role = role;
    port.master = master;
    port.slave = slave;
}

void Bridge::set_addresses(std::vector<std::pair<OwnAddress, std::uint16_t>> addresses) {
    addresses_ = std::move(addresses);
    shape_changed_ = true;
    ++shape_version_;
}

std::vector<OwnAddress> Bridge::addresses_of(std::uint16_t port) const {
    std::vector<OwnAddress> own;
    for (const auto& [address, its_port] : addresses_) {
        if (its_port == port) {
            own.push_back(address);
        }
    }
    return own;
}

bool Bridge::may_be_remote(const net::IpAddress& address) const noexcept {
    const auto nobody_else = [&address](const auto& entry) {
        const OwnAddress& own = entry.first;
        const bool is_network = own.address.is_v4() && own.prefix_length < 31 &&
                                own.contains(address) &&
                                (address.v4().number() & ~net::prefix_mask(own.prefix_length)) == 0;
        return own.address == address || is_network || own.is_directed_broadcast(address);
    };
    return net::is_host(address) && std::none_of(addresses_.begin(), addresses_.end(), nobody_else);
}

std::optional<std::uint16_t> Bridge::find_segment(std::string_view name) const {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
        if (segments_[i].in_use && specs_[i].name == name) {
            return static_cast<std::uint16_t>(i);
        }
    }
    return std::nullopt;
}

std::vector<net::IpAddress> Bridge::flood_remotes(std::uint16_t segment) const {
    std::vector<net::IpAddress> remotes;
    for (const std::uint32_t id : lists_[segments_[segment].flood_remotes]) {
        remotes.push_back(tunnels_.remote(id));
    }
    return remotes;
}

void Bridge::build_shape(table::Tables& next) {
    std::vector<std::pair<std::uint64_t, std::uint32_t>> vnis;
    std::map<std::uint64_t, std::uint32_t> dstports;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> addresses;
    build_guards(next);
    build_groups(next);
    build_members(next);
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        if (!segments_[i].in_use) {
            continue;
        }
        const std::uint16_t dstport = specs_[i].profile.dstport;
        for (const bool ipv6 : {false, true}) {
            if (ipv6 ? specs_[i].ipv6 : specs_[i].ipv4) {
                vnis.emplace_back(table::vni_key(dstport, specs_[i].vni, ipv6),
                                  table::vni_value(segments_[i], static_cast<std::uint16_t>(i)));
                const auto port =
                    dstports.try_emplace(table::dstport_key(dstport, ipv6), table::kPortClosed);
                if (is_up(static_cast<std::uint16_t>(i))) {
                    port.first->second = table::kPortOpen;
                }
            }
        }
    }
    // Own addresses come last and win: a /31 or an odd plan may have them overlap.
    for (const auto& [own, port] : addresses_) {
        if (own.address.is_v4() && own.prefix_length < 31) {
            const std::uint32_t mask = net::prefix_mask(own.prefix_length);
            const std::uint32_t number = own.address.v4().number();
            const auto network = net::Ipv4Address::of(number & mask);
            const auto broadcast = net::Ipv4Address::of(number | ~mask);
            addresses.emplace_back(network.be.wire(), table::kNoHost);
            addresses.emplace_back(broadcast.be.wire(), table::kNoHost);
        }
    }
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses6;
    for (const auto& [own, port] : addresses_) {
        if (own.address.is_v4()) {
            addresses.emplace_back(own.address.v4().be.wire(), port);
        } else {
            addresses6.emplace_back(table::ScopedAddress{own.address, 0}, port);
        }
    }
    next.ports = table::Shared<table::PortEntry>(ports_);
    std::vector<table::Segment> segments = segments_;
    for (table::Segment& segment : segments) {
        segment.in_use = segment.in_use && (segment.watch & table::watch::kDown) == 0;
    }
    next.segments = table::Shared<table::Segment>(std::move(segments));
    next.vnis = std::make_shared<const table::FlatMap>(vnis);
    next.dstports = std::make_shared<const table::FlatMap>(
        std::vector<std::pair<std::uint64_t, std::uint32_t>>(dstports.begin(), dstports.end()));
    next.addresses = std::make_shared<const table::FlatMap>(addresses);
    next.addresses6 =
        addresses6.empty() ? nullptr : std::make_shared<const table::AddressMap>(addresses6);
}

std::unique_ptr<table::Tables> Bridge::build() {
    auto next = publisher_.current() == nullptr
                    ? std::make_unique<table::Tables>()
                    : std::make_unique<table::Tables>(*publisher_.current());
    next->fdb = &fdb_;
    const bool with_shape = shape_changed_ && !shape_held_;
    if (with_shape) {
        build_shape(*next);
        shape_changed_ = false;
    }
    if (lists_changed_ || with_shape) {
        std::vector<std::uint32_t> remotes;
        const auto flatten = [&remotes](const std::vector<List>& lists) {
            std::vector<table::RemoteList> slices;
            for (const List& list : lists) {
                slices.push_back({static_cast<std::uint32_t>(remotes.size()),
                                  static_cast<std::uint32_t>(list.size())});
                remotes.insert(remotes.end(), list.begin(), list.end());
            }
            return table::Shared<table::RemoteList>(std::move(slices));
        };
        next->flood_lists = flatten(lists_);
        next->groups = flatten(groups_);
        std::vector<List> slots;
        for (std::uint32_t i = 0; i < groups_.size(); ++i) {
            slots.push_back(slots_of(i));
        }
        next->group_slots = flatten(slots);
        next->remotes = table::Shared<std::uint32_t>(std::move(remotes));
    }
    if (tunnels_.changed()) {
        tunnels_.fill(*next);
    }
    for (TablePart* part : parts_) {
        if (part->changed()) {
            part->fill(*next);
        }
    }
    lists_changed_ = false;
    return next;
}

void Bridge::finish_loading() {
    loading_ = false;
    commit();
}

void Bridge::commit() {
    if (loading_) {
        return;
    }
    if (has_news()) {
        publisher_.publish(build());
    }
}

bool Bridge::has_news() const noexcept {
    return (shape_changed_ && !shape_held_) || lists_changed_ || tunnels_.changed() ||
           std::any_of(parts_.begin(), parts_.end(),
                       [](const TablePart* part) { return part->changed(); });
}

bool Bridge::commit_and_wait() {
    commit();
    return loading_ || publisher_.wait_for_readers(kPatience);
}

bool Bridge::commit_and_wait_briefly() {
    commit();
    return loading_ || publisher_.wait_for_readers(kLongestPoll);
}

bool Bridge::worker_is_stuck() {
    while (worker_lags()) {
        if (publisher_.oldest_wait() > kPatience) {
            return true;
        }
        std::this_thread::sleep_for(kNap);
    }
    return false;
}

bool Bridge::worker_lags() {
    publisher_.reclaim();
    return publisher_.oldest_wait() > kLongestPoll;
}

void Bridge::reclaim() {
    if (fdb_.needs_grace()) {
        fdb_.begin_grace();
        publisher_.after_grace([this] { fdb_.end_grace(); });
    }
    publisher_.reclaim();
}

FdbView Bridge::view(table::FdbKey key, table::FdbValue value, Time now) const {
    FdbView view;
    view.segment = key.segment();
    view.mac = net::MacAddress::from_number(key.mac48());
    view.state = value.state();
    switch (value.kind()) {
        case table::FdbKind::port:
            view.port = static_cast<std::uint16_t>(value.index());
            break;
        case table::FdbKind::tunnel:
            view.remotes.push_back(tunnels_.remote(value.index()));
            view.own.push_back(own_of(view.segment, tunnels_.profile_number(value.index())));
            break;
        case table::FdbKind::nexthop_group:
            view.nhid = group_nhid_[value.index()];
            view.own.push_back(own_of(view.segment, group_profile_[value.index()]));
            break;
        case table::FdbKind::flood_list:
            view = view_of_list(key.segment(), view.mac, value.index());
            break;
        case table::FdbKind::router:
            view.router = true;
            break;
        case table::FdbKind::none:
            break;
    }
    if (value.state() == table::FdbState::dynamic) {
        const AgeingTime at = millis(now);
        const auto seen = wheel_.last_seen(key.raw, value.epoch(), at);
        view.age = std::chrono::milliseconds(seen && *seen < at ? at - *seen : 0);
    }
    if (const auto moved = previous_.find(key.raw); moved != previous_.end()) {
        view.previous = moved->second;
    }
    view.duplicate = moves_.is_duplicate(key.raw);
    if (const auto known = sequences_.find(key.raw); known != sequences_.end()) {
        view.sequence = known->second;
    }
    return view;
}

FdbView Bridge::view_of_list(std::uint16_t segment, net::MacAddress mac, std::uint32_t list) const {
    FdbView view;
    view.segment = segment;
    view.mac = mac;
    view.state = table::FdbState::permanent;
    for (const std::uint32_t id : lists_[list]) {
        view.remotes.push_back(tunnels_.remote(id));
        view.own.push_back(own_of(segment, tunnels_.profile_number(id)));
    }
    return view;
}

std::optional<FdbView> Bridge::find(std::uint16_t segment, net::MacAddress mac, Time now) const {
    if (mac.is_zero()) {
        return view_of_list(segment, mac, segments_[segment].flood_remotes);
    }
    const table::FdbKey key = table::FdbKey::make(mac.number(), segment);
    const auto hit = fdb_.find(key);
    return hit ? std::optional(view(key, hit.value, now)) : std::nullopt;
}

bool Bridge::fits(const FdbFilter& filter, const FdbView& view) const {
    const FdbPlace& place = filter.place;
    const auto has = [&view, &place](const std::optional<net::IpAddress>& remote) {
        for (std::size_t i = 0; i < view.own.size(); ++i) {
            if ((!remote || (i < view.remotes.size() && view.remotes[i] == *remote)) &&
                (place.own.vni == 0 || view.own[i].vni == place.own.vni) &&
                (place.own.dstport == 0 || view.own[i].dstport == place.own.dstport)) {
                return true;
            }
        }
        return false;
    };
    return (!filter.segment || *filter.segment == view.segment) &&
           (!filter.part_of || *filter.part_of == specs_[view.segment].part_of) &&
           (!filter.mac || *filter.mac == view.mac) &&
           (!filter.state || *filter.state == view.state) &&
           ((!place.remote && place.own == OwnNumbers{}) || has(place.remote)) &&
           (!place.nhid || place.nhid == view.nhid) && (!place.port || place.port == view.port);
}

void Bridge::show(const FdbFilter& filter, Time now,
                  const std::function<bool(const FdbView&)>& each) const {
    bool more = true;
    for (std::uint16_t i = 0; more && i < segments_.size(); ++i) {
        if (segments_[i].in_use && !lists_[segments_[i].flood_remotes].empty()) {
            const FdbView flood = view_of_list(i, {}, segments_[i].flood_remotes);
            more = !fits(filter, flood) || each(flood);
        }
    }
    fdb_.for_each([&](table::FdbKey key, table::FdbValue value, std::uint32_t) {
        if (more && (!filter.segment || *filter.segment == key.segment())) {
            const FdbView entry = view(key, value, now);
            more = !fits(filter, entry) || each(entry);
        }
    });
}

std::uint32_t Bridge::show_some(std::uint32_t first, std::uint32_t buckets, Time now,
                                const std::function<void(const FdbView&)>& each) const {
    const std::uint32_t last = first + std::min(buckets, fdb_.bucket_count() - first);
    fdb_.for_each_in(first, last, [&](table::FdbKey key, table::FdbValue value, std::uint32_t) {
        each(view(key, value, now));
    });
    return last;
}

void Bridge::tell(FdbNews::Kind kind, FdbView view) {
    if (listener_) {
        listener_({kind, std::move(view)});
    }
}

}  // namespace vxplane::control
