// RPC methods about tracked connections. Who asks for a million of them gets them in pages, between
// which control does everything else.
#include <algorithm>
#include <limits>

#include "config/resolve.hpp"
#include "control/apply/connection_page.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/words.hpp"
#include "control/daemon.hpp"
#include "control/methods.hpp"
#include "control/protocol_name.hpp"

namespace vxplane::control {

using rpc::Json;
using rpc::Reply;
using rpc::Type;

namespace {

/// Entries and time of one answer: the socket's thread is that of everything else.
constexpr std::size_t kPage = 2000;
constexpr std::chrono::microseconds kPageTime{10'000};

constexpr std::array<std::string_view, table::kTcpStates> kTcpNames{
    "none",       "syn-sent", "syn-recv",  "established", "fin-wait",
    "close-wait", "last-ack", "time-wait", "close",       "syn-sent2"};

std::optional<int> protocol_number(const std::string& name) {
    for (int number = 0; number < 256; ++number) {
        if (name == protocol_name(static_cast<std::uint8_t>(number)) ||
            name == std::to_string(number)) {
            return number;
        }
    }
    return std::nullopt;
}

/// Which connections of which ipvlans.
struct Chosen {
    std::vector<std::string> ipvlans;
    table::ConnFilter filter;
    std::optional<rpc::Error> error;
};

Chosen choose(Daemon& daemon, const Json& params) {
    Chosen out;
    const auto only = word(params, "ipvlan");
    for (const config::Ipvlan& ipvlan : daemon.topology().ipvlans) {
        if ((!only || *only == ipvlan.name) && daemon.slaves().conntrack(ipvlan.name) != nullptr) {
            out.ipvlans.push_back(ipvlan.name);
        }
    }
    if (only && out.ipvlans.empty()) {
        out.error = rpc::refuse("no ipvlan '" + *only + "' that tracks connections");
        return out;
    }
    if (const auto name = word(params, "slave")) {
        const config::SlaveRef found = config::resolve_slave(daemon.topology(), nullptr, *name);
        if (!found) {
            out.error = rpc::refuse("no slave '" + *name + "', or more than one (IPVLAN/NAME)");
            return out;
        }
        out.filter.slave =
            *daemon.slaves().find_slave(found.ipvlan->name + "/" + found.slave->name);
        std::erase_if(out.ipvlans,
                      [&](const std::string& one) { return one != found.ipvlan->name; });
    }
    if (const auto vrf = word(params, "vrf")) {
        std::erase_if(out.ipvlans, [&](const std::string& one) {
            const auto number = daemon.slaves().find_vrf(one, *vrf);
            out.filter.zone = number ? *number : out.filter.zone;
            return !number;
        });
        if (out.ipvlans.size() != 1) {
            out.error = rpc::refuse(out.ipvlans.empty()
                                        ? "no vrf '" + *vrf + "'"
                                        : "vrf '" + *vrf + "' is of several ipvlans: name one");
            return out;
        }
    }
    if (const auto protocol = word(params, "protocol")) {
        const auto number = protocol_number(*protocol);
        if (!number) {
            out.error = rpc::invalid("protocol: '" + *protocol + "' is not a protocol");
            return out;
        }
        out.filter.protocol = *number;
    }
    if (const auto address = word(params, "address")) {
        const auto parsed = parse_ip(*address);
        if (!parsed) {
            out.error = rpc::invalid("address: '" + *address + "' is not an IP address");
            return out;
        }
        out.filter.address = *parsed;
    }
    if (params.contains("port")) {
        out.filter.port = params.at("port").get<std::int32_t>();
    }
    return out;
}

Json side_json(const table::Connection::Side& side) {
    const table::ConnTuple& tuple = side.tuple;
    Json out{{"src", text(tuple.source)},
             {"dst", text(tuple.destination)},
             {"packets", side.packets},
             {"bytes", side.bytes}};
    if (tuple.is_icmp()) {
        out["id"] = tuple.source_port.value();
        out["type"] = tuple.destination_port.value() >> 8;
    } else {
        out["sport"] = tuple.source_port.value();
        out["dport"] = tuple.destination_port.value();
    }
    return out;
}

Json connection_json(Daemon& daemon, const std::string& ipvlan, const table::Connection& one,
                     std::uint32_t now) {
    Json row{{"ipvlan", ipvlan},
             {"protocol", protocol_name(one.original.tuple.protocol)},
             {"expires_s", static_cast<double>(static_cast<std::int32_t>(one.expires - now)) / 1e3},
             {"original", side_json(one.original)},
             {"reply", side_json(one.reply)},
             {"replied", one.has(table::Connection::kSeenReply)},
             {"assured", one.has(table::Connection::kAssured)},
             {"snat", one.has(table::Connection::kSourceNat)},
             {"dnat", one.has(table::Connection::kDestinationNat)}};
    if (one.original.tuple.protocol == net::ip_protocol::kTcp) {
        row["state"] = kTcpNames[static_cast<std::size_t>(one.tcp)];
    }
    const std::uint16_t slave =
        one.original_slave != table::kNoSlave ? one.original_slave : one.reply_slave;
    if (slave != table::kNoSlave) {
        row["slave"] = daemon.slaves().name_of(slave);
    }
    const std::uint16_t zone =
        one.original.tuple.zone != 0 ? one.original.tuple.zone : one.reply.tuple.zone;
    if (zone != 0) {
        row["vrf"] = daemon.slaves().vrf_name(ipvlan, zone);
    }
    return row;
}

Reply conntrack_show(Daemon& daemon, const Json& params) {
    const Chosen chosen = choose(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    const std::size_t limit = std::min<std::size_t>(params.value("limit", kPage), kPage);
    const std::uint32_t now = daemon.clock_milliseconds();
    // Which of the ipvlans, and the place in its table.
    const std::uint64_t from = params.value("from", std::uint64_t{0});
    Json entries = Json::array();
    auto place = static_cast<std::uint32_t>(from);
    auto budget = kPageTime;
    for (std::size_t i = from >> 32; i < chosen.ipvlans.size(); ++i, place = 0) {
        const std::string& ipvlan = chosen.ipvlans[i];
        const auto began = std::chrono::steady_clock::now();
        const ConnectionPage page =
            read_connections(*daemon.slaves().conntrack(ipvlan), chosen.filter, place,
                             limit - entries.size(), budget);
        for (const table::Connection& one : page.entries) {
            entries.push_back(connection_json(daemon, ipvlan, one, now));
        }
        if (page.next) {
            return Json{{"entries", std::move(entries)},
                        {"cut", true},
                        {"next", std::uint64_t{i} << 32 | *page.next}};
        }
        budget -= std::min(budget, std::chrono::duration_cast<std::chrono::microseconds>(
                                       std::chrono::steady_clock::now() - began));
    }
    return Json{{"entries", std::move(entries)}, {"cut", false}};
}

Reply conntrack_flush(Daemon& daemon, const Json& params) {
    const Chosen chosen = choose(daemon, params);
    if (chosen.error) {
        return *chosen.error;
    }
    for (const std::string& ipvlan : chosen.ipvlans) {
        if (daemon.slaves().conntrack(ipvlan)->request_flush(chosen.filter) == 0) {
            return rpc::refuse("ipvlan " + ipvlan + ": too many flushes wait for the worker");
        }
    }
    return Json::object();
}

Reply conntrack_count(Daemon& daemon) {
    Json out = Json::array();
    for (const config::Ipvlan& ipvlan : daemon.topology().ipvlans) {
        const table::Conntrack* conntrack = daemon.slaves().conntrack(ipvlan.name);
        if (conntrack == nullptr) {
            continue;
        }
        const table::ConntrackStats stats = conntrack->stats();
        out.push_back({{"ipvlan", ipvlan.name},
                       {"used", stats.used},
                       {"high_water", stats.high_water},
                       {"capacity", stats.capacity},
                       {"created", stats.created},
                       {"refused", stats.refused},
                       {"early_drops", stats.early_drops},
                       {"expired", stats.expired},
                       {"flushed", stats.flushed},
                       {"ports_exhausted", stats.ports_exhausted},
                       {"fragments", stats.fragments_used},
                       {"fragments_replaced", stats.fragments_replaced},
                       {"memory_bytes", conntrack->memory_bytes()}});
    }
    return out;
}

Json conntrack_timeouts(Daemon& daemon) {
    using State = table::TcpState;
    constexpr std::array<std::pair<std::string_view, State>, 8> kTcp{
        {{"tcp-syn-sent", State::syn_sent},
         {"tcp-syn-recv", State::syn_recv},
         {"tcp-established", State::established},
         {"tcp-fin-wait", State::fin_wait},
         {"tcp-close-wait", State::close_wait},
         {"tcp-last-ack", State::last_ack},
         {"tcp-time-wait", State::time_wait},
         {"tcp-close", State::close}}};
    Json out = Json::array();
    for (const config::Ipvlan& ipvlan : daemon.topology().ipvlans) {
        const table::Conntrack* conntrack = daemon.slaves().conntrack(ipvlan.name);
        if (conntrack == nullptr) {
            continue;
        }
        const table::ConnTimeouts& now = conntrack->timeouts();
        const auto row = [&](std::string_view key, std::uint32_t milliseconds) {
            out.push_back(
                {{"ipvlan", ipvlan.name}, {"key", key}, {"seconds", milliseconds / 1000}});
        };
        for (const auto& [key, state] : kTcp) {
            row(key, now.tcp[static_cast<std::size_t>(state)]);
        }
        row("udp", now.udp);
        row("udp-stream", now.udp_stream);
        row("icmp", now.icmp);
        row("generic", now.generic);
    }
    return out;
}

}  // namespace

void add_conntrack_methods(Daemon& daemon) {
    rpc::MethodTable& table = daemon.server().methods();
    const auto add = [&](std::string name, std::string help, std::vector<rpc::Param> params,
                         bool writes, std::function<Reply(const Json&)> call) {
        table.add({std::move(name), std::move(help), std::move(params), writes, std::move(call)});
    };
    const rpc::Param slave{"slave", Type::string, false, "NAME or IPVLAN/NAME"};
    const std::vector<rpc::Param> which{
        {"ipvlan", Type::string, false, "name of an ipvlan"},
        slave,
        {"vrf", Type::string, false, "tenant"},
        {"protocol", Type::string, false, "tcp, udp, icmp, icmpv6, sctp or a number"},
        {"address", Type::string, false, "source or destination of either direction"},
        {"port", Type::integer, false, "of either end", {}, 0, 65535}};
    std::vector<rpc::Param> limited = which;
    limited.push_back(
        {"limit", Type::integer, false, "entries at most, and at most 2000", {}, 1, 500'000});
    limited.push_back({"from",
                       Type::integer,
                       false,
                       "`next` of the answer before, to go on",
                       {},
                       0,
                       std::numeric_limits<std::int64_t>::max()});
    add("conntrack.show", "tracked connections", limited, false,
        [&daemon](const Json& params) { return conntrack_show(daemon, params); });
    add("conntrack.timeouts", "after how many seconds without a packet connections are forgotten",
        {}, false, [&daemon](const Json&) { return Reply(conntrack_timeouts(daemon)); });
    add("conntrack.count", "how many connections are tracked, by ipvlan", {}, false,
        [&daemon](const Json&) { return conntrack_count(daemon); });
    add("conntrack.flush", "forgets connections that fit", which, true,
        [&daemon](const Json& params) { return conntrack_flush(daemon, params); });
}

}  // namespace vxplane::control
