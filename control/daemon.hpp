// The daemon: builds everything from a topology, turns the control loop, and takes everything down
// in order.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/load.hpp"
#include "config/topology.hpp"
#include "control/apply/bridge.hpp"
#include "control/apply/routing.hpp"
#include "control/apply/segment_groups.hpp"
#include "control/apply/segment_neighbours.hpp"
#include "control/apply/slaves.hpp"
#include "control/apply/underlay_groups.hpp"
#include "control/capture/capture.hpp"
#include "control/loop/event_loop.hpp"
#include "control/machine.hpp"
#include "control/persist.hpp"
#include "control/punts.hpp"
#include "control/rpc/server.hpp"
#include "control/stats/stats.hpp"

namespace vxplane::control {

class Telemetry;

/// One per process. run() returns the exit code: 0 after a clean stop, 1 after a run-time failure.
class Daemon {
  public:
    explicit Daemon(config::Topology topology);
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    int run();

    struct ReloadReport {
        std::vector<std::string> problems;  ///< not empty: nothing was changed
        std::vector<std::string> changes;
    };
    /// Reads the topology file again and changes what runs. `dry`: only tells what it would do.
    ReloadReport reload(bool dry);
    /// Changes what runs to `next`, which has passed config::validate() or is judged here; the file
    /// stays as it is.
    ReloadReport change(config::Topology next, bool dry = false);
    /// The shared clock of workers.
    [[nodiscard]] std::uint32_t clock_milliseconds() const noexcept {
        return clock_.milliseconds.load(std::memory_order_relaxed);
    }

    // --- for the methods of the RPC server
    [[nodiscard]] const config::Topology& topology() const noexcept { return topology_; }
    [[nodiscard]] Machine& machine() noexcept { return machine_; }
    [[nodiscard]] Bridge& bridge() noexcept { return *bridge_; }
    [[nodiscard]] Tunnels& tunnels() noexcept { return *tunnels_; }
    [[nodiscard]] Routing& routing() noexcept { return *routing_; }
    [[nodiscard]] Slaves& slaves() noexcept { return *slaves_; }
    [[nodiscard]] SegmentNeighbours& segment_neighbours() noexcept { return *segment_neighbours_; }
    [[nodiscard]] SegmentGroups& segment_groups() noexcept { return *segment_groups_; }
    [[nodiscard]] UnderlayGroups& underlay_groups() noexcept { return *underlay_groups_; }
    [[nodiscard]] Neighbours& neighbours() noexcept { return *neighbours_; }
    [[nodiscard]] const table::UnderlayRoutes& routes() const noexcept { return routes_; }
    [[nodiscard]] Publisher& publisher() noexcept { return *publisher_; }
    [[nodiscard]] Punts& punts() noexcept { return *punts_; }
    [[nodiscard]] rpc::Server& server() noexcept { return server_; }
    [[nodiscard]] stats::Reader& stats() noexcept { return *stats_; }
    [[nodiscard]] capture::Captures& captures() noexcept { return *captures_; }
    [[nodiscard]] std::chrono::steady_clock::time_point started() const noexcept {
        return started_;
    }

  private:
    ReloadReport change_to(config::LoadResult loaded, bool dry);
    std::optional<std::string> start();
    void load_ports();
    /// MTUs that were changed in the kernel behind our back: tunnels carry no more than their
    /// uplink.
    void follow_mtus(Neighbours::Time now);
    void load_routes();
    void load_neighbours();
    std::optional<std::string> load_segments();
    std::optional<std::string> load_ipvlans();
    std::optional<std::string> load_fdb(const config::Vxlan& vxlan, std::uint16_t index);
    void start_events();
    void start_segment_events();
    void tick();
    void tick_groups(Neighbours::Time now);
    void take_learned(Neighbours::Time now);
    void check_account();
    void stop();

    config::Topology topology_;
    EventLoop loop_;
    rpc::Server server_;
    Machine machine_;
    worker::SharedClock clock_;
    table::UnderlayRoutes routes_;
    std::unique_ptr<Publisher> publisher_;
    std::unique_ptr<Punts> punts_;
    std::unique_ptr<Neighbours> neighbours_;
    std::unique_ptr<Tunnels> tunnels_;
    std::unique_ptr<Bridge> bridge_;
    std::unique_ptr<SegmentNeighbours> segment_neighbours_;
    std::unique_ptr<UnderlayGroups> underlay_groups_;
    std::unique_ptr<SegmentGroups> segment_groups_;
    MissLimiter misses_;
    std::unique_ptr<Routing> routing_;
    std::unique_ptr<Slaves> slaves_;
    std::unique_ptr<stats::Reader> stats_;
    std::unique_ptr<Telemetry> telemetry_;
    std::unique_ptr<capture::Captures> captures_;
    std::unique_ptr<Persist> persist_;  ///< only when asked for
    std::chrono::steady_clock::time_point started_{};
    std::chrono::steady_clock::time_point move_logged_{};
    bool failed_ = false;
};

}  // namespace vxplane::control
