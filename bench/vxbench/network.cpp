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

Network::Network(const Case& which, const Options& options, PortIds ports)
    : case_(which),
      ports_(ports),
      remotes_(options.remotes),
      vnis_(which.vnis),
      destinations_(std::max(which.learning ? which.macs / 2 : which.macs, which.vnis)),
      sources_(which.learning ? std::max(which.macs / 2, which.vnis) : 0) {
    fill_fdb();
    fill_tables();
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
net::MacAddress Network::underlay_mac() noexcept {
    return net::MacAddress::from_number(0x0600'0000'0001ULL);
}
net::MacAddress Network::next_hop(std::uint32_t remote) noexcept {
    return net::MacAddress::from_number(0x0600'0001'0000ULL + remote);
}

void Network::fill_fdb() {
    fdb_ = std::make_unique<table::Fdb>(entries());
    const bool encap = case_.direction == Direction::encap;
    std::uint32_t refused = 0;
    for (std::uint32_t i = 0; i < entries(); ++i) {
        const Host one = host(i);
        const bool is_destination = i < destinations_;
        const auto segment =
            static_cast<std::uint16_t>((is_destination ? i : i - destinations_) % vnis_);
        const bool is_remote = is_destination == encap;
        const std::uint32_t local_port = encap ? ports_.access : kFirstTenant + segment;
        const auto value = is_remote
                               ? FdbValue::make(FdbKind::tunnel, one.remote, FdbState::dynamic, 0)
                               : FdbValue::make(FdbKind::port, local_port, FdbState::dynamic, 0);
        if (fdb_->put(FdbKey::make(one.mac, segment), value) != table::Fdb::Put::inserted) {
            ++refused;
        }
    }
    if (refused != 0) {
        std::fprintf(stderr, "vxbench: the FDB refused %u of %u entries\n", refused, entries());
        std::exit(1);
    }
}

void Network::fill_tables() {
    table::Tables base;
    base.generation = 1;
    base.fdb = fdb_.get();

    std::vector<table::Segment> segments(vnis_);
    std::vector<std::uint16_t> members(vnis_);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> vni_pairs;
    for (std::uint32_t i = 0; i < vnis_; ++i) {
        table::Segment& segment = segments[i];
        segment.vni = vni(i);
        segment.vni_word = net::VxlanHeader::of(segment.vni).vni_reserved.wire();
        segment.own_mac = 0x0600'0002'0000ULL + i;
        segment.local_begin = i;
        segment.local_count = 1;
        segment.max_frame = kInsideMtu + sizeof(net::EthernetHeader);
        segment.learning = case_.learning;
        segment.in_use = true;
        members[i] = static_cast<std::uint16_t>(kFirstTenant + i);
        vni_pairs.emplace_back(table::vni_key(kDstport, segment.vni), i);
    }
    std::vector<table::Tunnel> tunnels;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> peers;
    for (std::uint32_t remote = 0; remote < remotes_; ++remote) {
        table::TunnelSpec spec;
        spec.local = local_vtep();
        spec.remote = remote_vtep(remote);
        spec.dstport = kDstport;
        spec.out_port = ports_.underlay;
        spec.source_mac = underlay_mac();
        spec.next_hop = next_hop(remote);
        tunnels.push_back(table::make_tunnel(spec));
        peers.emplace_back(table::peer_key(0, remote_vtep(remote)), remote);
    }
    base.segments = table::Shared{std::move(segments)};
    base.tunnels = table::Shared{std::move(tunnels)};
    base.flood_lists = table::Shared{std::vector<table::RemoteList>(1)};
    base.groups = table::Shared{std::vector<table::RemoteList>(1)};
    base.remotes = table::Shared{std::vector<std::uint32_t>(1)};
    base.members = table::Shared{std::move(members)};
    base.vnis = std::make_shared<table::FlatMap>(vni_pairs);
    base.peers = std::make_shared<table::FlatMap>(peers);
    using Pairs = std::vector<std::pair<std::uint64_t, std::uint32_t>>;
    base.addresses =
        std::make_shared<table::FlatMap>(Pairs{{local_vtep().be.wire(), ports_.underlay}});
    base.dstports = std::make_shared<table::FlatMap>(Pairs{{kDstport, 0}});

    const bool encap = case_.direction == Direction::encap;
    std::vector<table::PortEntry> ports(encap ? kFirstTenant : kFirstTenant + vnis_);
    for (std::uint32_t i = 0; i < ports.size(); ++i) {
        table::PortEntry& port = ports[i];
        port.role = i == ports_.underlay ? table::PortRole::underlay : table::PortRole::access;
        port.learning = case_.learning;
        port.max_frame = 1514;
        if (port.role == table::PortRole::access) {
            port.segment = static_cast<std::uint16_t>(i < kFirstTenant ? 0 : i - kFirstTenant);
        } else {
            port.mac = underlay_mac().number();
        }
    }
    access_ = &ports[ports_.access];
    base.ports = table::Shared{std::move(ports)};
    tables_ = std::move(base);
}

}  // namespace vxplane::bench
