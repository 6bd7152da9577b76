// Last look at a frame that leaves by a local port.
#pragma once

#include <algorithm>

#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

/// Frames for a tunnel pass: AddTunnel knows the size that fits there.
class CheckExit {
  public:
    explicit CheckExit(const Context& ctx, std::uint16_t /*in_port*/ = 0) noexcept
        : ports_(ctx.tables->ports.data()) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& /*ctx*/) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (meta.out_port == table::kNoPort) {
            return Verdict::go_on();
        }
        const table::PortEntry& port = ports_[meta.out_port];
        if (port.role != table::PortRole::access || port.segment != meta.segment) [[unlikely]] {
            return Verdict::divert(packet::Lane::special);
        }
        const std::uint32_t longest = port.plain_exit + meta.tag_bytes();
        return p.length() > longest && packet::longest_inner(p.mbuf()) > longest ? too_long(port)
                                                                                 : Verdict::go_on();
    }

    /// Of a frame that was diverted to Lane::accept.
    [[gnu::noinline]] static packet::Verdict judge_group(const rte_mbuf* mbuf,
                                                         const packet::PacketMeta& meta,
                                                         const table::Tables& tables) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const table::PortEntry& port = tables.ports[meta.out_port];
        if (packet::longest_inner(mbuf) > port.max_frame + meta.tag_bytes()) {
            return Verdict::drop(DropReason::port_oversize);
        }
        // Where policy was applied already, nobody applies it again.
        if (!meta.policy.has(net::GroupPolicy::kApplied)) {
            const std::uint16_t* ids = tables.accepted_groups.data() + port.accepted_begin;
            if (!std::binary_search(ids, ids + port.accepted_count, meta.policy.id())) {
                return Verdict::drop(DropReason::group_refused);
            }
        }
        return Verdict::go_on();
    }

  private:
    /// Of a port that does not accept every group, for all of its frames.
    static packet::Verdict too_long(const table::PortEntry& port) noexcept {
        return port.accepted_count != 0 ? packet::Verdict::divert(packet::Lane::accept)
                                        : packet::Verdict::drop(packet::DropReason::port_oversize);
    }

    const table::PortEntry* ports_;
};

}  // namespace vxplane::step
