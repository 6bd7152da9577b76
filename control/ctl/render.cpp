// The views. A table is a list of columns over rows; `prepare` adds to each row the cells that are
// put together from several keys (their names begin with an underscore).
#include "control/ctl/render.hpp"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "control/ctl/external.hpp"
#include "control/ctl/spread.hpp"

namespace vxplane::control::ctl {

namespace {

struct Shape {
    std::vector<Column> columns;
    std::vector<std::string> key;
    std::string when_empty;
};

const std::map<View, Shape>& shapes() {
    using enum Kind;
    static const std::map<View, Shape> all{
        {View::ports,
         {{{"NAME", "/name"},
           {"ROLE", "/role"},
           {"LINK", "/_link"},
           {"MTU", "/mtu", number},
           {"MAC", "/mac"},
           {"RX-PACKETS", "/rx/packets", count},
           {"RX-BYTES", "/rx/bytes", bytes},
           {"TX-PACKETS", "/tx/packets", count},
           {"TX-BYTES", "/tx/bytes", bytes},
           {"TX-FULL", "/tx/full", count},
           {"MERGED", "/large/merged", count},
           {"CUT", "/large/cut", count},
           {"MISSED", "/_device/imissed", count},
           {"ERRORS", "/_errors", count}},
          {"/name"},
          "no ports"}},
        {View::workers,
         {{{"ID", "/id", number},
           {"CPU", "/cpu", number},
           {"STATE", "/state"},
           {"NODE", "/numa_node", number},
           {"QUEUES", "/queues"},
           {"SENDS-BY", "/_tx"},
           {"RECEIVED", "/received", count},
           {"SENT", "/sent", count},
           {"COPIES", "/copies", count},
           {"DROPPED", "/dropped", count},
           {"STEERED-IN", "/steered_in", count},
           {"STEERED-OUT", "/steered_out", count},
           {"QUEUED", "/queued", number},
           {"DIVERTED", "/diverted", count},
           {"INJECTED", "/injected", count},
           {"UNACCOUNTED", "/unaccounted", number},
           {"POLLS", "/polls", count},
           {"EMPTY", "/_empty", number},
           {"BURST", "/packets_per_burst", number},
           {"PINNED", "/_pinned"}},
          {"/id"},
          "no workers"}},
        {View::captures,
         {{{"ID", "/id", number},
           {"PORT", "/port"},
           {"DIRECTION", "/direction"},
           {"STATE", "/state"},
           {"FRAMES", "/frames", count},
           {"FILTERED", "/filtered", count},
           {"LOST", "/lost", count},
           {"BYTES", "/bytes", bytes},
           {"FILE", "/file"}},
          {"/id"},
          "no captures"}},
        {View::segments,
         {{{"NAME", "/name"},
           {"VNI", "/vni", number},
           {"LOCAL", "/local"},
           {"DSTPORT", "/dstport", number},
           {"MTU", "/mtu", number},
           {"LEARNING", "/learning"},
           {"PORTS", "/ports"},
           {"REMOTES", "/remotes"},
           {"FDB", "/fdb_used", number},
           {"RX-PACKETS", "/rx/packets", count},
           {"RX-BYTES", "/rx/bytes", bytes},
           {"TX-PACKETS", "/tx/packets", count},
           {"TX-BYTES", "/tx/bytes", bytes},
           {"FLOODED", "/flooded", count},
           {"STATE", "/state"}},
          {"/name"},
          "no segments"}},
        {View::fdb,
         {{{"MAC", "/mac"},
           {"SEGMENT", "/segment"},
           {"VNI", "/vni", number},
           {"TO", "/_to"},
           {"STATE", "/state"},
           {"AGE", "/age_s", number},
           {"PREVIOUS", "/previous"}},
          {"/segment", "/mac"},
          "no entries"}},
        {View::neigh,
         {{{"ADDRESS", "/address"},
           {"DEV", "/dev"},
           {"LLADDR", "/lladdr"},
           {"STATE", "/state"},
           {"AGE", "/age_s", number},
           {"HELD-PACKETS", "/held_packets", number},
           {"HELD-BYTES", "/held_bytes", number}},
          {"/dev", "/address"},
          "no neighbours"}},
        {View::segment_neigh,
         {{{"ADDRESS", "/address"},
           {"SEGMENT", "/segment"},
           {"LLADDR", "/lladdr"},
           {"STATE", "/state"},
           {"ROUTER", "/router"},
           {"AGE", "/age_s", number}},
          {"/segment", "/address"},
          "no neighbours"}},
        {View::refused,
         {{{"PEER", "/peer"}, {"REASON", "/reason"}, {"PACKETS", "/packets", count}},
          {"/peer", "/reason"},
          "no peer was refused"}},
        {View::groups,
         {{{"VNI", "/vni", number},
           {"GROUP", "/group", number},
           {"PACKETS", "/packets", count},
           {"APPLIED", "/applied", count},
           {"DONT-LEARN", "/dont_learn", count}},
          {"/vni", "/group"},
          "no packet with a group policy has come"}},
        {View::path_mtus,
         {{{"REMOTE", "/remote"}, {"MTU", "/mtu", number}, {"EXPIRES", "/expires_s", number}},
          {"/remote"},
          "no path takes less than its uplink"}},
        // clang-format off
        {View::maddress,
         {{{"GROUP", "/group"}, {"DEV", "/dev"}, {"SEGMENTS", "/segments"}, {"STATE", "/state"},
           {"PROTOCOL", "/protocol"}, {"REPORTS", "/reports", count}, {"LEAVES", "/leaves", count},
           {"QUERIES", "/queries", count}, {"FILTER", "/filter"}}, {"/dev", "/group"}, "no groups"}},
        {View::mdb,
         {{{"GROUP", "/group"}, {"SOURCE", "/source"}, {"SEGMENT", "/segment"}, {"TO", "/_to"},
           {"FILTER", "/filter_mode"}, {"SOURCES", "/source_list"}, {"STATE", "/state"},
           {"TIMER", "/timer_s", number}}, {"/segment", "/group", "/source", "/_to"}, "no entries"}},
        // clang-format on
        {View::routes,
         {{{"TO", "/to"}, {"TOS", "/tos"}, {"VIA", "/via"}, {"DEV", "/dev"}, {"TYPE", "/type"}},
          {"/to", "/tos"},
          "no routes"}},
        {View::drops,
         {{{"REASON", "/reason"},
           {"SEVERITY", "/severity"},
           {"PACKETS", "/packets", count},
           {"MEANING", "/text"}},
          {"/reason"},
          "nothing dropped"}},
        {View::stages,
         {{{"PATH", "/path"},
           {"STAGE", "/stage"},
           {"PACKETS", "/packets", count},
           {"CYCLES", "/cycles", count},
           {"CYCLES/PACKET", "/cycles_per_packet", number}},
          {"/path", "/stage"},
          "no stages"}},
    };
    return all;
}

// The device's own counters stand beside its name: under one of these keys.
const Json& device_counters(const Json& port) {
    for (const char* key : {"/device_counters", "/device_stats", "/hardware", "/device"}) {
        const Json& found = at(port, key);
        if (found.is_object()) return found;
    }
    return at(port, "/none");
}

std::string fdb_target(const Json& entry) {
    for (const char* key : {"dst", "port", "nhid"}) {
        const Json& value = at(entry, std::string("/") + key);
        if (value.is_null()) continue;
        std::string text = std::string(key) + " " + cell(value);
        for (const char* own : {"dst_vni", "dstport"}) {
            const Json& number = at(entry, std::string("/") + own);
            if (!number.is_null()) text += (own[3] == '_' ? " vni " : " dstport ") + cell(number);
        }
        return text;
    }
    const Json& remotes = at(entry, "/remotes");
    return remotes.is_null() ? "-" : "dst " + cell(remotes);
}

Json ratio(const Json& part, const Json& whole) {
    if (!part.is_number() || !whole.is_number() || whole.get<double>() <= 0) return nullptr;
    return part.get<double>() / whole.get<double>();
}

std::string percent(const Json& part, const Json& whole) {
    const Json share = ratio(part, whole);
    return share.is_null() ? "-" : cell(100 * share.get<double>()) + "%";
}

// What a counter grew by since `before`; all of it when there is no `before`.
Json growth(const Json& row, const Json* before, const std::string& path) {
    const Json& now = at(row, path);
    if (before == nullptr || !now.is_number_integer()) return now;
    const Json& then = at(*before, path);
    return then.is_number_integer() && now >= then
               ? Json(now.get<std::uint64_t>() - then.get<std::uint64_t>())
               : now;
}

Json prepare(View view, const Json& result, const Json* earlier = nullptr) {
    Json rows = view == View::fdb || view == View::mdb ? at(result, "/entries") : result;
    if (!rows.is_array()) return Json::array();
    if (view == View::segments) rows = one_row_each(rows);
    for (auto& row : rows) {
        if (!row.is_object()) continue;
        const bool compared = view == View::workers || view == View::stages;
        const Json* before = earlier == nullptr || !compared
                                 ? nullptr
                                 : same_row(*earlier, row, shapes().at(view).key);
        if (view == View::ports || view == View::port) {
            const Json& link = at(row, "/link");
            row["_link"] = link.is_boolean() ? Json(link.get<bool>() ? "up" : "down") : link;
            const Json device = device_counters(row);
            row["_device"] = device;
            const Json& in = at(device, "/ierrors");
            const Json& out = at(device, "/oerrors");
            if (in.is_number_integer() && out.is_number_integer()) {
                row["_errors"] = in.get<std::uint64_t>() + out.get<std::uint64_t>();
            }
        } else if (view == View::workers) {
            row["_tx"] = tx_plan(row);
            row["_pinned"] = pinned_ports(row);
            row["_empty"] =
                percent(growth(row, before, "/empty_polls"), growth(row, before, "/polls"));
        } else if (view == View::stages && before != nullptr) {
            row["cycles_per_packet"] =
                ratio(growth(row, before, "/cycles"), growth(row, before, "/packets"));
        } else if (view == View::fdb || view == View::mdb) {
            row["_to"] = fdb_target(row);
        }
    }
    return rows;
}

using Named = std::vector<std::pair<const char*, const char*>>;

// `name value name value`, without those that are missing.
std::string pairs(const Json& row, const Named& named) {
    std::string text;
    for (const auto& [name, path] : named) {
        const Json& value = at(row, path);
        if (value.is_null() || (value.is_array() && value.empty())) continue;
        if (!text.empty()) text += " ";
        text += std::string(name) + " " + cell(value);
    }
    return text;
}

void add_detail(std::string& text, const std::string& line, const std::string& head = {}) {
    if (!line.empty()) text += "    " + head + line + "\n";
}

std::string show_port(const Json& port) {
    std::string text =
        cell(at(port, "/name")) + ": " +
        pairs(port, {{"id", "/id"}, {"role", "/role"}, {"link", "/_link"}, {"mtu", "/mtu"}}) + "\n";
    Json named = port;
    if (at(port, "/device").is_object()) named.erase("device");
    add_detail(
        text, pairs(named, {{"device", "/device"}, {"driver", "/driver"}, {"numa", "/numa_node"}}));
    add_detail(text,
               pairs(port, {{"mac", "/mac"}, {"addresses", "/addresses"}, {"host", "/host"}}));
    add_detail(text, pairs(port, {{"rx-queues", "/rx_queues"},
                                  {"tx-queues", "/tx_queues"},
                                  {"multi-segment-tx", "/multi_segment_tx"}}));
    if (at(port, "/rss/on") == true) {
        const Named spread{
            {"types", "/rss/types"}, {"level", "/rss/level"}, {"symmetric", "/rss/symmetric"}};
        add_detail(text, pairs(port, spread), "rss: ");
        add_detail(text, pairs(port, {{"key", "/rss/key"}}), "rss: ");
        add_detail(text, reta_text(at(port, "/rss/reta")), "reta: ");
    }
    add_detail(text,
               pairs(port, {{"packets", "/rx/packets"},
                            {"bytes", "/rx/bytes"},
                            {"missed", "/_device/imissed"},
                            {"errors", "/_device/ierrors"},
                            {"no-buffer", "/_device/rx_nombuf"}}),
               "rx: ");
    add_detail(text,
               pairs(port, {{"packets", "/tx/packets"},
                            {"bytes", "/tx/bytes"},
                            {"full", "/tx/full"},
                            {"errors", "/_device/oerrors"}}),
               "tx: ");
    for (const auto& note : at(port, "/notes")) add_detail(text, cell(note), "note: ");
    return text;
}

std::string show_segment(const Json& segment) {
    const Named first{{"id", "/vni"}, {"local", "/local"}, {"mtu", "/mtu"}, {"state", "/state"}};
    std::string text = cell(at(segment, "/name")) + ": " + pairs(segment, first) + "\n";
    const Named numbers{{"dstport", "/dstport"}, {"srcport", "/srcport"}};
    const Named learned{{"learning", "/learning"},
                        {"ageing", "/ageing"},
                        {"maxaddr", "/maxaddr"},
                        {"fdb", "/fdb_used"}};
    const Named flags{
        {"gbp", "/gbp"}, {"gpe", "/gpe"}, {"remcsumtx", "/remcsumtx"}, {"remcsumrx", "/remcsumrx"}};
    const Named received{
        {"packets", "/rx/packets"}, {"bytes", "/rx/bytes"}, {"ecn-odd", "/ecn_odd"}};
    const Named sent{{"packets", "/tx/packets"}, {"bytes", "/tx/bytes"}, {"flooded", "/flooded"}};
    for (const Named& list :
         {numbers, learned, flags, Named{{"ports", "/ports"}}, Named{{"remotes", "/remotes"}}})
        add_detail(text, pairs(segment, list));
    add_detail(text, pairs(segment, received), "rx: ");
    add_detail(text, pairs(segment, sent), "tx: ");
    return text;
}

std::string show_version(const Json& result) {
    std::string text = "vxctl " VXPLANE_VERSION "\nvxplane " + cell(at(result, "/version")) + "\n";
    if (const Json& dpdk = at(result, "/dpdk"); dpdk.is_string()) {
        const std::string name = cell(dpdk);
        text += (name.starts_with("DPDK") ? "" : "DPDK ") + name + "\n";
    }
    const Named facts{{"pid", "/pid"}, {"up-seconds", "/uptime_s"}, {"topology", "/topology"}};
    add_detail(text, pairs(result, facts));
    return text;
}

std::string show_health(const Json& result) {
    std::string text = at(result, "/ok") == true ? "ok" : "not ok";
    text += ", packets unaccounted " + cell(at(result, "/packets_unaccounted")) + "\n";
    for (const auto& alarm : at(result, "/alarms")) text += "alarm: " + cell(alarm) + "\n";
    return text;
}

std::string show_methods(const Json& result) {
    std::string text;
    for (const auto& method : result) {
        text += cell(at(method, "/name")) + (at(method, "/writes") == true ? " (writes): " : ": ") +
                cell(at(method, "/help")) + "\n";
        for (const auto& param : at(method, "/params")) {
            std::string line = cell(at(param, "/name")) + ": " + cell(at(param, "/type"));
            if (at(param, "/required") == true) line += ", required";
            if (const Json& words = at(param, "/enum"); !words.is_null())
                line += ", one of " + cell(words);
            if (const Json& help = at(param, "/help"); help.is_string() && !help.empty()) {
                if (const std::string said = cell(help); said != "-") line += ": " + said;
            }
            add_detail(text, line);
        }
    }
    return text;
}

std::string fdb_footer(const Json& result) {
    const std::string text = pairs(result, {{"used", "/used"},
                                            {"capacity", "/capacity"},
                                            {"high-water", "/high_water"},
                                            {"refused", "/refused"},
                                            {"memory-bytes", "/memory_bytes"}});
    return text.empty() ? text : text + "\n";
}

std::string show_table(View view, const Json& result, const Interval* interval) {
    const Shape& shape = shapes().at(view);
    const Json rows = prepare(
        view, result, interval != nullptr && interval->seconds > 0 ? &interval->before : nullptr);
    std::string text =
        rows.empty() ? shape.when_empty + "\n" : table(shape.columns, rows, shape.key, interval);
    if (view == View::fdb) text += fdb_footer(result);
    return text;
}

}  // namespace

std::string render(View view, const Json& result) {
    std::string text;
    switch (view) {
        case View::silent:
            return {};
        case View::raw:
            return result.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
        case View::version:
            return show_version(result);
        case View::health:
            return show_health(result);
        case View::methods:
            return show_methods(result);
        case View::removed:
            return "removed " + cell(at(result, "/removed")) + "\n";
        case View::captures:
            return show_table(view, result.is_object() ? Json::array({result}) : result, nullptr);
        case View::started:
            return "capture " + cell(at(result, "/id")) + "\n";
        case View::changes:
            for (const auto& line : at(result, "/changes")) text += cell(line) + "\n";
            return text.empty() ? "nothing differs\n" : text;
        case View::port:
            for (const auto& port : prepare(view, result)) text += show_port(port);
            return text;
        case View::segment:
            if (is_one_external(result)) return show_vnis(result);
            for (const auto& segment : prepare(view, result)) text += show_segment(segment);
            return text;
        default:
            return view >= View::slaves ? render_ipvlan(view, result)
                                        : show_table(view, result, nullptr);
    }
}

std::string render_rates(View view, const Json& result, const Json& earlier, double seconds) {
    if (view == View::port) view = View::ports;
    if (view == View::segment) view = View::segments;
    if (!shapes().contains(view)) return render(view, result);
    const Interval interval{prepare(view, earlier), earlier.is_null() ? 0 : seconds};
    return show_table(view, result, &interval);
}

std::string render_event(const Json& params) {
    std::string text = cell(at(params, "/topic"));
    if (!params.is_object()) return text + "\n";
    for (const auto& item : params.items()) {
        if (item.key() == "topic") continue;
        text += " " + item.key() + " " + cell(item.value());
    }
    return text + "\n";
}

}  // namespace vxplane::control::ctl
