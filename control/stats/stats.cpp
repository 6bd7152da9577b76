#include "control/stats/stats.hpp"

#include <rte_cycles.h>

#include <set>
#include <utility>

#include "control/apply/words.hpp"
#include "control/rx_verdicts.hpp"
#include "dataplane/path/from_access.hpp"
#include "dataplane/path/from_master.hpp"
#include "dataplane/path/from_slave.hpp"
#include "dataplane/path/from_twin.hpp"
#include "dataplane/path/from_underlay.hpp"

namespace vxplane::control::stats {

namespace {

constexpr std::array<std::string_view, 19> kWorkerFields{
    "received",    "sent",        "copies",       "dropped",    "diverted",
    "injected",    "handed_off",  "taken_over",   "polls",      "empty_polls",
    "busy_cycles", "sleeps",      "slept_cycles", "woken",      "learn_events",
    "learn_lost",  "steered_out", "steered_in",   "reassembled"};

Json verdicts_json(const RxVerdicts& verdicts) {
    Json believed = Json::array();
    Json right = Json::object();
    for (std::size_t i = 0; i < packet::kRxSums; ++i) {
        const auto sum = static_cast<packet::RxSum>(i);
        right[std::string(control::name(sum))] = verdicts.right[i];
        if ((verdicts.believed & packet::set_of(sum)) != 0) {
            believed.push_back(control::name(sum));
        }
    }
    return {{"state", control::name(verdicts.belief)},
            {"believed", std::move(believed)},
            {"right", std::move(right)},
            {"wrong", verdicts.wrong}};
}

double ratio(std::uint64_t a, std::uint64_t b) {
    return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b);
}

template <class Path>
void add_stages(Json& out, const auto& table, const auto& zero) {
    const auto& totals = table[static_cast<std::size_t>(Path::id)];
    const auto& zeros = zero[static_cast<std::size_t>(Path::id)];
    for (std::size_t i = 0; i <= Path::stage_names.size(); ++i) {
        const std::uint64_t cycles = totals[i].cycles - zeros[i].cycles;
        const std::uint64_t packets = totals[i].packets - zeros[i].packets;
        out.push_back({{"path", Path::name},
                       {"stage", i < Path::stage_names.size() ? Path::stage_names[i] : "exit"},
                       {"packets", packets},
                       {"cycles", cycles},
                       {"cycles_per_packet", ratio(cycles, packets)}});
    }
}

}  // namespace

Reader::Reader(Machine& machine, const Punts& punts, const Bridge& bridge,
               const Publisher& publisher, const config::Topology& topology)
    : machine_(machine),
      punts_(punts),
      bridge_(bridge),
      publisher_(publisher),
      topology_(topology) {
    port_zero_.resize(RTE_MAX_ETHPORTS);
    merge_zero_.resize(RTE_MAX_ETHPORTS);
    segment_zero_.resize(std::max(machine.segment_room(), bridge.segment_count()));
    worker_zero_.resize(machine.worker_count());
    pulses_.resize(machine.worker_count());
}

Reader::PortTotals Reader::port_totals(std::uint16_t id) const {
    PortTotals sum;
    for (const auto& worker : machine_.workers()) {
        const path::PortCounters& c = worker->counters().ports[id];
        sum.rx_packets += c.rx_packets.get();
        sum.rx_bytes += c.rx_bytes.get();
        sum.tx_packets += c.tx_packets.get();
        sum.tx_bytes += c.tx_bytes.get();
        sum.tx_full += c.tx_full.get();
        sum.tx_copies += c.tx_copies.get();
        sum.tx_groups += c.tx_groups.get();
        sum.dropped += c.dropped.get();
    }
    return sum;
}

Reader::SegmentTotals Reader::segment_totals(std::size_t index) const {
    SegmentTotals sum;
    for (const auto& worker : machine_.workers()) {
        const path::SegmentCounters& c = worker->counters().segments[index];
        sum.rx_packets += c.rx_packets.get();
        sum.rx_bytes += c.rx_bytes.get();
        sum.tx_packets += c.tx_packets.get();
        sum.tx_bytes += c.tx_bytes.get();
        sum.flooded += c.flooded.get();
        sum.oversize += c.oversize.get();
        sum.rx_drops += c.rx_drops.get();
        sum.rx_errors += c.rx_errors.get();
        sum.tx_drops += c.tx_drops.get();
        sum.tx_errors += c.tx_errors.get();
        sum.answered += c.answered.get();
        sum.untold += c.untold.get();
        sum.ecn_odd += c.ecn_odd.get();
    }
    return sum;
}

Reader::WorkerFigures Reader::figures(const path::WorkerCounters& c) {
    return {c.received.get(),     c.sent.get(),        c.copies.get(),       c.dropped.get(),
            c.diverted.get(),     c.injected.get(),    c.handed_off.get(),   c.taken_over.get(),
            c.polls.get(),        c.empty_polls.get(), c.busy_cycles.get(),  c.sleeps.get(),
            c.slept_cycles.get(), c.woken.get(),       c.learn_events.get(), c.learn_lost.get(),
            c.steered_out.get(),  c.steered_in.get(),  c.reassembled.get()};
}

packet::DropCounts Reader::drop_totals() const {
    packet::DropCounts sum = punts_.counters().drops;
    for (const auto& worker : machine_.workers()) {
        for (std::size_t i = 0; i < sum.size(); ++i) {
            sum[i] += worker->counters().drops[i].get();
        }
    }
    return sum;
}

Reader::StageTable Reader::stage_totals() const {
    StageTable sum{};
    for (const auto& worker : machine_.workers()) {
        for (std::size_t p = 0; p < path::kPaths; ++p) {
            for (std::size_t s = 0; s < path::kMaxStages; ++s) {
                sum[p][s].cycles += worker->counters().stages[p][s].cycles.get();
                sum[p][s].packets += worker->counters().stages[p][s].packets.get();
            }
        }
    }
    return sum;
}

Json Reader::ports(const std::optional<std::string>& name) const {
    Json out = Json::array();
    for (const OpenPort& open : machine_.ports()) {
        const port::Port& port = *open.port;
        if (name && *name != port.name()) {
            continue;
        }
        const PortTotals now = port_totals(port.id());
        const PortTotals& zero = port_zero_[port.id()];
        const port::DeviceCounters device = port.counters();
        const port::LinkStatus link = port.link();
        Json addresses = Json::array();
        if (!open.is_twin) {
            for (const config::IpPrefix& address : open.config->addresses) {
                addresses.push_back(address.text());
            }
        }
        net::MacAddress mac;
        mac.bytes = port.mac();
        const bool underlay = open.config->role == config::PortRole::underlay;
        out.push_back(
            {{"name", port.name()},
             {"id", port.id()},
             {"role", open.is_twin                                             ? "host"
                      : underlay                                               ? "underlay"
                      : bridge_.port(port.id()).role == table::PortRole::slave ? "slave"
                                                                               : "access"},
             {"device", port.device()},
             {"driver", port.driver()},
             {"mac", text(mac)},
             {"mtu", port.offered_mtu()},
             {"link", link.up},
             {"speed_mbps", link.mbps},
             {"numa_node", port.socket()},
             {"rx_queues", port.rx_queues()},
             {"tx_queues", port.tx_queues()},
             {"rss", rss_json(port)},
             {"rx_checksum", port.rx_checksum()},
             {"rx_verdicts", verdicts_json(rx_verdicts(machine_, bridge_, port.id()))},
             {"addresses", addresses},
             {"host", open.is_twin ? "" : open.config->host},
             {"multi_segment_tx", port.multi_segment_tx()},
             {"large", merges(port.id())},
             {"notes", port.notes()},
             {"rx",
              {{"packets", now.rx_packets - zero.rx_packets},
               {"bytes", now.rx_bytes - zero.rx_bytes}}},
             {"tx",
              {{"packets", now.tx_packets - zero.tx_packets},
               {"bytes", now.tx_bytes - zero.tx_bytes},
               {"full", now.tx_full - zero.tx_full},
               {"copies", now.tx_copies - zero.tx_copies}}},
             {"device_counters",
              {{"imissed", device.imissed},
               {"ierrors", device.ierrors},
               {"rx_nombuf", device.rx_nombuf},
               {"oerrors", device.oerrors}}}});
    }
    return out;
}

Json Reader::workers() const {
    Json out = Json::array();
    for (const auto& worker : machine_.workers()) {
        const unsigned id = worker->options().id;
        const WorkerFigures now = figures(worker->counters());
        Json row{{"id", id}, {"cpu", machine_.cpu_of(id)}, {"lcore", worker->options().lcore}};
        add_plan(row, id);
        for (std::size_t i = 0; i < kWorkerFields.size(); ++i) {
            row[std::string(kWorkerFields[i])] = now[i] - worker_zero_[id][i];
        }
        const std::uint64_t polls = row["polls"];
        const std::uint64_t empty = row["empty_polls"];
        row["state"] = pulses_[id].stuck ? "stuck" : "running";
        row["tsc_hz"] = rte_get_tsc_hz();
        row["packets_per_burst"] = ratio(row["received"], polls - empty);
        row["empty_poll_ratio"] = ratio(empty, polls);
        row["held_fragments"] = worker->counters().held_fragments.get();
        row["unaccounted"] = worker->counters().unaccounted.get();
        row["foreign_buffers"] = worker->pools().foreign();
        row["refused_buffers"] = worker->pools().refused();
        // Ports that only this worker may poll, as it tracks their connections.
        row["pinned"] = Json::array();
        for (const auto& [port, pin] : machine_.pins()) {
            if (pin.worker == id) {
                row["pinned"].push_back({{"port", port}, {"why", pin.why}});
            }
        }
        out.push_back(std::move(row));
    }
    return out;
}

namespace {

/// The address, or both where there is one of each family.
std::string local_of(const SegmentSpec& spec) {
    const TunnelProfile& profile = spec.profile;
    std::string out = profile.local == 0 ? "" : text(net::Ipv4Address::of(profile.local));
    if (!profile.local6.is_unset()) {
        out += (out.empty() ? "" : " ") + text(profile.local6);
    }
    return out.empty() ? "by route" : out;
}

}  // namespace

Json Reader::segments(const std::optional<std::string>& name) const {
    Json out = Json::array();
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        const SegmentSpec& spec = bridge_.segment(index);
        if (!bridge_.is_used(index) || (name && *name != spec.name && *name != spec.part_of)) {
            continue;
        }
        Json members = Json::array();
        for (const std::uint16_t id : spec.ports) {
            const OpenPort* port = machine_.by_id(id);
            members.push_back(port == nullptr ? "?" : port->port->name());
        }
        Json remotes = Json::array();
        for (const net::IpAddress& remote : bridge_.flood_remotes(index)) {
            remotes.push_back(text(remote));
        }
        const SegmentTotals now = segment_totals(i);
        const SegmentTotals& zero = segment_zero_[i];
        out.push_back({{"name", spec.name},
                       {"vni", spec.vni.number},
                       {"local", local_of(spec)},
                       {"dstport", spec.profile.dstport},
                       {"srcport",
                        {spec.profile.source_port_lo,
                         spec.profile.source_port_lo + spec.profile.source_port_span}},
                       {"mtu", spec.mtu},
                       {"mac", text(spec.own_mac)},
                       {"learning", spec.learning},
                       {"ageing", spec.ageing},
                       {"maxaddr", spec.maxaddr},
                       {"udpcsum", spec.profile.udp_checksum},
                       {"gbp", spec.profile.group_policy},
                       {"gpe", spec.profile.gpe},
                       {"remcsumtx", spec.profile.remote_sum},
                       {"remcsumrx", (spec.watch & table::watch::kRemoteSum) != 0},
                       {"ports", members},
                       {"remotes", remotes},
                       {"fdb_used", bridge_.used(index)},
                       {"rx",
                        {{"packets", now.rx_packets - zero.rx_packets},
                         {"bytes", now.rx_bytes - zero.rx_bytes},
                         {"drops", now.rx_drops - zero.rx_drops},
                         {"errors", now.rx_errors - zero.rx_errors}}},
                       {"tx",
                        {{"packets", now.tx_packets - zero.tx_packets},
                         {"bytes", now.tx_bytes - zero.tx_bytes},
                         {"drops", now.tx_drops - zero.tx_drops},
                         {"errors", now.tx_errors - zero.tx_errors}}},
                       {"flooded", now.flooded - zero.flooded},
                       {"oversize", now.oversize - zero.oversize},
                       {"answered", now.answered - zero.answered},
                       {"untold", now.untold - zero.untold},
                       {"ecn_odd", now.ecn_odd - zero.ecn_odd},
                       {"group", spec.group.is_unset() ? "" : text(spec.group)},
                       {"state", bridge_.is_up(index) ? "up" : "down"}});
        if (neighbours_ != nullptr) {
            out.back()["neighbours"] = {{"learned", neighbours_->learned(index)},
                                        {"most", spec.neigh_maxaddr},
                                        {"refused", neighbours_->refused(index)}};
        }
        if (!spec.part_of.empty()) {
            out.back()["part_of"] = spec.part_of;
            out.back()["vid"] = spec.vid;
        }
    }
    return out;
}

Json Reader::drops(bool all) const {
    Json out = Json::array();
    const packet::DropCounts totals = drop_totals();
    for (std::size_t i = 1; i < packet::kDropReasons; ++i) {
        const std::uint64_t packets = totals[i] - drop_zero_[i];
        if (!all && packets == 0) {
            continue;
        }
        const packet::DropReasonInfo& reason = packet::kDropReasonInfo[i];
        out.push_back({{"reason", reason.name},
                       {"severity", packet::name(reason.severity)},
                       {"text", reason.text},
                       {"packets", packets}});
    }
    return out;
}

Json Reader::unknown_vnis() const {
    std::set<std::pair<std::uint32_t, net::IpAddress>> seen;
    for (const auto& worker : machine_.workers()) {
        worker->unknown_vnis().for_each([&seen](const step::UnknownVnis::Sample& sample) {
            seen.emplace(sample.vni.number, sample.source);
        });
    }
    Json out = Json::array();
    for (const auto& [vni, source] : seen) {
        out.push_back({{"vni", vni}, {"source", text(source)}});
    }
    return out;
}

Json Reader::groups() const {
    std::map<std::pair<std::uint32_t, std::uint16_t>, step::SeenGroups::Seen> all;
    std::uint64_t others = 0;
    for (const auto& worker : machine_.workers()) {
        others += worker->seen_groups().others();
        worker->seen_groups().for_each([&all](const step::SeenGroups::Seen& seen) {
            step::SeenGroups::Seen& sum = all[{seen.vni.number, seen.id}];
            sum.packets += seen.packets;
            sum.applied += seen.applied;
            sum.dont_learn += seen.dont_learn;
        });
    }
    Json groups = Json::array();
    for (const auto& [key, seen] : all) {
        groups.push_back({{"vni", key.first},
                          {"group", key.second},
                          {"packets", seen.packets},
                          {"applied", seen.applied},
                          {"dont_learn", seen.dont_learn}});
    }
    if (others != 0) {
        groups.push_back({{"vni", nullptr}, {"group", nullptr}, {"packets", others}});
    }
    return groups;
}

Json Reader::stages() const {
    Json out = Json::array();
    const StageTable totals = stage_totals();
    add_stages<path::FromAccess>(out, totals, stage_zero_);
    add_stages<path::FromUnderlay>(out, totals, stage_zero_);
    add_stages<path::FromTwin>(out, totals, stage_zero_);
    if (publisher_.current() == nullptr || publisher_.current()->masters.size() == 0) {
        return out;
    }
    add_stages<path::FromMaster>(out, totals, stage_zero_);
    add_stages<path::FromSlave>(out, totals, stage_zero_);
    return out;
}

void Reader::begin_segment(std::uint16_t index) {
    segment_zero_[index] = segment_totals(index);
}

void Reader::reset() {
    for (const OpenPort& open : machine_.ports()) {
        port_zero_[open.port->id()] = port_totals(open.port->id());
        merge_zero_[open.port->id()] = merge_totals(open.port->id());
        open.port->reset_counters();
    }
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        segment_zero_[i] = segment_totals(i);
    }
    for (const auto& worker : machine_.workers()) {
        worker_zero_[worker->options().id] = figures(worker->counters());
    }
    drop_zero_ = drop_totals();
    stage_zero_ = stage_totals();
}

}  // namespace vxplane::control::stats
