// From the running topology to another one while packets flow. All or nothing: what can fail is
// done first and is taken back when it does; what workers see of the change is one publication.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/diff.hpp"
#include "config/topology.hpp"
#include "control/apply/bridge.hpp"
#include "control/apply/slaves.hpp"
#include "control/machine.hpp"
#include "control/punts.hpp"

namespace vxplane::control {

/// What a reload works on; all outlive it.
struct ReloadParts {
    Machine& machine;
    Bridge& bridge;
    Tunnels& tunnels;
    Neighbours& neighbours;
    Punts& punts;
    table::UnderlayRoutes& routes;
    Slaves& slaves;
};

/// One change from `from`, which runs, to `to`, which is valid. Control thread only.
class Reload {
  public:
    using Problem = std::optional<std::string>;

    Reload(ReloadParts parts, const config::Topology& from, const config::Topology& to);

    /// The steps, as a person reads them.
    [[nodiscard]] const std::vector<config::Change>& changes() const noexcept { return changes_; }
    /// What a running daemon cannot do, one sentence each. Not empty: apply() must not be called.
    [[nodiscard]] std::vector<std::string> refusals() const;
    /// Does it. With a problem everything is as it was.
    Problem apply();

    /// Segments that are new, by index; after apply().
    [[nodiscard]] const std::vector<std::uint16_t>& new_segments() const noexcept {
        return new_segments_;
    }
    /// FDB entries that went with what they belonged to; those that the file named not counted.
    [[nodiscard]] std::uint32_t swept() const noexcept { return swept_; }

  private:
    using Undo = std::function<void()>;

    Problem prepare();
    // Ports: reload_ports.cpp.
    void refuse_ports(std::vector<std::string>& all) const;
    Problem prepare_ports();
    void set_frames();
    void set_ports();
    void announce();
    void set_underlay(const config::Topology& topology);
    Problem lead_by(const config::Topology& topology);
    Problem prepare_neighbours();
    Problem prepare_segments();
    Problem prepare_segment(const config::Vxlan& next, const config::Vxlan* before);
    Problem prepare_fdb(std::uint16_t index, const config::Vxlan& next,
                        const config::Vxlan* before);
    Problem put_entry(const FdbRequest& request);
    void undo(Undo action) { undo_.push_back(std::move(action)); }
    void finally(Undo action) { last_.push_back(std::move(action)); }

    ReloadParts parts_;
    const config::Topology& from_;
    const config::Topology& to_;
    Neighbours::Time now_ = Neighbours::Clock::now();
    std::vector<config::Change> changes_;
    std::vector<Undo> undo_;  ///< runs backwards
    std::vector<Undo> last_;  ///< removals, once no worker sees what they remove
    std::vector<std::uint16_t> new_segments_;
    std::uint32_t swept_ = 0;
};

}  // namespace vxplane::control
