// A path composes stages at compile time, keeps the cycle account of each, and sends what is left
// at its end.
#pragma once

#include <array>
#include <string_view>

#include "dataplane/path/stage.hpp"

namespace vxplane::path {

/// `Name` carries `text` and `id`.
template <class Name, class... Stages>
struct Path {
    static constexpr std::string_view name = Name::text;
    static constexpr PathId id = Name::id;
    static constexpr std::array<std::string_view, sizeof...(Stages)> stage_names{Stages::name...};
    static_assert(sizeof...(Stages) < kMaxStages, "one more is needed for the exit");

    /// Takes the packets of `burst`, whose metadata says where they came from, to their end.
    static void run(packet::Burst& burst, step::Context& ctx, Exit& exit) noexcept {
        auto& accounts = exit.counters().stages[static_cast<std::size_t>(id)];
        std::uint64_t before = rte_rdtsc();
        std::size_t index = 0;
        const auto account = [&](std::uint16_t packets) {
            const std::uint64_t now = rte_rdtsc();
            accounts[index].cycles.add(now - before);
            accounts[index].packets.add(packets);
            before = now;
            ++index;
        };
        const auto run_stage = [&]<class S>() {
            const std::uint16_t packets = burst.count;
            S::run(burst, ctx, exit);
            account(packets);
        };
        (run_stage.template operator()<Stages>(), ...);
        const std::uint16_t packets = burst.count;
        leave(burst, exit);
        exit.tell(ctx.learn);
        account(packets);
    }

  private:
    static void leave(packet::Burst& burst, Exit& exit) noexcept {
        // Neighbours mostly go the same way: what they share is looked up and counted once.
        const std::uint16_t count = burst.count;
        if (count > 1 && !burst.meta[0].goes_with(burst.meta[count - 1])) [[unlikely]] {
            for (std::uint16_t i = 0; i < count; ++i) {
                exit.prefetch(burst.meta[i].out_port, burst.meta[i].segment);
            }
        }
        for (std::uint16_t first = 0; first < count;) {
            const packet::PacketMeta& meta = burst.meta[first];
            std::uint64_t bytes = 0;
            std::uint16_t segments = 0;
            std::uint16_t next = first;
            do {
                bytes += burst.mbufs[next]->pkt_len;
                segments |= burst.mbufs[next]->nb_segs;
            } while (++next < count && meta.goes_with(burst.meta[next]));
            const auto packets = static_cast<std::uint16_t>(next - first);
            if (meta.tunnel_bytes != 0) {
                count_segment(exit.counters().segments[meta.segment], meta, packets, bytes);
            }
            exit.send({&burst.mbufs[first], packets}, meta.out_port, bytes, segments > 1);
            first = next;
        }
        burst.count = 0;
    }

    static void count_segment(SegmentCounters& segment, const packet::PacketMeta& meta,
                              std::uint64_t packets, std::uint64_t bytes) noexcept {
        if (meta.from_tunnel) {
            segment.rx_packets.add(packets);
            segment.rx_bytes.add(bytes);
        } else {
            segment.tx_packets.add(packets);
            segment.tx_bytes.add(bytes - packets * meta.tunnel_bytes);
        }
    }
};

}  // namespace vxplane::path
