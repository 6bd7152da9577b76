// A stage runs its steps fused, packet by packet, over a burst. What leaves is handed to the exit,
// and the burst is closed up only then.
#pragma once

#include <rte_cycles.h>

#include <string_view>

#include "dataplane/path/exit.hpp"
#include "dataplane/path/flood.hpp"

namespace vxplane::path {

/// `Name` carries `static constexpr std::string_view text`.
template <class Name, class... Steps>
struct Stage {
    static constexpr std::string_view name = Name::text;

    static void run(packet::Burst& burst, step::Context& ctx, Exit& exit) noexcept {
        std::uint16_t kept = 0;
        for (std::uint16_t i = 0; i < burst.count; ++i) {
            packet::Packet p(burst.mbufs[i]);
            packet::PacketMeta& meta = burst.meta[i];
            packet::Verdict verdict = packet::Verdict::go_on();
            static_cast<void>(((verdict = Steps{}(p, meta, ctx), verdict.goes_on()) && ...));
            if (verdict.goes_on()) [[likely]] {
                burst.mbufs[kept] = p.mbuf();
                if (kept != i) {
                    burst.meta[kept] = meta;
                }
                ++kept;
            } else {
                leave(p, meta, verdict, ctx, exit);
            }
        }
        burst.count = kept;
    }

  private:
    [[gnu::noinline]] static void leave(packet::Packet p, packet::PacketMeta& meta,
                                        packet::Verdict verdict, step::Context& ctx,
                                        Exit& exit) noexcept {
        if (verdict.is_drop()) {
            if (verdict.reason() == packet::DropReason::tunnel_oversize) {
                exit.counters().segments[meta.segment].oversize.add(1);
            }
            exit.drop(p.mbuf(), verdict.reason());
            return;
        }
        switch (verdict.lane()) {
            case packet::Lane::control:
                exit.to_control(p.mbuf(), meta);
                break;
            case packet::Lane::host:
                to_host(p, meta, ctx, exit);
                break;
            case packet::Lane::flood:
                flood(p, meta, ctx, exit);
                break;
        }
    }
};

}  // namespace vxplane::path
