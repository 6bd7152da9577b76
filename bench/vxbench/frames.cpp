// Writes and checks frames. Checksums are computed and compared by DPDK's functions, not by those
// of the data plane that is being measured.
#include "bench/vxbench/frames.hpp"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include <algorithm>
#include <cstring>

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/packet.hpp"

namespace vxplane::bench {
namespace {

constexpr std::uint32_t kUdpAndVxlan = sizeof(rte_udp_hdr) + sizeof(rte_vxlan_hdr);

void set_mac(rte_ether_addr& to, net::MacAddress mac) {
    std::memcpy(to.addr_bytes, mac.bytes.data(), sizeof to.addr_bytes);
}

bool is_mac(const rte_ether_addr& field, net::MacAddress mac) {
    return std::memcmp(field.addr_bytes, mac.bytes.data(), sizeof field.addr_bytes) == 0;
}

void set_ipv4(rte_ipv4_hdr& ip, std::uint32_t source, std::uint32_t destination,
              std::size_t length) {
    ip = {};
    ip.version_ihl = 0x45;
    ip.total_length = rte_cpu_to_be_16(static_cast<std::uint16_t>(length));
    ip.time_to_live = 64;
    ip.next_proto_id = IPPROTO_UDP;
    ip.src_addr = source;
    ip.dst_addr = destination;
    ip.hdr_checksum = rte_ipv4_cksum(&ip);
}

void set_udp(rte_udp_hdr& udp, std::uint16_t source, std::uint16_t destination,
             std::size_t length) {
    udp = {};
    udp.src_port = rte_cpu_to_be_16(source);
    udp.dst_port = rte_cpu_to_be_16(destination);
    udp.dgram_len = rte_cpu_to_be_16(static_cast<std::uint16_t>(length));
}

void set_ipv6(rte_ipv6_hdr& ip, const net::IpAddress& source, const net::IpAddress& destination,
              std::size_t length) {
    ip = {};
    ip.vtc_flow = rte_cpu_to_be_32(6U << 28);
    ip.payload_len = rte_cpu_to_be_16(static_cast<std::uint16_t>(length));
    ip.proto = IPPROTO_UDP;
    ip.hop_limits = 64;
    std::memcpy(ip.src_addr, source.bytes.data(), sizeof ip.src_addr);
    std::memcpy(ip.dst_addr, destination.bytes.data(), sizeof ip.dst_addr);
}

/// Of a whole UDP message behind an IP header, the checksum in it included: 0xFFFF when that is
/// right.
std::uint16_t sum_of(const char* ip, const rte_udp_hdr& udp) {
    const bool v6 = (static_cast<unsigned char>(*ip) >> 4U) == 6;
    std::uint32_t sum = rte_raw_cksum(&udp, rte_be_to_cpu_16(udp.dgram_len));
    sum += v6 ? rte_ipv6_phdr_cksum(reinterpret_cast<const rte_ipv6_hdr*>(ip), 0)
              : rte_ipv4_phdr_cksum(reinterpret_cast<const rte_ipv4_hdr*>(ip), 0);
    return static_cast<std::uint16_t>((sum >> 16) + (sum & 0xFFFFU));
}

char payload_byte(std::uint32_t number, std::uint32_t offset) {
    return static_cast<char>(number * 31 + offset);
}

}  // namespace

Frames::Frames(const Case& which, const Network& network, const Options& options)
    : case_(which),
      network_(network),
      vnis_per_burst_(options.vnis_per_burst),
      ip_size_(which.over_ipv6() ? sizeof(rte_ipv6_hdr) : sizeof(rte_ipv4_hdr)),
      overhead_(sizeof(rte_ether_hdr) + ip_size_ + kUdpAndVxlan),
      tag_(which.extra == Extra::trunk ? sizeof(rte_vlan_hdr) : 0) {
    plans_.resize(options.batch);
}

void Frames::choose(std::size_t count) {
    // A burst from one access port is of one segment; a burst from the underlay is of several.
    const std::uint32_t different =
        case_.direction == Direction::encap ? 1 : std::min(vnis_per_burst_, network_.vnis());
    std::array<std::uint32_t, packet::kBurstSize> segments{};
    for (std::size_t i = 0; i < count; ++i) {
        if (i % packet::kBurstSize == 0) {
            for (std::uint32_t k = 0; k < different; ++k) {
                segments[k] = net::scale(static_cast<std::uint32_t>(random_()), network_.vnis());
            }
        }
        Plan& plan = plans_[i];
        plan.segment = segments[random_() % different];
        plan.destination =
            network_.destination(plan.segment, static_cast<std::uint32_t>(random_()));
        plan.source = network_.source(plan.segment, static_cast<std::uint32_t>(random_()));
        plan.flow = static_cast<std::uint32_t>(random_());
        plan.seen = false;
    }
}

void Frames::write_inner(char* at, std::uint32_t number) const {
    const Plan& plan = plans_[number];
    auto* ethernet = reinterpret_cast<rte_ether_hdr*>(at);
    set_mac(ethernet->dst_addr, net::MacAddress::from_number(plan.destination.mac));
    set_mac(ethernet->src_addr, net::MacAddress::from_number(plan.source.mac));
    ethernet->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(ethernet + 1);
    const std::size_t length = case_.size - sizeof *ethernet;
    set_ipv4(*ip, rte_cpu_to_be_32(0xC0A80000U | (plan.flow & 0xFFFFU)),
             rte_cpu_to_be_32(0xC0A90000U | (plan.flow >> 16)), length);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(ip + 1);
    set_udp(*udp, static_cast<std::uint16_t>(plan.flow * 7), 5001, length - sizeof *ip);
    std::memcpy(at + kInnerHeaders, &number, sizeof number);
    if (number % kLookEvery == 0) {
        for (std::uint32_t offset = kStamped; offset < case_.size; ++offset) {
            at[offset] = payload_byte(number, offset);
        }
    }
}

void Frames::put_tag(char* at, const Plan& plan) const {
    std::memmove(at, at + tag_, 2 * sizeof(rte_ether_addr));
    const std::uint32_t tag =
        rte_cpu_to_be_32(std::uint32_t{RTE_ETHER_TYPE_VLAN} << 16 | Network::vid(plan.segment));
    std::memcpy(at + 2 * sizeof(rte_ether_addr), &tag, sizeof tag);
}

std::uint32_t Frames::vxlan_flags() const noexcept {
    switch (case_.extra) {
        case Extra::gbp:
            return 0x88000000U | Network::kGroup;
        case Extra::gpe:
            return 0x0C000003;
        default:
            return 0x08000000;
    }
}

void Frames::write_outer(char* at, const Plan& plan) const {
    auto* ethernet = reinterpret_cast<rte_ether_hdr*>(at);
    set_mac(ethernet->dst_addr, Network::underlay_mac());
    set_mac(ethernet->src_addr, Network::next_hop(plan.source.remote));
    char* const ip = at + sizeof *ethernet;
    const std::size_t length = kUdpAndVxlan + case_.size;
    const std::uint32_t remote = plan.source.remote;
    if (case_.over_ipv6()) {
        ethernet->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6);
        set_ipv6(*reinterpret_cast<rte_ipv6_hdr*>(ip), Network::remote_vtep6(remote),
                 Network::local_vtep6(), length);
    } else {
        ethernet->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
        set_ipv4(*reinterpret_cast<rte_ipv4_hdr*>(ip), Network::remote_vtep(remote).be.wire(),
                 Network::local_vtep().be.wire(), ip_size_ + length);
    }
    auto* udp = reinterpret_cast<rte_udp_hdr*>(ip + ip_size_);
    set_udp(*udp, static_cast<std::uint16_t>(0xC000U | plan.flow), Network::kDstport, length);
    auto* vxlan = reinterpret_cast<rte_vxlan_hdr*>(udp + 1);
    vxlan->vx_flags = rte_cpu_to_be_32(vxlan_flags());
    vxlan->vx_vni = rte_cpu_to_be_32(Network::vni(plan.segment).number << 8);
    if (case_.udp_checksum()) {
        const auto sum = static_cast<std::uint16_t>(~sum_of(ip, *udp));
        udp->dgram_cksum = sum == 0 ? std::uint16_t{0xFFFF} : sum;
    }
}

void Frames::write(std::span<rte_mbuf*> mbufs) {
    choose(mbufs.size());
    const bool decap = case_.direction == Direction::decap;
    const std::uint32_t before = decap ? overhead_ : tag_;
    for (std::uint32_t i = 0; i < mbufs.size(); ++i) {
        char* at = rte_pktmbuf_append(mbufs[i], static_cast<std::uint16_t>(before + case_.size));
        write_inner(at + before, i);
        if (decap) {
            write_outer(at, plans_[i]);
        } else if (tag_ != 0) {
            put_tag(at, plans_[i]);
        }
    }
}

std::string Frames::check_outer_ip(const char* at, const Plan& plan) const {
    const std::size_t length = kUdpAndVxlan + case_.size;
    const std::uint32_t remote = plan.destination.remote;
    if (case_.over_ipv6()) {
        rte_ipv6_hdr ip;
        std::memcpy(&ip, at, sizeof ip);
        const bool right = rte_be_to_cpu_16(ip.payload_len) == length && ip.proto == IPPROTO_UDP &&
                           std::memcmp(ip.src_addr, Network::local_vtep6().bytes.data(),
                                       sizeof ip.src_addr) == 0 &&
                           std::memcmp(ip.dst_addr, Network::remote_vtep6(remote).bytes.data(),
                                       sizeof ip.dst_addr) == 0;
        return right ? "" : "outer IPv6 header";
    }
    rte_ipv4_hdr ip;
    std::memcpy(&ip, at, sizeof ip);
    const std::uint16_t checksum = ip.hdr_checksum;
    ip.hdr_checksum = 0;
    if (rte_ipv4_cksum(&ip) != checksum) {
        return "outer IPv4 checksum";
    }
    if (rte_be_to_cpu_16(ip.total_length) != sizeof ip + length ||
        ip.next_proto_id != IPPROTO_UDP || ip.src_addr != Network::local_vtep().be.wire() ||
        ip.dst_addr != Network::remote_vtep(remote).be.wire()) {
        return "outer IPv4 header";
    }
    return {};
}

std::string Frames::check_outer(const char* at, const Plan& plan) const {
    const auto* ethernet = reinterpret_cast<const rte_ether_hdr*>(at);
    if (!is_mac(ethernet->src_addr, Network::underlay_mac()) ||
        !is_mac(ethernet->dst_addr, Network::next_hop(plan.destination.remote)) ||
        ethernet->ether_type !=
            rte_cpu_to_be_16(case_.over_ipv6() ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4)) {
        return "outer Ethernet header";
    }
    const char* const ip = at + sizeof *ethernet;
    if (std::string wrong = check_outer_ip(ip, plan); !wrong.empty()) {
        return wrong;
    }
    const auto* udp = reinterpret_cast<const rte_udp_hdr*>(ip + ip_size_);
    if (rte_be_to_cpu_16(udp->dst_port) != Network::kDstport ||
        rte_be_to_cpu_16(udp->dgram_len) != kUdpAndVxlan + case_.size) {
        return "outer UDP header";
    }
    if (case_.udp_checksum() != (udp->dgram_cksum != 0) ||
        (udp->dgram_cksum != 0 && sum_of(ip, *udp) != 0xFFFF)) {
        return "outer UDP checksum";
    }
    const auto* vxlan = reinterpret_cast<const rte_vxlan_hdr*>(udp + 1);
    if (rte_be_to_cpu_32(vxlan->vx_flags) != vxlan_flags() ||
        rte_be_to_cpu_32(vxlan->vx_vni) != Network::vni(plan.segment).number << 8) {
        return "VXLAN header";
    }
    return {};
}

std::string Frames::check(std::span<rte_mbuf*> sent) {
    const bool encap = case_.direction == Direction::encap;
    const std::uint32_t outer = encap ? overhead_ : tag_;
    const std::uint32_t inner = encap ? overhead_ : 0;
    std::vector<char> wanted(case_.size + outer - inner);
    for (const rte_mbuf* mbuf : sent) {
        if (mbuf->pkt_len != outer + case_.size || mbuf->nb_segs != 1) {
            return "a frame of " + std::to_string(mbuf->pkt_len) + " bytes in " +
                   std::to_string(mbuf->nb_segs) + " pieces";
        }
        const char* at = rte_pktmbuf_mtod(mbuf, const char*);
        std::uint32_t number = 0;
        std::memcpy(&number, at + outer + kInnerHeaders, sizeof number);
        if (number >= plans_.size() || plans_[number].seen) {
            return "a frame that came twice or is none of ours";
        }
        plans_[number].seen = true;
        if (number % kLookEvery != 0) {
            continue;
        }
        if (encap) {
            if (std::string wrong = check_outer(at, plans_[number]); !wrong.empty()) {
                return wrong;
            }
        }
        write_inner(wanted.data() + outer - inner, number);
        if (outer != inner) {
            put_tag(wanted.data(), plans_[number]);
        }
        if (std::memcmp(at + inner, wanted.data(), wanted.size()) != 0) {
            return "an inner frame that is not the one sent";
        }
    }
    return {};
}

}  // namespace vxplane::bench
