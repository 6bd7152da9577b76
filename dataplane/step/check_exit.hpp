// Last look at a frame that leaves by a local port.
#pragma once

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
        // An FDB entry may outlive its port or its membership by the length of a grace period.
        if (port.role != table::PortRole::access || port.segment != meta.segment) [[unlikely]] {
            return Verdict::drop(DropReason::port_gone);
        }
        const std::uint32_t longest = port.max_frame + meta.tag_bytes();
        return p.length() > longest && packet::longest_inner(p.mbuf()) > longest
                   ? Verdict::drop(DropReason::port_oversize)
                   : Verdict::go_on();
    }

  private:
    const table::PortEntry* ports_;
};

}  // namespace vxplane::step
