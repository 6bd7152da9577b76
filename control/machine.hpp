// The machinery under the tables: EAL, buffer pools, ports and their kernel twins, rings, workers.
// Opened as a whole before the tables exist, closed as a whole after the last packet.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/topology.hpp"
#include "control/apply/publisher.hpp"
#include "dataplane/port/eal.hpp"
#include "dataplane/port/pool.hpp"
#include "dataplane/port/port.hpp"
#include "dataplane/worker/plan.hpp"
#include "dataplane/worker/worker.hpp"

namespace vxplane::control {

/// A port of the topology, or the twin of one.
struct OpenPort {
    const config::Port* config = nullptr;  ///< of the underlay port for a twin
    std::unique_ptr<port::Port> port;
    bool is_twin = false;
    std::uint16_t partner = table::kNoPort;  ///< twin <-> underlay port
    unsigned first_worker = 0;               ///< that polls receive queue 0
    std::vector<unsigned> pollers{};         ///< workers of the receive queues
};

/// Control's ends of a worker's rings.
struct WorkerRings {
    path::ControlRings rings;
    WorkerRings() = default;
    ~WorkerRings();
    WorkerRings(WorkerRings&& other) noexcept : rings(other.rings) { other.rings = {}; }
    WorkerRings(const WorkerRings&) = delete;
};

/// What the device of a port is to take: of a slave's port, what the slave may (IV-04).
[[nodiscard]] std::uint16_t device_mtu(const config::Topology& topology, const config::Port& port);
/// What the host behind the port is told to send at most: on a net_tap that has no `mtu` of its
/// own, what its segments take (VX-21). The port itself still takes what is longer, and its sender
/// is told (VX-23), which a device that refused it could not do.
[[nodiscard]] std::uint16_t offered_mtu(const config::Topology& topology, const config::Port& port);
/// A port of the topology in the words of the port room.
[[nodiscard]] port::PortOptions options_of(const config::Port& port, unsigned workers);
/// Names the place in the file when the failure names a key of the port.
[[nodiscard]] std::string problem_at_key(const config::Topology& topology, const config::Port& port,
                                         const port::Failure& failure);
/// CPUs that are named and are not among `usable`.
[[nodiscard]] std::optional<std::string> refuse_cpus(const config::Topology& topology,
                                                     const std::vector<unsigned>& usable);
/// Too few packet buffers to fill the queues of all devices. `needed`: what there would be without
/// a word.
[[nodiscard]] std::optional<std::string> refuse_buffers(const config::Topology& topology,
                                                        const port::PoolDemand& demand,
                                                        std::uint32_t needed);

/// Control thread only.
class Machine {
  public:
    /// Packets and events that may wait in the rings of one worker.
    static constexpr unsigned kPuntRing = 1024;
    static constexpr unsigned kLearnRing = 16384;
    static constexpr unsigned kInjectRing = 1024;
    static constexpr unsigned kHandoffRing = 1024;

    Machine() = default;
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    /// Opens everything that `topology` names. A problem text when something is not to be had;
    /// close() then takes back what was opened. `log` receives DPDK's own log lines.
    std::optional<std::string> open(const config::Topology& topology, port::LogLine log);
    /// Makes the workers. `segments`: room for counters, which segment_room() tells later.
    void make_workers(const config::Topology& topology, const Publisher& publisher,
                      const worker::SharedClock& clock, std::size_t segments);
    /// Starts ports, then workers. A problem text names the port that would not start.
    std::optional<std::string> start(const config::Topology& topology);
    /// Ends workers, then frees what is in rings. Ports stay open.
    void stop_workers();
    /// Packets that were in rings when the workers had ended.
    struct Left {
        std::uint64_t punted = 0;
        std::uint64_t injected = 0;
        std::uint64_t handed_off = 0;
        std::uint64_t steered = 0;
    };
    [[nodiscard]] const Left& left() const noexcept { return left_; }
    /// Closes ports and pools and ends EAL. Returns the number of buffers that did not come back,
    /// 0 where a driver keeps some and nobody can tell.
    std::uint64_t close();

    /// Sends a frame; false (and `mbuf` still the caller's) when the ring is full or the port gone.
    bool inject(rte_mbuf* mbuf, std::uint16_t port) noexcept;

    [[nodiscard]] const std::vector<OpenPort>& ports() const noexcept { return ports_; }
    [[nodiscard]] std::vector<OpenPort>& ports() noexcept { return ports_; }
    [[nodiscard]] const OpenPort* by_id(std::uint16_t id) const noexcept;
    [[nodiscard]] const OpenPort* by_name(std::string_view name) const noexcept;
    [[nodiscard]] const std::vector<std::unique_ptr<worker::Worker>>& workers() const noexcept {
        return workers_;
    }
    [[nodiscard]] const std::vector<WorkerRings>& rings() const noexcept { return rings_; }
    [[nodiscard]] std::size_t segment_room() const noexcept {
        return workers_.empty() ? 0 : workers_.front()->options().segment_count;
    }
    [[nodiscard]] unsigned cpu_of(unsigned worker) const { return worker_cpus_[worker]; }
    [[nodiscard]] unsigned worker_count() const noexcept {
        return static_cast<unsigned>(worker_cpus_.size());
    }
    /// Longest MTU that packet buffers were made for.
    [[nodiscard]] std::uint16_t buffer_mtu() const noexcept { return buffer_mtu_; }
    /// Slaves have the MAC address of their link: ports that have another one get it.
    void share_macs(const config::Topology& topology);
    /// Why connections that `to` wants tracked would not be one worker's, as queues are spread now.
    [[nodiscard]] std::vector<std::string> unpinned(const config::Topology& to) const;
    /// ipvlans whose connections are tracked, with the worker that polls all their ports.
    [[nodiscard]] const std::map<std::string, unsigned>& pinned_ipvlans() const noexcept {
        return pinned_ipvlans_;
    }
    /// Why all queues of a port are one worker's.
    struct Pin {
        unsigned worker = 0;
        std::string why;  ///< what of the topology asks for it, such as `ipvlan ipvl0`
    };
    [[nodiscard]] const std::map<std::string, Pin>& pins() const noexcept { return pins_; }
    /// Null when flows stay where they arrive.
    [[nodiscard]] worker::SteeringTable* steering() const noexcept { return steering_.get(); }
    [[nodiscard]] const port::EalInfo& eal() const noexcept { return eal_; }
    [[nodiscard]] port::WorkerPools& control_pools() noexcept { return control_pools_; }
    [[nodiscard]] const port::PoolSet& pools() const noexcept { return *pools_; }

  private:
    std::optional<std::string> choose_cpus(const config::Topology& topology);
    std::optional<std::string> open_eal(const config::Topology& topology, port::LogLine log);
    std::optional<std::string> open_pools(const config::Topology& topology);
    std::optional<std::string> open_port(const config::Topology& topology,
                                         const config::Port& port);
    /// Workers that the topology names for the queues of a port; empty = none named.
    [[nodiscard]] std::vector<unsigned> pollers_of(const config::Port& port) const;
    /// Connections of an ipvlan are one worker's, who polls all its ports. A problem text when
    /// steering would take packets away from it.
    std::optional<std::string> pin_ipvlans(const config::Topology& topology);
    [[nodiscard]] std::vector<int> worker_nodes() const;
    void make_steering(const config::System& system);
    /// Queues, lanes and the rings to owners of transmit queues.
    void plan_transmit(std::vector<worker::WorkerOptions>& plans);
    /// Tells when a port keeps workers idle.
    void note_spreading(OpenPort& open) const;
    static void set_idle(worker::WorkerOptions& plan, const config::System& system);
    /// For `idle: interrupt`: lets receive queues wake their workers, and notes those that cannot.
    void watch_queues();
    void drain_rings() noexcept;

    Left left_;
    bool eal_runs_ = false;
    bool workers_run_ = false;
    config::IdlePolicy idle_ = config::IdlePolicy::adaptive;
    unsigned control_cpu_ = 0;
    std::uint16_t buffer_mtu_ = 0;
    bool steering_wanted_ = false;
    std::vector<unsigned> worker_cpus_;
    std::map<std::string, Pin> pins_;  ///< by the name of the port
    std::map<std::string, unsigned> pinned_ipvlans_;
    port::EalInfo eal_;
    std::unique_ptr<port::PoolSet> pools_;
    port::WorkerPools control_pools_;
    std::vector<OpenPort> ports_;
    std::vector<WorkerRings> rings_;
    std::vector<rte_ring*> handoffs_;
    std::optional<worker::QueuePlan> plan_;
    std::unique_ptr<worker::SteeringTable> steering_;
    std::vector<std::unique_ptr<worker::Worker>> workers_;
};

}  // namespace vxplane::control
