// A burst of frames in the first-level cache and the tables for them, for what measures steps
// alone. Needs no EAL: buffers are plain memory.
#pragma once

#include <rte_ip.h>

#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "dataplane/net/checksum.hpp"
#include "dataplane/packet/packet.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::bench {

constexpr std::uint32_t kPackets = 64;
constexpr std::uint16_t kHeadroom = 128;
constexpr std::uint32_t kInner = 64;
constexpr std::uint16_t kPort = 4789;
constexpr std::uint64_t kOurMac = 0x0600'0000'0001ULL;
constexpr net::Ipv4Address kLocal = net::Ipv4Address::of(10, 0, 0, 1);
constexpr net::Ipv4Address kRemote = net::Ipv4Address::of(10, 0, 0, 2);
constexpr net::Vni kVni{1000};

/// Buffers as a driver would hand them over: one piece, nobody else's.
class Buffers {
  public:
    explicit Buffers(std::uint32_t inner = kInner)
        : inner_(inner), mbufs_(kPackets), lines_(std::size_t{kPackets} * lines_each()) {
        std::mt19937_64 random{4};
        for (std::uint32_t i = 0; i < kPackets; ++i) {
            auto* ethernet = reinterpret_cast<net::EthernetHeader*>(room(i) + kInnerAt);
            ethernet->destination =
                net::MacAddress::from_number(0x0200'0000'0000ULL | (random() & 0xFFFF'FFFFU));
            ethernet->source =
                net::MacAddress::from_number(0x0200'0000'0000ULL | (random() & 0xFFFF'FFFFU));
            ethernet->type = net::ether_type::kIpv4;
            auto* ip = reinterpret_cast<net::Ipv4Header*>(ethernet + 1);
            ip->version_ihl = 0x45;
            ip->total_length = net::Be16::of(static_cast<std::uint16_t>(inner - sizeof *ethernet));
            ip->protocol = net::ip_protocol::kUdp;
            ip->source = net::Ipv4Address::of(static_cast<std::uint32_t>(random()));
            ip->destination = net::Ipv4Address::of(static_cast<std::uint32_t>(random()));
            auto* udp = reinterpret_cast<net::UdpHeader*>(ip + 1);
            udp->source = net::Be16::of(static_cast<std::uint16_t>(random()));
            udp->destination = net::Be16::of(static_cast<std::uint16_t>(random()));
            udp->length =
                net::Be16::of(static_cast<std::uint16_t>(inner - sizeof *ethernet - sizeof *ip));
            udp->checksum = net::Be16::of(1);
        }
    }
    [[nodiscard]] rte_mbuf* operator[](std::uint32_t i) noexcept { return &mbufs_[i]; }
    /// The frames are inner frames again.
    void make_inner() { reset(kInnerAt, inner_); }
    /// The frames are tunnel packets; their outer headers must have been written.
    void make_outer() { reset(kHeadroom, inner_ + net::kVxlanIpv4Overhead); }

  private:
    static constexpr std::uint16_t kInnerAt = kHeadroom + net::kVxlanIpv4Overhead;
    struct alignas(64) Line {
        std::byte bytes[64];
    };

    [[nodiscard]] std::uint16_t room_bytes() const noexcept {
        return static_cast<std::uint16_t>((kInnerAt + inner_ + 78) / 64 * 64);
    }
    [[nodiscard]] std::size_t lines_each() const noexcept { return room_bytes() / sizeof(Line); }
    [[nodiscard]] std::byte* room(std::uint32_t i) noexcept {
        return lines_[i * lines_each()].bytes;
    }

    void reset(std::uint16_t at, std::uint32_t size) {
        for (std::uint32_t i = 0; i < kPackets; ++i) {
            rte_mbuf& mbuf = mbufs_[i];
            mbuf.buf_addr = room(i);
            mbuf.buf_len = room_bytes();
            mbuf.data_off = at;
            mbuf.data_len = static_cast<std::uint16_t>(size);
            mbuf.pkt_len = size;
            mbuf.nb_segs = 1;
            mbuf.next = nullptr;
            mbuf.refcnt = 1;
            mbuf.ol_flags = 0;
        }
    }

    std::uint32_t inner_;
    std::vector<rte_mbuf> mbufs_;
    std::vector<Line> lines_;
};

using Pairs = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

inline table::Tables tables_with(bool udp_checksum) {
    table::Tables tables;
    std::vector<table::PortEntry> ports(2);
    ports[0].role = table::PortRole::access;
    ports[0].segment = 0;
    ports[0].trusted_sums = packet::kAllRxSums;
    ports[1].role = table::PortRole::underlay;
    ports[1].mac = kOurMac;
    tables.ports = table::Shared{std::move(ports)};
    std::vector<table::Segment> segments(1);
    segments[0].vni = kVni;
    segments[0].vni_word = net::VxlanHeader::of(kVni).vni_reserved.wire();
    segments[0].own_mac = 0x0600'0002'0000ULL;
    tables.segments = table::Shared{std::move(segments)};
    table::TunnelSpec spec;
    spec.local = kLocal;
    spec.remote = kRemote;
    spec.udp_checksum = udp_checksum;
    spec.out_port = 1;
    tables.tunnels = table::Shared{std::vector{table::make_tunnel(spec)}};
    tables.vnis = std::make_shared<table::FlatMap>(Pairs{{table::vni_key(kPort, kVni), 0}});
    tables.addresses = std::make_shared<table::FlatMap>(Pairs{{kLocal.be.wire(), 1}});
    tables.dstports = std::make_shared<table::FlatMap>(Pairs{{kPort, 0}});
    return tables;
}

/// One burst in a cache of its own, as a worker has it.
struct Scene {
    explicit Scene(bool udp_checksum, std::uint32_t inner = kInner)
        : tables(tables_with(udp_checksum)), buffers(inner) {
        context->tables = &tables;
    }
    void begin(std::uint16_t in_port) {
        for (auto& one : meta) {
            one = {};
            one.in_port = in_port;
            one.out_port = table::kNoPort;
            one.vni_word = tables.segments[0].vni_word;
        }
    }
    /// Runs steps over all packets. False when one of them did not go on.
    template <class... Steps>
    bool run() {
        bool all = true;
        for (std::uint32_t i = 0; i < kPackets; ++i) {
            packet::Packet p(buffers[i]);
            packet::Verdict verdict = packet::Verdict::go_on();
            const auto pass = [&]<class Step>() {
                verdict = step::step_for<Step>(*context, meta[i].in_port)(p, meta[i], *context);
                return verdict.goes_on();
            };
            static_cast<void>((pass.template operator()<Steps>() && ...));
            all = all && verdict.goes_on();
        }
        return all;
    }

    table::Tables tables;
    std::unique_ptr<step::Context> context = std::make_unique<step::Context>();
    Buffers buffers;
    std::vector<packet::PacketMeta> meta = std::vector<packet::PacketMeta>(kPackets);
};

/// Writes outer headers of packets to us.
inline void write_outer(Scene& scene) {
    for (std::uint32_t i = 0; i < kPackets; ++i) {
        const packet::Packet p(scene.buffers[i]);
        *p.at<net::EthernetHeader>(0) = {net::MacAddress::from_number(kOurMac),
                                         net::MacAddress::from_number(0x0600'0001'0000ULL),
                                         net::ether_type::kIpv4};
        auto* ip = p.at<net::Ipv4Header>(sizeof(net::EthernetHeader));
        *ip = {};
        ip->version_ihl = 0x45;
        ip->total_length = net::Be16::of(p.length() - sizeof(net::EthernetHeader));
        ip->ttl = 64;
        ip->protocol = net::ip_protocol::kUdp;
        ip->source = kRemote;
        ip->destination = kLocal;
        ip->checksum = net::ipv4_checksum(*ip);
        auto* udp = reinterpret_cast<net::UdpHeader*>(ip + 1);
        udp->source = net::Be16::of(50000);
        udp->destination = net::Be16::of(kPort);
        udp->length = net::Be16::of(ip->total_length.value() - sizeof *ip);
        udp->checksum = {};
        *reinterpret_cast<net::VxlanHeader*>(udp + 1) = net::VxlanHeader::of(kVni);
    }
}

}  // namespace vxplane::bench
