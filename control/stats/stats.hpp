// Counters as people and collectors see them: sums over workers and control, from the last reset
// on, as JSON.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/apply/bridge.hpp"
#include "control/apply/segment_neighbours.hpp"
#include "control/apply/slaves.hpp"
#include "control/machine.hpp"
#include "control/punts.hpp"

namespace vxplane::control::stats {

using Json = nlohmann::json;

/// Control thread only. Workers' counters are never written: reset() remembers a zero.
class Reader {
  public:
    /// `topology` is the one that runs, also after a reload.
    Reader(Machine& machine, const Punts& punts, const Bridge& bridge, const Publisher& publisher,
           const config::Topology& topology);

    /// Neighbours that segments have learned.
    void connect(const SegmentNeighbours& neighbours) noexcept { neighbours_ = &neighbours; }

    [[nodiscard]] Json ports(const std::optional<std::string>& name) const;
    [[nodiscard]] Json workers() const;
    /// Software steering: which workers flows are spread over, and what waits for each.
    [[nodiscard]] Json steering() const;
    [[nodiscard]] Json segments(const std::optional<std::string>& name) const;
    /// `name`: NAME or IPVLAN/NAME.
    [[nodiscard]] Json slaves(const Slaves& slaves, const std::optional<std::string>& name) const;
    /// `all`: also reasons that never happened.
    [[nodiscard]] Json drops(bool all) const;
    [[nodiscard]] Json stages() const;
    /// VNIs that arrived lately and are in no segment, with the VTEPs that sent them.
    [[nodiscard]] Json unknown_vnis() const;
    /// Group policies that tunnels brought, by VNI.
    [[nodiscard]] Json groups() const;
    /// {"ok", "alarms", "packets_unaccounted", ...}
    [[nodiscard]] Json health() const;
    void reset();
    /// A new segment has this number: it counts from zero.
    void begin_segment(std::uint16_t index);
    /// Notices workers that do not poll. Called a few times a second.
    void watch(std::chrono::steady_clock::time_point now);

    /// Packets that came and are nowhere, over all workers and control; 0.
    [[nodiscard]] std::uint64_t unaccounted() const;
    /// Sentences about what needs an operator; empty in a healthy daemon.
    [[nodiscard]] std::vector<std::string> alarms() const;

  private:
    struct PortTotals {
        std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0, tx_full = 0,
                      tx_copies = 0, tx_groups = 0, dropped = 0;
    };
    struct SegmentTotals {
        std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0, flooded = 0,
                      oversize = 0, answered = 0, untold = 0, ecn_odd = 0, rx_drops = 0,
                      rx_errors = 0, tx_drops = 0, tx_errors = 0;
    };
    /// Figures of one worker, in the order of kWorkerFields.
    static constexpr std::size_t kWorkerFigures = 19;
    using WorkerFigures = std::array<std::uint64_t, kWorkerFigures>;
    struct StageTotals {
        std::uint64_t cycles = 0, packets = 0;
    };
    using StageTable = std::array<std::array<StageTotals, path::kMaxStages>, path::kPaths>;

    [[nodiscard]] PortTotals port_totals(std::uint16_t id) const;
    /// merged, large, cut, cut_frames, passed, then why packets were ended.
    using MergeTotals = std::array<std::uint64_t, 5 + step::kMergeEnds>;
    [[nodiscard]] MergeTotals merge_totals(std::uint16_t id) const;
    [[nodiscard]] Json merges(std::uint16_t id) const;
    [[nodiscard]] static Json rss_json(const port::Port& port);
    /// Adds which queues a worker polls, by which it sends, and what waits for it.
    void add_plan(Json& row, unsigned worker) const;
    [[nodiscard]] SegmentTotals segment_totals(std::size_t index) const;
    [[nodiscard]] static WorkerFigures figures(const path::WorkerCounters& counters);
    [[nodiscard]] packet::DropCounts drop_totals() const;
    [[nodiscard]] StageTable stage_totals() const;

    struct Pulse {
        std::uint64_t polls = 0;
        std::chrono::steady_clock::time_point moved{};  ///< when `polls` was last seen to grow
        bool stuck = false;
    };

    /// Ports that carry less than their topology says, and segments for whose ports that is too
    /// little (VX-22).
    void add_mtu_alarms(std::vector<std::string>& out) const;

    Machine& machine_;
    const Punts& punts_;
    const Bridge& bridge_;
    const Publisher& publisher_;
    const config::Topology& topology_;
    const SegmentNeighbours* neighbours_ = nullptr;

    std::vector<PortTotals> port_zero_;
    std::vector<MergeTotals> merge_zero_;
    std::vector<SegmentTotals> segment_zero_;
    std::vector<WorkerFigures> worker_zero_;
    std::vector<Pulse> pulses_;
    packet::DropCounts drop_zero_{};
    StageTable stage_zero_{};
};

}  // namespace vxplane::control::stats
