// Views of slaves, routing tables, rules and connections: lines in the manner of `ip route` and
// `conntrack -L`, and tables.
#include <string>
#include <vector>

#include "control/ctl/render.hpp"

namespace vxplane::control::ctl {

namespace {

void add_word(std::string& line, const std::string& name, const Json& value) {
    if (!value.is_null() && !(value.is_string() && value.get<std::string>().empty()) &&
        !(value.is_array() && value.empty())) {
        line += (line.empty() ? "" : " ") + (name.empty() ? "" : name + " ") + cell(value);
    }
}

std::string hop_text(const Json& hop) {
    std::string text;
    for (const char* key : {"via", "dev", "slave", "vxlan", "remote", "lladdr"}) {
        add_word(text, key, at(hop, std::string("/") + key));
    }
    add_word(text, "lookup", at(hop, "/table"));
    if (at(hop, "/dead") == true) text += text.empty() ? "dead" : " dead";
    return text;
}

std::string route_lines(const Json& route) {
    const Json& type = at(route, "/type");
    std::string text =
        type == "unicast" ? cell(at(route, "/to")) : cell(type) + " " + cell(at(route, "/to"));
    const Json& hops = at(route, "/nexthops");
    const bool several = hops.is_array() && hops.size() > 1;
    if (hops.is_array() && hops.size() == 1) text += " " + hop_text(hops[0]);
    text += " table " + cell(at(route, "/table")) + " proto " + cell(at(route, "/proto")) + "\n";
    for (std::size_t i = 0; several && i < hops.size(); ++i) {
        text += "        nexthop " + hop_text(hops[i]) + " weight " + cell(at(hops[i], "/weight")) +
                " slots " + cell(at(hops[i], "/slots")) + "\n";
    }
    return text;
}

std::string end_text(const Json& side) {
    std::string text;
    for (const char* key : {"src", "dst", "sport", "dport", "type", "id", "packets", "bytes"}) {
        const Json& value = at(side, std::string("/") + key);
        if (!value.is_null()) text += std::string(" ") + key + "=" + cell(value);
    }
    return text;
}

std::string connection_line(const Json& one) {
    std::string text = cell(at(one, "/protocol")) + " " + cell(at(one, "/expires_s"));
    add_word(text, "", at(one, "/state"));
    text += end_text(at(one, "/original"));
    if (at(one, "/replied") == false) text += " [UNREPLIED]";
    text += end_text(at(one, "/reply"));
    if (at(one, "/assured") == true) text += " [ASSURED]";
    for (const char* key : {"ipvlan", "slave", "vrf"}) {
        const Json& value = at(one, std::string("/") + key);
        if (!value.is_null()) text += std::string(" ") + key + "=" + cell(value);
    }
    return text + "\n";
}

std::string rule_line(const Json& rule) {
    std::string text = cell(at(rule, "/owner")) + " " + cell(at(rule, "/hook")) + " priority " +
                       cell(at(rule, "/priority"));
    for (const char* key : {"iif", "vrf", "protocol", "saddr", "daddr", "sport", "dport", "ct"}) {
        add_word(text, key, at(rule, std::string("/") + key));
    }
    text += " counter packets " + cell(at(rule, "/packets")) + " bytes " +
            cell(at(rule, "/bytes")) + " " + cell(at(rule, "/action"));
    add_word(text, "to", at(rule, "/to"));
    add_word(text, "slave", at(rule, "/slave"));
    add_word(text, "ports", at(rule, "/to_ports"));
    return text + " # " + cell(at(rule, "/name")) + "\n";
}

template <class Line>
std::string lines(const Json& rows, const std::string& when_empty, Line line) {
    std::string text;
    if (rows.is_array()) {
        for (const Json& row : rows) text += line(row);
    }
    return text.empty() ? when_empty + "\n" : text;
}

const std::vector<Column>& slave_columns() {
    static const std::vector<Column> columns{{"IPVLAN", "/ipvlan"},
                                             {"NAME", "/name"},
                                             {"PORT", "/port"},
                                             {"MODE", "/mode"},
                                             {"STATE", "/state"},
                                             {"MTU", "/mtu", Kind::number},
                                             {"VRF", "/vrf"},
                                             {"ADDRESSES", "/addresses"},
                                             {"RX-PACKETS", "/rx/packets", Kind::count},
                                             {"RX-BYTES", "/rx/bytes", Kind::bytes},
                                             {"RX-MULTICAST", "/rx/multicast", Kind::count},
                                             {"TX-PACKETS", "/tx/packets", Kind::count},
                                             {"TX-BYTES", "/tx/bytes", Kind::bytes},
                                             {"TX-DROPS", "/tx/drops", Kind::count}};
    return columns;
}

const std::vector<Column>& ipvlan_columns() {
    static const std::vector<Column> columns{{"NAME", "/name"},
                                             {"LINK", "/link"},
                                             {"MODE", "/mode"},
                                             {"FLAG", "/flag"},
                                             {"CARRIER", "/carrier"},
                                             {"SLAVES", "/slaves", Kind::number},
                                             {"CONNTRACK", "/conntrack"},
                                             {"CONNECTIONS", "/connections", Kind::number},
                                             {"WORKER", "/worker", Kind::number}};
    return columns;
}

const std::vector<Column>& count_columns() {
    static const std::vector<Column> columns{{"IPVLAN", "/ipvlan"},
                                             {"USED", "/used", Kind::number},
                                             {"HIGH-WATER", "/high_water", Kind::number},
                                             {"CAPACITY", "/capacity", Kind::number},
                                             {"CREATED", "/created", Kind::count},
                                             {"REFUSED", "/refused", Kind::count},
                                             {"EARLY-DROPS", "/early_drops", Kind::count},
                                             {"EXPIRED", "/expired", Kind::count},
                                             {"FLUSHED", "/flushed", Kind::count},
                                             {"PORTS-EXHAUSTED", "/ports_exhausted", Kind::count}};
    return columns;
}

std::string expires(const Json& one) {
    const Json& left = at(one, "/expires_s");
    return left.is_number() ? " expires " + std::to_string(left.get<std::int64_t>()) + "s" : "";
}

/// What is known of one slave besides its line in the table.
std::string slave_details(const Json& rows) {
    std::string text;
    for (const Json& row : rows) {
        const std::string name = cell(at(row, "/ipvlan")) + "/" + cell(at(row, "/name"));
        for (const Json& one : row.value("leases", Json::array())) {
            text += name + " address " + cell(at(one, "/address")) + " origin " +
                    cell(at(one, "/origin")) + expires(one) + "\n";
        }
        for (const Json& one : row.value("groups", Json::array())) {
            text += name + " group " + cell(at(one, "/group")) + " origin " +
                    cell(at(one, "/origin")) + expires(one) + "\n";
        }
        const Json& refused = at(row, "/groups_refused");
        if (refused.is_number() && refused != 0) {
            text += name + " groups refused " + cell(refused) + "\n";
        }
    }
    return text;
}

const std::vector<Column>& timeout_columns() {
    static const std::vector<Column> columns{
        {"IPVLAN", "/ipvlan"}, {"KEY", "/key"}, {"SECONDS", "/seconds", Kind::number}};
    return columns;
}

std::string as_table(const Json& rows, const std::string& when_empty,
                     const std::vector<Column>& columns) {
    return rows.empty() ? when_empty + "\n" : table(columns, rows, {}, nullptr);
}

}  // namespace

std::string pinned_ports(const Json& worker) {
    std::string text;
    const Json& pins = at(worker, "/pinned");
    for (std::size_t i = 0; pins.is_array() && i < pins.size(); ++i) {
        text += (i == 0 ? "" : " ") + cell(at(pins[i], "/port")) + "(" + cell(at(pins[i], "/why")) +
                ")";
    }
    return text.empty() ? "-" : text;
}

std::string render_ipvlan(View view, const Json& result) {
    const std::string more = at(result, "/cut") == true ? "and more (limit)\n" : "";
    switch (view) {
        case View::table:
            return lines(at(result, "/entries"), "no routes", route_lines) + more;
        case View::connections:
            return lines(at(result, "/entries"), "no connections", connection_line) + more;
        case View::rules:
            return lines(result, "no rules", rule_line);
        case View::slaves:
            return as_table(result, "no slaves", slave_columns());
        case View::slave:
            return as_table(result, "no slaves", slave_columns()) + slave_details(result);
        case View::ipvlans:
            return as_table(result, "no ipvlans", ipvlan_columns());
        case View::timeouts:
            return as_table(result, "no connections are tracked", timeout_columns());
        default:
            return as_table(result, "no connections are tracked", count_columns());
    }
}

}  // namespace vxplane::control::ctl
