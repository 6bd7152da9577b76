// What encapsulation needs to know of the inner frame: its flow, and its TOS byte.
#pragma once

#include "dataplane/net/flow_hash.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct ReadFlow {
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& /*ctx*/) const noexcept {
        const net::FrameFacts facts = net::facts_of(p.data(), p.contiguous());
        meta.flow_hash = facts.hash;
        meta.inner_tos = facts.tos;
        meta.l3_offset = static_cast<std::uint8_t>(facts.l3_offset);
        meta.inner_is_ip = facts.is_ip;
        return packet::Verdict::go_on();
    }
};

}  // namespace vxplane::step
