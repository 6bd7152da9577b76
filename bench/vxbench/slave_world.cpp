// Fills what control would fill, and writes frames by DPDK's own functions.
#include "bench/vxbench/slave_world.hpp"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <cstring>

#include "bench/vxbench/rig.hpp"

namespace vxplane::bench {
namespace {

constexpr std::uint32_t kMaster = 0x0A000001;   // 10.0.0.1
constexpr std::uint32_t kSlaves = 0x0A400000;   // 10.64.0.0
constexpr std::uint32_t kRemotes = 0x20000000;  // 32.0.0.0
constexpr std::uint16_t kRemotePort = 5001;
constexpr std::uint16_t kFirstPort = 10'000;  // above those of VXLAN
constexpr std::uint32_t kPorts = 50'000;
constexpr std::uint32_t kFrame = 64;

net::MacAddress gateway_mac() {
    return Network::next_hop(0);
}
std::uint32_t address_of(std::uint32_t slave) {
    return kSlaves + slave + 1;
}

}  // namespace

std::string SlaveCase::text() const {
    constexpr std::array<const char*, 4> kWays{"slave to wire", "wire to slave", "slave to slave",
                                               "slave to vxlan"};
    return kWays[static_cast<std::size_t>(way)];
}

SlaveWorld::SlaveWorld(const SlaveCase& which, PortIds ports) : case_(which) {
    fdb_ = std::make_unique<table::Fdb>(64);
    empty_ = std::make_unique<table::RouteTable>(1);
    main_ = std::make_unique<table::RouteTable>(16);
    own_ = std::make_unique<table::RouteTable>(which.routes + 1);
    fill_routes(ports);
    if (which.connections != 0) {
        conntrack_ = std::make_unique<table::Conntrack>(which.connections + 1024);
        fill_connections();
    }
    fill_tables(ports);
}

void SlaveWorld::fill_routes(PortIds ports) {
    hops_.resize(1);
    table::NextHop gateway;
    gateway.kind = table::NextHopKind::gateway;
    gateway.port = ports.underlay;
    gateway.max_frame = 1514;
    gateway.neighbour = 0;
    gateway.via = net::Ipv4Address::of(0x0A0000FE);
    hops_.push_back(gateway);
    table::NextHop segment;
    segment.kind = table::NextHopKind::vxlan;
    segment.max_frame = 1464;
    segment.inner_destination = net::MacAddress::from_number(0x0600'0003'0001ULL);
    segment.inner_source = net::MacAddress::from_number(0x0600'0002'0000ULL);
    hops_.push_back(segment);
    const table::RouteValue value(table::RouteType::unicast,
                                  case_.way == SlaveWay::to_segment ? 2 : 1);
    const auto add = [&](std::uint32_t prefix, std::uint8_t length) {
        const net::IpAddress address = net::Ipv4Address::of(prefix);
        if (!own_->v4.add(address.bytes.data() + 12, length, value.raw())) {
            give_up("the routing table is full");
        }
    };
    if (case_.routes == 1) {
        add(0, 0);
        return;
    }
    for (std::uint32_t i = 0; i < case_.routes; ++i) {
        add(kRemotes + i * 256, 24);
    }
}

SlaveWorld::Flow SlaveWorld::connection(std::uint32_t number) const noexcept {
    // Different for each number, also when all leave with one address.
    return {number % case_.slaves,
            kRemotes + (number / kPorts % case_.routes) * 256 + 1 + number / kPorts / case_.routes,
            static_cast<std::uint16_t>(kFirstPort + number % kPorts)};
}

SlaveWorld::Flow SlaveWorld::flow(std::uint32_t slave, std::uint32_t random) const noexcept {
    if (case_.connections != 0) {
        const std::uint32_t turns = std::max(case_.connections / case_.slaves, 1U);
        const std::uint32_t number = net::scale(random, turns) * case_.slaves + slave;
        return connection(number % case_.connections);
    }
    return {slave, kRemotes + net::scale(random, case_.routes) * 256 + 1 + (random & 0x7FU),
            static_cast<std::uint16_t>(kFirstPort + (random & 0x3FFFU))};
}

void SlaveWorld::fill_connections() {
    for (std::uint32_t i = 0; i < case_.connections; ++i) {
        const Flow one = connection(i);
        table::NewConnection fresh;
        fresh.original.source = net::Ipv4Address::of(address_of(one.slave));
        fresh.original.destination = net::Ipv4Address::of(one.remote);
        fresh.original.source_port = net::Be16::of(one.slave_port);
        fresh.original.destination_port = net::Be16::of(kRemotePort);
        fresh.original.protocol = net::ip_protocol::kUdp;
        fresh.original_slave = static_cast<std::uint16_t>(one.slave);
        fresh.reply = table::inverse(fresh.original, 0);
        if (case_.nat) {
            fresh.reply.destination = net::Ipv4Address::of(kMaster);
            fresh.flags |= table::Connection::kSourceNat;
        }
        if (case_.tcp) {
            fresh.original.protocol = fresh.reply.protocol = net::ip_protocol::kTcp;
        }
        using Tcp = net::TcpHeader;
        const std::uint8_t opens = case_.tcp ? Tcp::kSyn : std::uint8_t{0};
        const table::ConnRef ref = conntrack_->add(fresh, {kFrame, opens, 0, 0}, 0);
        if (!ref) {
            give_up("connection " + std::to_string(i) + " was refused");
        }
        if (case_.tcp) {
            const table::ConnRef answer(ref.place(), table::Direction::reply);
            conntrack_->note(answer, {kFrame, Tcp::kSyn | Tcp::kAck, 0, 1}, 0);
            conntrack_->note(ref, {kFrame, Tcp::kAck, 1, 1}, 0);
        }
    }
}

void SlaveWorld::fill_tables(PortIds ports) {
    table::Tables& t = tables_;
    t.generation = 1;
    t.fdb = fdb_.get();
    table::Segment segment;
    segment.vni = Network::vni(0);
    segment.vni_word = net::VxlanHeader::of(segment.vni).vni_reserved.wire();
    segment.own_mac = 0x0600'0002'0000ULL;
    segment.max_frame = 1464;
    segment.in_use = true;
    t.segments = table::Shared{std::vector{segment}};
    table::TunnelSpec spec;
    spec.local = Network::local_vtep();
    spec.remote = Network::remote_vtep(0);
    spec.out_port = ports.underlay;
    spec.source_mac = Network::underlay_mac();
    spec.next_hop = gateway_mac();
    t.tunnels = table::Shared{std::vector{table::make_tunnel(spec)}};
    t.flood_lists = table::Shared{std::vector<table::RemoteList>(1)};
    t.groups = table::Shared{std::vector<table::RemoteList>(1)};
    t.group_slots = table::Shared{std::vector<table::RemoteList>(1)};
    t.remotes = table::Shared{std::vector<std::uint32_t>(1)};
    t.members = table::Shared{std::vector<std::uint16_t>(1)};
    t.vnis = std::make_shared<table::FlatMap>();
    t.peers = std::make_shared<table::FlatMap>();
    using Pairs = std::vector<std::pair<std::uint64_t, std::uint32_t>>;
    t.addresses = std::make_shared<table::FlatMap>(
        Pairs{{net::Ipv4Address::of(kMaster).be.wire(), ports.underlay}});
    t.dstports = std::make_shared<table::FlatMap>(Pairs{{Network::kDstport, 0}});

    table::Master master;
    master.port = ports.underlay;
    master.mac = Network::underlay_mac().number();
    master.routes = 1;
    master.slave_count = case_.slaves;
    master.address4 = net::Ipv4Address::of(kMaster);
    master.conntrack = conntrack_.get();
    master.hooked = conntrack_ != nullptr;
    std::vector<table::Slave> slaves(case_.slaves);
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> addresses;
    std::vector<std::uint16_t> list;
    for (std::uint32_t i = 0; i < case_.slaves; ++i) {
        slaves[i].port = ports.access;
        slaves[i].master = 0;
        slaves[i].routes = 2;
        addresses.push_back({{net::Ipv4Address::of(address_of(i)), table::slave_scope(0, 0)}, i});
        list.push_back(static_cast<std::uint16_t>(i));
    }
    t.masters = table::Shared{std::vector{master}};
    table::set_slaves(t, std::move(slaves));
    t.slave_list = table::Shared{std::move(list)};
    t.slave_addresses = std::make_shared<table::AddressMap>(addresses);
    t.route_tables =
        table::Shared{std::vector<const table::RouteTable*>{empty_.get(), main_.get(), own_.get()}};
    t.next_hops = table::Shared{hops_};
    t.next_hop_slots = table::Shared{std::vector<std::uint32_t>(1)};
    t.neighbours =
        table::Shared{std::vector<table::Neighbour>{{gateway_mac(), ports.underlay, true}}};
    t.neighbour_addresses = std::make_shared<table::AddressMap>();
    t.hook_sets = table::Shared{std::vector<table::HookSet>(1)};

    std::vector<table::PortEntry> entries(std::size_t{std::max(ports.access, ports.underlay)} + 1);
    table::PortEntry& underlay = entries[ports.underlay];
    underlay.role = table::PortRole::underlay;
    underlay.mac = Network::underlay_mac().number();
    underlay.master = 0;
    table::PortEntry& access = entries[ports.access];
    access.role = table::PortRole::slave;
    access.slave = 0;
    access.mac = underlay.mac;
    access_ = &access;
    t.ports = table::Shared{std::move(entries)};
}

void SlaveWorld::write(rte_mbuf* mbuf, std::uint32_t slave, std::uint32_t random) const {
    const Flow one = flow(slave, random);
    const bool outward = case_.way != SlaveWay::from_wire;
    std::uint32_t source = address_of(one.slave);
    std::uint32_t destination = one.remote;
    if (case_.way == SlaveWay::to_sibling) {
        destination = address_of(net::scale(random, case_.slaves));
    }
    std::uint16_t source_port = one.slave_port;
    std::uint16_t destination_port = kRemotePort;
    if (!outward) {
        std::swap(source, destination);
        std::swap(source_port, destination_port);
        destination = case_.nat ? kMaster : destination;
    }
    auto* frame = rte_pktmbuf_mtod(mbuf, char*);
    std::memset(frame, 0, kFrame);
    auto* ethernet = reinterpret_cast<rte_ether_hdr*>(frame);
    const net::MacAddress own = Network::underlay_mac();
    std::memcpy(ethernet->dst_addr.addr_bytes, own.bytes.data(), own.bytes.size());
    const net::MacAddress from = outward ? own : gateway_mac();
    std::memcpy(ethernet->src_addr.addr_bytes, from.bytes.data(), from.bytes.size());
    ethernet->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(ethernet + 1);
    ip->version_ihl = 0x45;
    ip->total_length = rte_cpu_to_be_16(kFrame - sizeof *ethernet);
    ip->time_to_live = 64;
    ip->next_proto_id = case_.tcp ? IPPROTO_TCP : IPPROTO_UDP;
    ip->src_addr = rte_cpu_to_be_32(source);
    ip->dst_addr = rte_cpu_to_be_32(destination);
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    if (case_.tcp) {
        auto* tcp = reinterpret_cast<rte_tcp_hdr*>(ip + 1);
        tcp->src_port = rte_cpu_to_be_16(source_port);
        tcp->dst_port = rte_cpu_to_be_16(destination_port);
        tcp->data_off = sizeof *tcp / 4 << 4;
        tcp->tcp_flags = RTE_TCP_ACK_FLAG;
    } else {
        auto* udp = reinterpret_cast<rte_udp_hdr*>(ip + 1);
        udp->src_port = rte_cpu_to_be_16(source_port);
        udp->dst_port = rte_cpu_to_be_16(destination_port);
        udp->dgram_len = rte_cpu_to_be_16(kFrame - sizeof *ethernet - sizeof *ip);
    }
    mbuf->data_len = kFrame;
    mbuf->pkt_len = kFrame;
}

std::string SlaveWorld::check(const rte_mbuf* mbuf) const {
    const auto* ethernet = rte_pktmbuf_mtod(mbuf, const rte_ether_hdr*);
    const auto* ip = reinterpret_cast<const rte_ipv4_hdr*>(ethernet + 1);
    const bool routed = case_.way == SlaveWay::to_wire || case_.way == SlaveWay::to_segment;
    const net::MacAddress to = routed ? gateway_mac() : Network::underlay_mac();
    if (std::memcmp(ethernet->dst_addr.addr_bytes, to.bytes.data(), to.bytes.size()) != 0) {
        return "destination MAC address";
    }
    rte_ipv4_hdr copy = *ip;
    copy.hdr_checksum = 0;
    if (rte_ipv4_cksum(&copy) != ip->hdr_checksum) {
        return "IPv4 checksum";
    }
    if (case_.way == SlaveWay::to_segment) {
        return ip->dst_addr == Network::remote_vtep(0).be.wire() ? "" : "remote VTEP";
    }
    const std::uint32_t source = rte_be_to_cpu_32(ip->src_addr);
    if (case_.way == SlaveWay::to_wire && (source == kMaster) != case_.nat) {
        return "translated source";
    }
    return "";
}

}  // namespace vxplane::bench
