// Control and data plane together, made of topology files as the daemon makes them: ports without
// devices, one worker that is polled by hand, a clock that is turned by hand. Met where recordings
// have commands between frames, or many VNIs.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/apply/bridge.hpp"
#include "control/apply/reload.hpp"
#include "control/apply/routing.hpp"
#include "control/apply/slaves.hpp"
#include "control/apply/underlay_groups.hpp"
#include "control/machine.hpp"
#include "control/punts.hpp"
#include "recording.hpp"

namespace vxplane::oracle {

/// What lasts as long as the process, because DPDK starts only once: ports `wire`, `host` and
/// `host2`. A process that uses it cannot use support::Lab.
class LiveMachine {
  public:
    /// Starts it with the addresses of the first recording; they are the same in all of them.
    /// Throws std::runtime_error.
    static LiveMachine& get(const Topology& topology);

    /// The beginning of every topology file: `ports`, by name with keys of their own.
    [[nodiscard]] std::string text(const std::map<std::string, std::string>& ports = {}) const;

    config::Topology base{};
    control::Machine machine{};
    worker::SharedClock clock{};
    std::unique_ptr<control::Publisher> publisher{};
    Frames sent{};
    control::Neighbours::Time now = control::Neighbours::Clock::now();

  private:
    explicit LiveMachine(const Topology& topology);
    unsigned cpu_ = 0;
    std::string mac_{};
    std::string addresses_{};
    std::string neighbours_{};
};

/// The control side anew. It begins with ports, addresses and neighbours, and no segment.
class Live {
  public:
    using Problems = std::vector<std::string>;

    explicit Live(LiveMachine& world);
    ~Live();
    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;

    /// Makes what runs what `text` says, by a reload. Not empty: nothing was changed. `in_place`:
    /// a segment that had to be removed and added again is a problem, too.
    Problems change(const std::string& text, bool in_place);
    [[nodiscard]] const config::Topology& topology() const { return *topology_; }
    [[nodiscard]] control::Bridge& bridge() { return *bridge_; }
    [[nodiscard]] control::Neighbours::Time now() const { return world_.now; }

    /// A frame arrives, and everybody has taken notice of it. `facts` learns what was dropped.
    Frames receive(const std::string& port, const Bytes& frame, std::set<std::string>& facts);
    void pass(std::chrono::milliseconds time);
    /// What left since the last call; frames of our own, when only time passed.
    Frames take_sent();
    /// By index: frames that came out of tunnels of a segment.
    [[nodiscard]] std::vector<std::uint64_t> received_by_segment() const;
    /// As the laws of both sides say; empty: kept.
    [[nodiscard]] std::string broken_law() const;

  private:
    void load_ports();
    void poll();
    void tick();

    LiveMachine& world_;
    std::unique_ptr<config::Topology> topology_;
    table::UnderlayRoutes routes_{1024};
    std::unique_ptr<control::Punts> punts_;
    std::unique_ptr<control::Neighbours> neighbours_;
    std::unique_ptr<control::Tunnels> tunnels_;
    std::unique_ptr<control::Bridge> bridge_;
    std::unique_ptr<control::UnderlayGroups> groups_;
    std::unique_ptr<control::Routing> routing_;
    std::unique_ptr<control::Slaves> slaves_;
};

}  // namespace vxplane::oracle
