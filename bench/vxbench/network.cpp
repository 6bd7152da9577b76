// Fills the tables that control would fill from a topology and from learning.
#include "bench/vxbench/network.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "dataplane/net/flow_hash.hpp"

namespace vxplane::bench {

using table::FdbKey;
using table::FdbKind;
using table::FdbState;
using table::FdbValue;

namespace {

using Pairs = std::vector<std::pair<std::uint64_t, std::uint32_t>>;
using AddressPairs = std::vector<std::pair<table::ScopedAddress, std::uint32_t>>;

std::uint16_t watch_of(Extra extra) {
    switch (extra) {
        case Extra::proxy:
            return table::watch::kProxy;
        case Extra::neigh_learning:
            return table::watch::kSnoop;
        case Extra::mss_clamp:
            return table::watch::kClampMss;
        case Extra::gbp:
            return table::watch::kGroupPolicy;
        case Extra::gpe:
            return table::watch::kGpe;
        default:
            return 0;
    }
}

net::IpAddress address6(std::uint32_t number) {
    net::IpAddress address;
    address.bytes[0] = 0xFD;
    for (unsigned i = 0; i < 4; ++i) {
        address.bytes[12 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    }
    return address;
}

}  // namespace

Network::Network(const Case& which, const Options& options, PortIds ports)
    : case_(which),
      ports_(ports),
      remotes_(which.full ? kFullRemotes : options.remotes),
      vnis_(which.vnis),
      segments_(which.full ? std::max(kFullSegments, which.vnis) : which.vnis),
      destinations_(std::max(which.learning ? which.macs / 2 : which.macs, which.vnis)),
      sources_(which.learning ? std::max(which.macs / 2, which.vnis) : 0) {
    fill_fdb();
    tables_.generation = 1;
    tables_.fdb = fdb_.get();
    fill_segments();
    fill_tunnels();
    fill_ports();
}

Host Network::host(std::uint32_t number) const noexcept {
    // An odd factor maps 40-bit numbers one to one, so no two hosts share an address. The first
    // byte says unicast, locally administered.
    const std::uint64_t low = (number + 1) * 0x9E3779B97F4A7C15ULL & 0xFF'FFFF'FFFFULL;
    return {number, 0x0200'0000'0000ULL | low,
            net::scale(static_cast<std::uint32_t>(net::mix(number, 7)), remotes_)};
}

Host Network::destination(std::uint32_t segment, std::uint32_t random) const noexcept {
    return host(segment + vnis_ * net::scale(random, destinations_ / vnis_));
}

Host Network::source(std::uint32_t segment, std::uint32_t random) const noexcept {
    if (sources_ == 0) {
        return host(0x8000'0000U | random);
    }
    return host(destinations_ + segment + vnis_ * net::scale(random, sources_ / vnis_));
}

net::Ipv4Address Network::local_vtep() noexcept {
    return {net::Be32::of(0x0A000001)};
}
net::Ipv4Address Network::remote_vtep(std::uint32_t remote) noexcept {
    return {net::Be32::of(0x0A010001 + remote)};
}
net::IpAddress Network::local_vtep6() noexcept {
    return address6(1);
}
net::IpAddress Network::remote_vtep6(std::uint32_t remote) noexcept {
    return address6(0x10001 + remote);
}
net::MacAddress Network::underlay_mac() noexcept {
    return net::MacAddress::from_number(0x0600'0000'0001ULL);
}
net::MacAddress Network::next_hop(std::uint32_t remote) noexcept {
    return net::MacAddress::from_number(0x0600'0001'0000ULL + remote % kNextHops);
}

std::uint16_t Network::segment_of(std::uint32_t number) const noexcept {
    if (number < destinations_) {
        return static_cast<std::uint16_t>(number % vnis_);
    }
    if (number < entries()) {
        return static_cast<std::uint16_t>((number - destinations_) % vnis_);
    }
    // What packets do not use is in other segments, if there are any.
    const std::uint32_t others = segments_ - vnis_;
    return static_cast<std::uint16_t>(others == 0 ? number % vnis_ : vnis_ + number % others);
}

std::uint16_t Network::exit_of(std::uint32_t segment) const noexcept {
    return static_cast<std::uint16_t>(kFirstTenant +
                                      (case_.extra == Extra::trunk ? segment / kOnTrunk : segment));
}

void Network::fill_fdb() {
    const std::uint32_t all = case_.full ? std::max(kFullEntries, entries()) : entries();
    fdb_ = std::make_unique<table::Fdb>(all);
    const bool encap = case_.direction == Direction::encap;
    std::uint32_t refused = 0;
    for (std::uint32_t i = 0; i < all; ++i) {
        const Host one = host(i);
        const bool is_destination = i < destinations_ || i >= entries();
        const std::uint16_t segment = segment_of(i);
        const bool is_remote = is_destination == encap;
        const std::uint32_t local_port = encap ? ports_.access : exit_of(segment);
        const auto value = is_remote
                               ? FdbValue::make(FdbKind::tunnel, one.remote, FdbState::dynamic, 0)
                               : FdbValue::make(FdbKind::port, local_port, FdbState::dynamic, 0);
        if (fdb_->put(FdbKey::make(one.mac, segment), value) != table::Fdb::Put::inserted) {
            ++refused;
        }
    }
    if (refused != 0) {
        std::fprintf(stderr, "vxbench: the FDB refused %u of %u entries\n", refused, all);
        std::exit(1);
    }
}

void Network::fill_segments() {
    const bool over_ipv6 = case_.over_ipv6();
    std::vector<table::Segment> segments(segments_);
    std::vector<std::uint16_t> members(segments_);
    Pairs vnis;
    for (std::uint32_t i = 0; i < segments_; ++i) {
        table::Segment& segment = segments[i];
        segment.vni = vni(i);
        segment.vni_word = net::VxlanHeader::of(segment.vni).vni_reserved.wire();
        segment.own_mac = 0x0600'0002'0000ULL + i;
        segment.flood_remotes = case_.full ? 1 : 0;
        segment.local_begin = i;
        segment.local_count = 1;
        segment.max_frame = kInsideMtu + sizeof(net::EthernetHeader);
        segment.learning = case_.learning;
        segment.watch = watch_of(case_.extra);
        segment.guard = case_.extra == Extra::peers ? 1 : 0;
        segment.udp6_zero_rx = case_.extra == Extra::ipv6_zero;
        segment.in_use = true;
        members[i] = exit_of(i);
        vnis.emplace_back(table::vni_key(kDstport, segment.vni, over_ipv6),
                          table::vni_value(segment, static_cast<std::uint16_t>(i)));
    }
    tables_.segments = table::Shared{std::move(segments)};
    tables_.members = table::Shared{std::move(members)};
    tables_.vnis = std::make_shared<table::FlatMap>(vnis);
    tables_.dstports =
        std::make_shared<table::FlatMap>(Pairs{{table::dstport_key(kDstport, over_ipv6), 0}});
    if (case_.extra == Extra::peers) {
        table::Guard guard;
        guard.listed = true;
        tables_.guards = table::Shared{std::vector{table::Guard{}, guard}};
        AddressPairs allowed;
        for (std::uint32_t remote = 0; remote < remotes_; ++remote) {
            allowed.push_back({{remote_vtep(remote), 1}, 0});
        }
        tables_.allowed_peers = std::make_shared<table::AddressMap>(allowed);
    }
    if (case_.extra == Extra::trunk) {
        std::vector<std::uint16_t> vids(segments_);
        std::vector<std::uint16_t> trunks(
            std::size_t{(segments_ - 1) / kOnTrunk + 1} * table::kVids, table::kNoSegment);
        for (std::uint32_t i = 0; i < segments_; ++i) {
            vids[i] = vid(i);
            trunks[i / kOnTrunk * table::kVids + vids[i]] = static_cast<std::uint16_t>(i);
        }
        tables_.vids = table::Shared{std::move(vids)};
        tables_.trunks = table::Shared{std::move(trunks)};
    }
}

void Network::fill_tunnels() {
    std::vector<table::Tunnel> tunnels;
    std::vector<table::Tunnel6> tunnels6;
    std::vector<std::uint32_t> flooded;
    Pairs peers;
    AddressPairs peers6;
    for (std::uint32_t remote = 0; remote < remotes_; ++remote) {
        table::TunnelSpec spec;
        spec.local = local_vtep();
        spec.remote = remote_vtep(remote);
        spec.dstport = kDstport;
        spec.out_port = ports_.underlay;
        spec.source_mac = underlay_mac();
        spec.next_hop = next_hop(remote);
        spec.udp_checksum = case_.udp_checksum();
        spec.clamp_mss = case_.extra == Extra::mss_clamp;
        spec.group_policy = case_.extra == Extra::gbp;
        spec.gpe = case_.extra == Extra::gpe;
        if (case_.over_ipv6()) {
            spec.local = local_vtep6();
            spec.remote = remote_vtep6(remote);
            tunnels6.push_back(table::make_tunnel6(spec));
            peers6.push_back({{remote_vtep6(remote), 0}, remote});
        } else {
            peers.emplace_back(table::peer_key(0, remote_vtep(remote)), remote);
        }
        tunnels.push_back(table::make_tunnel(spec));
        if (case_.over_ipv6()) {
            tunnels.back().set_line6(remote);
        }
        flooded.push_back(remote);
    }
    // List 1 is that of a full network.
    tables_.flood_lists = table::Shared{std::vector<table::RemoteList>{{0, 0}, {0, remotes_}}};
    tables_.remotes = table::Shared{std::move(flooded)};
    tables_.groups = table::Shared{std::vector<table::RemoteList>(1)};
    tables_.group_slots = table::Shared{std::vector<table::RemoteList>(1)};
    tables_.tunnels = table::Shared{std::move(tunnels)};
    tables_.peers = std::make_shared<table::FlatMap>(peers);
    tables_.addresses =
        std::make_shared<table::FlatMap>(Pairs{{local_vtep().be.wire(), ports_.underlay}});
    if (case_.over_ipv6()) {
        tables_.tunnels6 = table::Shared{std::move(tunnels6)};
        tables_.peers6 = std::make_shared<table::AddressMap>(peers6);
        tables_.addresses6 = std::make_shared<table::AddressMap>(
            AddressPairs{{{local_vtep6(), 0}, ports_.underlay}});
    }
}

void Network::fill_ports() {
    const bool encap = case_.direction == Direction::encap;
    const bool trunk = case_.extra == Extra::trunk;
    std::vector<table::PortEntry> ports(encap ? kFirstTenant : exit_of(segments_ - 1) + 1U);
    for (std::uint32_t i = 0; i < ports.size(); ++i) {
        table::PortEntry& port = ports[i];
        port.role = i == ports_.underlay ? table::PortRole::underlay : table::PortRole::access;
        port.learning = case_.learning;
        port.max_frame = 1514;
        if (port.role == table::PortRole::underlay) {
            port.mac = underlay_mac().number();
            continue;
        }
        const auto number = static_cast<std::uint16_t>(i < kFirstTenant ? 0 : i - kFirstTenant);
        (trunk ? port.trunk : port.segment) = number;
        if (case_.extra == Extra::gbp) {
            port.policy = net::GroupPolicy::of(kGroup);
        }
        port.plain_frame =
            trunk ? std::uint16_t{0} : table::plain_frame_of(port, tables_.segments[number]);
    }
    access_ = &ports[ports_.access];
    tables_.ports = table::Shared{std::move(ports)};
}

}  // namespace vxplane::bench
