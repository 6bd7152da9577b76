// What encapsulation needs to know of the inner frame: its flow, and its TOS byte.
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct ReadFlow {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& /*ctx*/) const noexcept {
        constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
        constexpr std::uint32_t kPorts = 4;
        if (p.contiguous() >= kIp + sizeof(net::Ipv4Header) + kPorts &&
            p.at<net::EthernetHeader>(0)->type == net::ether_type::kIpv4 &&
            p.at<net::Ipv4Header>(kIp)->version_ihl == net::Ipv4Header::kPlain) [[likely]] {
            meta.flow_hash = net::plain_ipv4_flow_hash(p.data() + kIp);
            meta.inner_tos = p.at<net::Ipv4Header>(kIp)->tos;
            meta.l3_offset = kIp;
            meta.inner_is_ip = true;
        } else {
            read_any(p, meta);
        }
        return packet::Verdict::go_on();
    }

  private:
    [[gnu::noinline]] static void read_any(packet::Packet p, packet::PacketMeta& meta) noexcept {
        const net::FrameFacts facts = net::facts_of(p.data(), p.contiguous());
        meta.flow_hash = facts.hash;
        meta.inner_tos = facts.tos;
        meta.l3_offset = static_cast<std::uint8_t>(facts.l3_offset);
        meta.inner_is_ip = facts.is_ip;
    }
};

}  // namespace vxplane::step
