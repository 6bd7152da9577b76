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
        for (std::uint16_t i = 0; i < burst.count; ++i) {
            const packet::PacketMeta& meta = burst.meta[i];
            rte_mbuf* mbuf = burst.mbufs[i];
            if (meta.counts_segment) {
                SegmentCounters& segment = exit.counters().segments[meta.segment];
                if (meta.from_tunnel) {
                    segment.rx_packets.add(1);
                    segment.rx_bytes.add(mbuf->pkt_len);
                } else {
                    segment.tx_packets.add(1);
                    segment.tx_bytes.add(mbuf->pkt_len - net::kVxlanIpv4Overhead);
                }
            }
            exit.send(mbuf, meta.out_port);
        }
        burst.count = 0;
    }
};

}  // namespace vxplane::path
