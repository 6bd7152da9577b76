// Routing tables: as a whole from a topology, and route by route by hand.
#include <algorithm>

#include "control/apply/routing.hpp"

namespace vxplane::control {

namespace {

constexpr const char* kNoAnswer = "a worker does not answer; see the health of the daemon";
constexpr const char* kFull =
    "there is no room for another next hop or tunnel (system: tunnel-capacity)";

/// Routes that may be added to a table by hand.
constexpr std::uint32_t kSpareRoutes = 65'536;
/// Routes put into a table that nobody reads yet until nodes that were replaced are freed.
constexpr std::uint32_t kSettleEvery = 512;

const std::uint8_t* bytes_of(const Network& to) {
    return to.address.bytes.data() + (to.is_v4() ? 12 : 0);
}

Network network_of(const std::array<std::uint8_t, 4>& prefix, std::uint8_t length) {
    return {net::Ipv4Address::of(prefix[0], prefix[1], prefix[2], prefix[3]), length};
}
Network network_of(const std::array<std::uint8_t, 16>& prefix, std::uint8_t length) {
    return {net::IpAddress(prefix), length};
}

}  // namespace

std::uint32_t Routing::number_of(const std::string& name) {
    if (const auto known = find_table(name)) {
        return *known;
    }
    names_.push_back(name);
    tables_.emplace_back();
    tables_.back().content = std::make_shared<Content>(1);
    return static_cast<std::uint32_t>(names_.size() - 1);
}

std::optional<std::uint32_t> Routing::find_table(const std::string& name) const {
    const auto at = std::find(names_.begin() + 1, names_.end(), name);
    return at == names_.end() ? std::nullopt
                              : std::optional(static_cast<std::uint32_t>(at - names_.begin()));
}

bool Routing::is_used(std::uint32_t table) const {
    return tables_[table].in_use;
}

const table::RouteTable& Routing::content(std::uint32_t table) const {
    return tables_[table].content->routes;
}

bool Routing::is_by_hand(std::uint32_t table, const Network& to) const {
    return tables_[table].by_hand.contains(to);
}

table::RouteValue Routing::find(const Content& content, const Network& to) {
    const std::uint8_t* bytes = bytes_of(to);
    return table::RouteValue::from_raw(to.is_v4() ? content.routes.v4.find(bytes, to.length)
                                                  : content.routes.v6.find(bytes, to.length));
}

bool Routing::put_into(Content& content, const Network& to, table::RouteValue value) {
    const std::uint8_t* bytes = bytes_of(to);
    return to.is_v4() ? content.routes.v4.add(bytes, to.length, value.raw())
                      : content.routes.v6.add(bytes, to.length, value.raw());
}

bool Routing::take_from(Content& content, const Network& to) {
    const std::uint8_t* bytes = bytes_of(to);
    return to.is_v4() ? content.routes.v4.remove(bytes, to.length)
                      : content.routes.v6.remove(bytes, to.length);
}

void Routing::settle(Content& content) {
    const auto end = [](auto& lpm) {
        lpm.begin_grace();
        lpm.end_grace();
    };
    end(content.routes.v4);
    end(content.routes.v6);
}

void Routing::each(const Content& content,
                   const std::function<bool(const Network&, table::RouteValue)>& show) {
    bool more = true;
    const auto visit = [&](const auto& prefix, std::uint8_t length, std::uint32_t value) {
        more = more && show(network_of(prefix, length), table::RouteValue::from_raw(value));
    };
    content.routes.v4.for_each(visit);
    content.routes.v6.for_each(visit);
}

void Routing::for_each(std::uint32_t table,
                       const std::function<bool(const Network&, table::RouteValue)>& show) const {
    each(*tables_[table].content, show);
}

void Routing::retire(std::shared_ptr<Content> content) {
    // Numbers are free at once: the next publication names neither them nor this table.
    each(*content, [this](const Network&, table::RouteValue value) {
        release(value);
        return true;
    });
    publisher_.after_next_publication([gone = std::move(content)] {});
    changed_ = true;
}

Routing::Problem Routing::prepare(std::uint32_t number, const RouteSpecs& routes, Time now) {
    Table& one = tables_[number];
    const Content& old = *one.content;
    auto next = std::make_shared<Content>(
        static_cast<std::uint32_t>(routes.size() + one.by_hand.size()) + kSpareRoutes);
    const auto give_up = [&](std::string why) {
        each(*next, [this](const Network&, table::RouteValue value) {
            release(value);
            return true;
        });
        return Problem(std::move(why));
    };
    std::uint32_t written = 0;
    bool differs = !one.in_use;
    const auto put_one = [&](const Network& to, table::RouteValue value) {
        differs = differs || find(old, to) != value;
        if (!put_into(*next, to, value)) {
            release(value);
            return false;
        }
        if (++written % kSettleEvery == 0) {
            settle(*next);
        }
        return true;
    };
    for (const Network& to : one.by_hand) {
        const table::RouteValue value = find(old, to);
        if (value.next_hop() != 0) {
            ++records_[value.next_hop()].users;
        }
        put_one(to, value);
    }
    for (const auto& [to, route] : routes) {
        if (one.by_hand.contains(to)) {
            continue;
        }
        const auto value = acquire(route, find(old, to).next_hop(), now);
        if (!value) {
            return give_up(kFull);
        }
        if (!put_one(to, *value)) {
            return give_up("a routing table is full");
        }
    }
    settle(*next);
    one.goes = false;
    if (!differs && old.routes.v4.used() == next->routes.v4.used() &&
        old.routes.v6.used() == next->routes.v6.used()) {
        give_up({});
        return std::nullopt;
    }
    one.next = std::move(next);
    return std::nullopt;
}

void Routing::prepare_removal(std::uint32_t number) {
    tables_[number].goes = tables_[number].in_use;
}

void Routing::accept() {
    active_ = true;
    for (Table& one : tables_) {
        if (one.goes) {
            one.next = std::make_shared<Content>(1);
            one.by_hand.clear();
        }
        if (one.next != nullptr) {
            one.content.swap(one.next);
            one.in_use = !one.goes;
            retire(std::exchange(one.next, nullptr));
        }
        one.goes = false;
    }
    changed_ = true;
}

void Routing::discard() {
    for (Table& one : tables_) {
        one.goes = false;
        if (const auto unused = std::exchange(one.next, nullptr)) {
            each(*unused, [this](const Network&, table::RouteValue value) {
                release(value);
                return true;
            });
        }
    }
}

Routing::Problem Routing::put(std::uint32_t number, const Network& to, const RouteSpec& route,
                              Put how, Time now) {
    Table& one = tables_[number];
    const table::RouteValue before = find(*one.content, to);
    if (before.found() && how == Put::add) {
        return "there is such a route already (use replace)";
    }
    if (bridge_.worker_is_stuck()) {
        return kNoAnswer;
    }
    const auto value = acquire(route, before.next_hop(), now);
    if (!value) {
        return kFull;
    }
    // Workers must know the next hop before a route can lead them to it.
    if (!bridge_.commit_and_wait()) {
        release(*value);
        return kNoAnswer;
    }
    if (!put_into(*one.content, to, *value)) {
        release(*value);
        return "the routing table is full";
    }
    one.by_hand.insert(to);
    release(before);
    edited_.insert(number);
    return std::nullopt;
}

Routing::Problem Routing::remove(std::uint32_t number, const Network& to) {
    Table& one = tables_[number];
    const table::RouteValue before = find(*one.content, to);
    if (!before.found()) {
        return "there is no such route";
    }
    take_from(*one.content, to);
    one.by_hand.erase(to);
    release(before);
    edited_.insert(number);
    return std::nullopt;
}

void Routing::reclaim() {
    for (const std::uint32_t number : edited_) {
        const std::shared_ptr<Content>& content = tables_[number].content;
        const auto begin = [&](auto& lpm) {
            if (lpm.needs_grace()) {
                lpm.begin_grace();
                publisher_.after_grace([content, &lpm] { lpm.end_grace(); });
            }
        };
        begin(content->routes.v4);
        begin(content->routes.v6);
    }
    edited_.clear();
}

void Routing::fill_tables(table::Tables& next) {
    std::vector<const table::RouteTable*> all;
    for (const Table& one : tables_) {
        all.push_back(&one.content->routes);
    }
    next.route_tables = table::Shared<const table::RouteTable*>(std::move(all));
}

}  // namespace vxplane::control
