// A stage runs its steps fused, packet by packet, over a burst. What leaves is handed to the exit,
// and the burst is closed up only then.
#pragma once

#include <rte_cycles.h>

#include <array>
#include <string_view>

#include "dataplane/path/answer.hpp"
#include "dataplane/path/exit.hpp"
#include "dataplane/path/flood.hpp"
#include "dataplane/path/fragments.hpp"
#include "dataplane/path/rare_tunnels.hpp"
#include "dataplane/path/reassembly.hpp"
#include "dataplane/path/slaves.hpp"

namespace vxplane::path {

/// Of a stage whose packets have, or had, an outer header: who sent what it refuses is remembered.
template <class Name>
constexpr bool kFromTunnels = requires {
    Name::from_tunnels;
};

/// Of a step that says when a burst has nothing for it; a stage of such steps alone is then left
/// out.
template <class Step>
constexpr bool kSaysWhenDue = requires(const step::Context& ctx) {
    Step::is_due(ctx);
};

/// `Name` carries `static constexpr std::string_view text`. A step that can be made from the
/// context and the port is made once a burst, and keeps what is the same for all of it.
template <class Name, class... Steps>
struct Stage {
    static constexpr std::string_view name = Name::text;

    static void run(packet::Burst& burst, step::Context& ctx, Exit& exit) noexcept {
        if constexpr ((kSaysWhenDue<Steps> && ...)) {
            if (!(Steps::is_due(ctx) || ...)) {
                return;
            }
        }
        // A value of this function alone: no store to a packet forces it to be read again.
        const Chain chain(ctx, burst.in_port);
        const std::uint16_t count = burst.count;
        Leavers leavers;
        for (std::uint16_t i = 0; i < count; ++i) {
            packet::Packet p(burst.mbufs[i]);
            packet::PacketMeta& meta = burst.meta[i];
            packet::Verdict verdict = packet::Verdict::go_on();
            static_cast<void>(
                ((verdict = static_cast<const Steps&>(chain)(p, meta, ctx), verdict.goes_on()) &&
                 ...));
            burst.mbufs[i] = p.mbuf();
            if (!verdict.goes_on()) [[unlikely]] {
                leavers.list[leavers.count++] = {i, verdict};
            }
        }
        if (leavers.count != 0) [[unlikely]] {
            close_up(burst, leavers, ctx, exit);
        }
    }

  private:
    struct Chain : Steps... {
        Chain(const step::Context& ctx, std::uint16_t in_port) noexcept
            : Steps(step::step_for<Steps>(ctx, in_port))... {}
    };
    struct Leaver {
        std::uint16_t index;
        packet::Verdict verdict;
    };
    struct Leavers {
        std::uint16_t count = 0;
        std::array<Leaver, packet::kBurstSize> list;
    };

    [[gnu::noinline]] static void close_up(packet::Burst& burst, const Leavers& leavers,
                                           step::Context& ctx, Exit& exit) noexcept {
        for (std::uint16_t i = 0; i < leavers.count; ++i) {
            // On a trunk the counters of a segment are all that neighbours do not share.
            if (leavers.list[i].verdict == packet::Verdict::divert(packet::Lane::special)) {
                exit.prefetch_segment(burst.meta[leavers.list[i].index].segment);
            }
        }
        std::uint16_t kept = leavers.list[0].index;
        for (std::uint16_t i = 0; i < leavers.count; ++i) {
            const std::uint16_t at = leavers.list[i].index;
            leave(packet::Packet(burst.mbufs[at]), burst.meta[at], leavers.list[i].verdict, ctx,
                  exit);
            const std::uint16_t next =
                i + 1U < leavers.count ? leavers.list[i + 1U].index : burst.count;
            for (auto from = static_cast<std::uint16_t>(at + 1U); from < next; ++from, ++kept) {
                burst.mbufs[kept] = burst.mbufs[from];
                burst.meta[kept] = burst.meta[from];
            }
        }
        burst.count = kept;
    }

    static void leave(packet::Packet p, packet::PacketMeta& meta, packet::Verdict verdict,
                      step::Context& ctx, Exit& exit) noexcept {
        if (verdict.is_drop()) {
            exit.counters().ports[meta.in_port].dropped.add(1);
            note_refusal(exit, meta, verdict.reason());
            if constexpr (kFromTunnels<Name>) {
                note_sender(p, meta, ctx, verdict.reason());
            }
            exit.drop(p.mbuf(), verdict.reason());
            return;
        }
        switch (verdict.lane()) {
            case packet::Lane::control:
                note_refusal(exit, meta, meta.if_refused);
                if constexpr (kFromTunnels<Name>) {
                    note_sender(p, meta, ctx, meta.if_refused);
                }
                exit.to_control(p.mbuf(), meta);
                break;
            case packet::Lane::host:
            case packet::Lane::tunnel6:
                to_host(p, meta, ctx, exit);
                break;
            case packet::Lane::flood:
                flood(p, meta, ctx, exit);
                break;
            case packet::Lane::group:
                copy_to_slaves(p, meta, ctx, exit);
                break;
            case packet::Lane::overheard:
                overhear(p, meta, ctx, exit);
                break;
            case packet::Lane::pieces:
                send_fragments(p, meta, ctx, exit);
                break;
            case packet::Lane::answer:
                answer_for_neighbour(p, meta, ctx, exit);
                break;
            case packet::Lane::router:
                to_router(p, meta, ctx, exit);
                break;
            case packet::Lane::too_long:
                send_too_long(p, meta, ctx, exit);
                break;
            case packet::Lane::bypass:
                bypass(p, meta, ctx, exit);
                break;
            case packet::Lane::accept:
                send_accepted_alone(p, meta, ctx, exit);
                break;
            case packet::Lane::special:
                send_special(p, meta, ctx, exit);
                break;
            case packet::Lane::fragment:
                exit.reassembly().take(p, meta, ctx, exit);
                break;
        }
    }
};

}  // namespace vxplane::path
