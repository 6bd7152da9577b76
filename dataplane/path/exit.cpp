// What is rare at the end of a path.
#include "dataplane/path/exit.hpp"

namespace vxplane::path {

void Exit::copy_to_control(packet::Packet p, const packet::PacketMeta& meta, packet::Punt why,
                           std::uint64_t key, step::Context& ctx) noexcept {
    constexpr std::uint32_t kRepeatAfter = 1000;  // milliseconds
    Told& told = told_[key % told_.size()];
    if (told.key == key && told.when != 0 && ctx.now + 1 - told.when < kRepeatAfter) {
        counters_.segments[meta.segment].untold.add(1);
        return;
    }
    told = {key, ctx.now + 1};  // 0 is never
    counters_.copies.add(1);
    rte_mbuf* copy = ctx.pools->share(p.mbuf());
    if (copy == nullptr) {
        count_drop(packet::DropReason::control_no_copy);
        return;
    }
    packet::PacketMeta about = meta;
    about.punt = why;
    about.if_refused = packet::DropReason::none;
    to_control(copy, about);
}

}  // namespace vxplane::path
