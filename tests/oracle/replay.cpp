// One lab per configuration; every case of it is played three times, once for each way in which a
// frame can lie in memory, and must come out the same.
#include "replay.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include "bare.hpp"
#include "compare.hpp"
#include "control/resolve/icmp.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/path/reassembly.hpp"

namespace vxplane::oracle {
namespace {

using support::Lab;
using support::Memory;

net::IpAddress ip_of(const std::string& text) {
    net::IpAddress address;
    if (text.find(':') == std::string::npos) return support::ip(text);
    if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) != 1)
        throw std::runtime_error("address " + text);
    return address;
}

class Scene {
  public:
    Scene(const Topology& topology, const Setup& setup, bool reassembly)
        : setup_{setup}, topology_{topology}, reassembly_{reassembly} {
        support::SegmentWords segment;
        segment.vni = setup.vni;
        segment.dstport = setup.dstport;
        segment.own_mac = support::mac(topology.macs.at("vx0"));
        segment.mtu = setup.mtu;
        segment.learning = setup.learning;
        segment.inner_vlan = true;
        segment.ipv4 = !setup.ipv6;
        segment.ipv6 = setup.ipv6;
        segment.udp6_zero_rx = setup.udp6_zero_rx;
        segment_ = lab_.segment("vx0", segment);
        table::Segment& entry = lab_.segment_entry(segment_);
        entry.reserved_flags = static_cast<std::uint32_t>(setup.reserved_bits >> 32);
        entry.reserved_vni = static_cast<std::uint32_t>(setup.reserved_bits);
        entry.watch = setup.watch;
        support::PortWords words;
        words.mac = support::mac(topology.macs.at("under"));
        words.mtu = setup.underlay_mtu;
        words.reassembles = reassembly;
        ports_["wire"] = lab_.underlay("wire", words);
        // The bridge port of the recording does not learn.
        words = {};
        words.mtu = 9000;
        words.learning = false;
        if (setup.bare) words.mac = support::mac(topology.macs.at("host"));
        ports_[tenant()] = lab_.access(tenant(), segment_, words);
        if (setup.second_port) ports_["host2"] = lab_.access("host2", segment_, words);
        if (setup.second) {
            segment.vni = setup.second->vni;
            segment.dstport = setup.second->dstport;
            segment.profile = 2;
            segment.own_mac = support::mac(topology.macs.at("vx1"));
            ports_["host2"] = lab_.access("host2", lab_.segment("vx1", segment), words);
        }
        for (const net::IpAddress& address : setup.addresses) lab_.own(address, ports_["wire"]);
        std::vector<support::TunnelId> flood;
        for (std::size_t i = 0; i < setup.flood.size(); ++i)
            flood.push_back(tunnel_to(setup.flood[i], setup.flood_numbers[i]));
        lab_.flood_to(segment_, flood);
        for (const auto& [mac, remote] : setup.fdb)
            lab_.fdb(segment_, support::mac(mac), table::FdbKind::tunnel,
                     tunnel_to(remote, setup.fdb_numbers.at(mac)), table::FdbState::permanent);
        for (const std::string& mac : setup.local_macs)
            lab_.fdb(segment_, support::mac(mac), table::FdbKind::port, ports_[tenant()],
                     table::FdbState::permanent);
        lab_.complete = [this](table::Tables& tables) {
            add_hosts(tables);
            add_group(tables);
            if (setup_.down)
                tables.dstports = std::make_shared<const table::FlatMap>(
                    std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                        {table::dstport_key(setup_.dstport, setup_.ipv6), table::kPortClosed}});
        };
    }

    /// Of what the tenant sends from now on.
    void set_mark(net::GroupPolicy mark) {
        table::PortEntry& port = lab_.port_entry(ports_[tenant()]);
        if (port.policy == mark) return;
        port.policy = mark;
        if (has_played_) lab_.publish();
    }
    /// The group policy of the one frame that was delivered last, as the kernel's mark.
    [[nodiscard]] std::uint32_t mark() const { return mark_; }

    /// Notes in `facts` what became of the frames.
    Frames play(const Case& one, Memory memory, Facts& facts) {
        Frames out;
        told_ = 0;
        const std::map<std::uint32_t, Counted> before = marks();
        for (const Injected& injected : one.inject) {
            const auto port = ports_.find(injected.port);
            if (port == ports_.end()) {
                facts.insert("no_port:" + injected.port);
                continue;
            }
            // Longer than a buffer of the pool: only a block of its own holds it.
            const bool jumbo = injected.frame.size() > 1600;
            has_played_ = true;
            const Bytes frame = setup_.bare && injected.port == "vx0"
                                    ? with_macs(injected.frame, setup_)
                                    : injected.frame;
            const support::Seen seen =
                lab_.receive(port->second, {frame}, jumbo ? Memory::exact : memory);
            if (!seen.broken_law.empty()) facts.insert("broken_law: " + seen.broken_law);
            for (const auto& [name, moved] : seen.moved)
                if (name.starts_with("drop.")) facts.insert("we_drop:" + name.substr(5));
            if (!seen.punted.empty()) facts.insert("we_ask_control");
            for (const support::PuntedFrame& asked : seen.punted)
                if (asked.why == packet::Punt::too_big) tell(asked, injected.port, out, facts);
            for (const auto& [name, id] : ports_)
                for (const Bytes& sent : seen.sent_by(id))
                    out[name].push_back(name == "vx0" ? without_macs(sent) : sent);
        }
        if (reassembly_) {
            lab_.pass_time(path::Reassembly::kPatience);
            lab_.poll();
            const std::string law = lab_.collect().broken_law;
            if (!law.empty()) facts.insert("broken_law: " + law);
        }
        mark_ = 0;
        for (const auto& [id, now] : marks()) {
            const auto was = before.find(id);
            const Counted then = was == before.end() ? Counted{} : was->second;
            if (now[0] == then[0]) continue;
            mark_ = id | (now[1] != then[1] ? 0x80000U : 0U) | (now[2] != then[2] ? 0x400000U : 0U);
        }
        if (out.empty()) facts.insert("we_are_silent");
        std::size_t sent = 0;
        for (const auto& [name, frames] : out) sent += frames.size();
        if (sent == told_) facts.insert("nothing_goes_on");
        for (const Bytes& frame : out["wire"])
            if (is_to_ourselves(frame)) facts.insert("we_send_to_ourselves");
        if (out["wire"].empty()) out.erase("wire");
        if (out.contains("host") || out.contains("host2") || out.contains("vx0"))
            facts.insert("we_deliver");
        return out;
    }

  private:
    [[nodiscard]] const char* tenant() const { return setup_.bare ? "vx0" : "host"; }
    /// A tunnel packet over IPv4 or IPv6 to an address of the underlay port.
    [[nodiscard]] bool is_to_ourselves(const Bytes& frame) const {
        if (frame.size() < 54) return false;
        net::IpAddress to;
        if (frame[12] == 0x08)
            to = support::ip(std::to_string(frame[30]) + "." + std::to_string(frame[31]) + "." +
                             std::to_string(frame[32]) + "." + std::to_string(frame[33]));
        else
            std::copy(frame.begin() + 38, frame.begin() + 54, to.bytes.begin());
        return std::find(setup_.addresses.begin(), setup_.addresses.end(), to) !=
               setup_.addresses.end();
    }
    /// Packets, with the A bit, with the D bit.
    using Counted = std::array<std::uint64_t, 3>;
    std::map<std::uint32_t, Counted> marks() {
        std::map<std::uint32_t, Counted> all;
        if (!has_played_) return all;  // the lab starts with its first frame
        lab_.worker().seen_groups().for_each([&all](const step::SeenGroups::Seen& seen) {
            all[seen.id] = {seen.packets, seen.applied, seen.dont_learn};
        });
        return all;
    }
    void add_hosts(table::Tables& tables) {
        std::vector<table::SegmentNeighbour> list;
        std::vector<std::pair<table::ScopedAddress, std::uint32_t>> hosts;
        for (const auto& [address, mac] : setup_.segment_hosts) {
            hosts.emplace_back(table::ScopedAddress{ip_of(address), segment_}, list.size());
            list.push_back({support::mac(mac), false});
        }
        std::vector<std::pair<std::uint64_t, std::uint32_t>> routers;
        for (const std::string& mac : setup_.routers)
            routers.emplace_back(table::FdbKey::make(support::mac(mac).number(), segment_).raw, 0);
        tables.segment_neighbours = std::make_shared<const table::AddressMap>(hosts);
        tables.known_neighbours = table::Shared{std::move(list)};
        tables.routers = std::make_shared<const table::FlatMap>(routers);
    }
    /// As control joins it.
    void add_group(table::Tables& tables) {
        if (setup_.group.is_unset()) return;
        tables.joined = std::make_shared<const table::AddressMap>(
            std::vector<std::pair<table::ScopedAddress, std::uint32_t>>{
                {{setup_.group, ports_["wire"]}, 0}});
        tables.group_segments = std::make_shared<const table::FlatMap>(
            std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                {table::group_segment_key(0, segment_), 0}});
    }
    /// What control tells a tenant whose frame is too long.
    void tell(const support::PuntedFrame& asked, const std::string& port, Frames& out,
              Facts& facts) {
        std::array<std::byte, control::kIcmpErrorFrame> room{};
        const control::IcmpMade made = control::make_too_big(
            std::as_bytes(std::span(asked.bytes)), static_cast<std::uint16_t>(asked.tunnel), room);
        facts.insert(std::string("we_drop:") + packet::info(asked.if_refused).name.data());
        if (!made) {
            facts.insert("we_tell_nobody");
            return;
        }
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(room.data());
        out[port].emplace_back(bytes, bytes + made.size);
        ++told_;
    }
    support::TunnelId tunnel_to(const net::IpAddress& remote, Setup::Numbers numbers) {
        if (const auto known = tunnels_.find({remote, numbers}); known != tunnels_.end())
            return known->second;
        const std::uint32_t profile = numbers == Setup::Numbers{} ? 1 : 0;
        table::TunnelSpec spec = tunnel_spec(remote, numbers, setup_.options.tos);
        const bool by_tos = std::any_of(setup_.routes.begin(), setup_.routes.end(),
                                        [](const auto& route) { return route.tos != 0; });
        support::TunnelId id = 0;
        if (by_tos && setup_.options.inherit.tos && remote.is_v4()) {
            table::TosWays ways{};
            for (std::size_t i = 0; i < ways.size(); ++i)
                ways[i] =
                    lab_.tunnel(tunnel_spec(remote, numbers,
                                            static_cast<std::uint8_t>(i * table::kRouteTosStep)),
                                0);
            spec.by_tos = true;
            spec.underlay_mtu = 0xFFFF;
            spec.state = table::TunnelState::special;
            id = lab_.tunnel_by_tos(spec, ways, profile);
        } else {
            id = lab_.tunnel(spec, profile);
        }
        return tunnels_[{remote, numbers}] = id;
    }
    /// `tos`: by which routes are chosen.
    table::TunnelSpec tunnel_spec(const net::IpAddress& remote, Setup::Numbers numbers,
                                  std::uint8_t tos) {
        table::TunnelSpec spec = setup_.options;
        spec.local = setup_.local;
        spec.remote = remote;
        const auto& own = setup_.addresses;
        spec.dstport = numbers.port != 0 ? numbers.port : setup_.dstport;
        spec.vni = numbers.vni == setup_.vni ? 0 : numbers.vni;
        spec.out_port = ports_["wire"];
        spec.source_mac = support::mac(topology_.macs.at("under"));
        spec.underlay_mtu = setup_.underlay_mtu;
        const Setup::Route* route = setup_.route_to(remote, tos);
        if (route != nullptr && !route->src.is_unset() && !setup_.local_given)
            spec.local = route->src;
        if (route != nullptr && route->mtu != 0)
            spec.underlay_mtu = std::min(spec.underlay_mtu, route->mtu);
        if (std::find(own.begin(), own.end(), remote) != own.end()) {
            // Without bypass it leaves by the port that has the address, for itself.
            if (setup_.local_bypass) {
                spec.state = table::TunnelState::local;
                spec.underlay_mtu = 0xFFFF;  // there is none
            } else {
                spec.next_hop = spec.source_mac;
            }
        } else if (remote.is_multicast()) {
            spec.next_hop = net::group_mac(remote);
            spec.ttl = setup_.ttl_given ? spec.ttl : std::uint8_t{1};
        } else if (route == nullptr || setup_.local_foreign) {
            spec.state = table::TunnelState::told;
            spec.refusal = packet::DropReason::tunnel_no_route;
        } else if (route->refusal != packet::DropReason::none) {
            spec.state = table::TunnelState::refused;
            spec.refusal = route->refusal;
        } else {
            const auto hop = setup_.neighbours.find(route->via.is_unset() ? remote : route->via);
            if (hop == setup_.neighbours.end())
                spec.state = table::TunnelState::waiting;
            else
                spec.next_hop = support::mac(hop->second);
        }
        return spec;
    }

    Lab lab_{};
    Setup setup_;
    const Topology& topology_;
    bool reassembly_;
    support::SegmentId segment_ = 0;
    std::map<std::string, support::PortId> ports_{};
    std::map<std::pair<net::IpAddress, Setup::Numbers>, support::TunnelId> tunnels_{};
    std::uint32_t mark_ = 0;
    bool has_played_ = false;
    std::size_t told_ = 0;  ///< answers of control among what was sent
};

/// Without what the VTEP's own IP stack sent.
Case without_own_stack(Case one) {
    const auto wire = one.expect.find("wire");
    if (wire == one.expect.end()) return one;
    std::vector<Bytes> frames;
    std::vector<std::string> masks;
    for (std::size_t i = 0; i < wire->second.size(); ++i) {
        if (is_own_stack(wire->second[i])) continue;
        frames.push_back(wire->second[i]);
        if (const auto& named = one.masks["wire"]; i < named.size()) masks.push_back(named[i]);
    }
    wire->second = std::move(frames);
    one.masks["wire"] = std::move(masks);
    return one;
}

/// Without what was delivered to tenants.
Case without_copies(Case one) {
    std::erase_if(one.expect, [](const auto& frames) { return frames.first != "wire"; });
    return one;
}

Case without_df(Case one) {
    one.expect = without_outer_df(std::move(one.expect));
    return one;
}

/// What of the configuration keeps this case from being played; empty: nothing.
std::string obstacle(const Case& one, const Setup& setup) {
    if (!setup.unsupported.empty()) return setup.unsupported;
    if (!one.not_comparable.empty()) return one.not_comparable;
    for (const Injected& injected : one.inject)
        for (const auto& [mac, what] : setup.unsupported_macs)
            if (names(injected.frame, mac)) return what;
    return {};
}

std::string without_id_and_port(const Frames& frames) {
    std::string text;
    for (const auto& [port, all] : frames)
        for (Bytes frame : all) {
            // Identification and header checksum of outer IPv4 change from packet to packet, and
            // the UDP checksum is as good as the source port that it covers.
            if (port == "wire" && frame.size() > 26 && frame[12] == 0x08)
                for (const std::size_t at : {18, 19, 24, 25}) frame[at] = 0;
            text += port + " " + support::hex(frame) + "\n";
        }
    return text;
}

std::vector<std::uint32_t> marks_of(const Frames& delivered, const Scene& scene) {
    return delivered.contains("host") ? std::vector<std::uint32_t>{scene.mark()}
                                      : std::vector<std::uint32_t>{};
}

Result judge(const Case& one, const Recording& recording, const Setup& setup, Scene& scene,
             const std::vector<Rule>& rules) {
    Facts facts = facts_of(one, setup, recording.topology);
    const Frames ours = scene.play(one, Memory::pool, facts);
    std::string what = difference(recording, one, ours, setup);
    if (what.empty() && one.marks && *one.marks != marks_of(ours, scene)) what = "another mark";
    if (what.empty()) {
        what = port_pattern_difference(one, ours, setup);
        if (!what.empty()) facts.insert("only_source_ports_differ");
    } else if (difference(recording, without_own_stack(one), ours, setup).empty()) {
        facts.insert("only_own_stack_differs");
    } else if (difference(recording, without_copies(one), ours, setup).empty()) {
        facts.insert("only_copies_to_tenants_differ");
    } else if (without_inner_ecn(one.expect) == without_inner_ecn(ours)) {
        facts.insert("only_inner_ecn_differs");
    } else if (difference(recording, without_df(one), without_outer_df(ours), setup).empty()) {
        facts.insert("only_outer_df_differs");
    }
    for (const Memory memory : {Memory::exact, Memory::split}) {
        Facts others;
        const Frames again = scene.play(one, memory, others);
        if (without_id_and_port(again) != without_id_and_port(ours))
            return {one.id, Verdict::differs, "depends on how the frame lies in memory"};
        for (const std::string& fact : others)
            if (fact.starts_with("broken_law")) facts.insert(fact);
    }
    return verdict_of(one.id, what, facts, rules);
}

}  // namespace

std::vector<Result> replay(const Recording& recording, const std::vector<Rule>& rules,
                           bool reassembly) {
    std::vector<Result> results;
    std::map<std::string, std::unique_ptr<Scene>> scenes;
    for (const Case& one : recording.cases) {
        const auto config = recording.configs.find(one.config);
        if (config == recording.configs.end()) {
            results.push_back({one.id, Verdict::unsupported, "unknown config " + one.config});
            continue;
        }
        if (is_live(config->second)) continue;
        Setup setup = setup_of(recording.topology, config->second, one.before);
        if (setup.bare && setup.vni == 0) setup.vni = vni_of(one);
        if (std::string what = obstacle(one, setup); !what.empty()) {
            results.push_back({one.id, Verdict::unsupported, std::move(what)});
            continue;
        }
        std::string key = one.config + " " + std::to_string(setup.vni);
        // A mark makes no other scene: there would be more ports than DPDK has.
        for (const std::string& command : one.before)
            if (!command.starts_with("nft ")) key += "\n" + command;
        auto& scene = scenes[key];
        if (!scene) scene = std::make_unique<Scene>(recording.topology, setup, reassembly);
        scene->set_mark(setup.mark);
        results.push_back(judge(one, recording, setup, *scene, rules));
    }
    return results;
}

}  // namespace vxplane::oracle
