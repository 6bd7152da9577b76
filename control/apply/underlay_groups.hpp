// Groups of the underlay that carry what segments flood: which are joined at which port, for which
// segments workers take their packets, and what the device has to let in.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/apply/bridge.hpp"
#include "control/machine.hpp"
#include "control/resolve/joined_groups.hpp"

namespace vxplane::control {

/// Control thread only.
class UnderlayGroups final : public TablePart {
  public:
    using Time = Bridge::Time;
    /// Who changes its group hears the old one for so long: its peers change theirs at other times.
    static constexpr std::chrono::seconds kLinger{10};

    UnderlayGroups(Machine& machine, Bridge& bridge, std::uint64_t seed);

    /// Follows segments and links, and says what is due; called often. `send` gets frames.
    void tick(Time now, const std::function<void(std::uint16_t, std::span<const std::byte>)>& send);
    /// A copy of a query from the underlay: a whole frame.
    void hear(std::uint16_t port, std::span<const std::byte> frame, Time now);

    struct View {
        JoinedGroups::View group;
        std::vector<std::uint16_t> segments;
        std::string filter;  ///< how the device lets the group in
    };
    [[nodiscard]] std::vector<View> views(Time now) const;
    [[nodiscard]] const JoinedGroups::Counters& counters() const noexcept {
        return joined_.counters();
    }

    // --- TablePart
    [[nodiscard]] bool changed() const noexcept override { return changed_; }
    void fill(table::Tables& next) override;

  private:
    using Key = std::pair<std::uint16_t, net::IpAddress>;  ///< port, group
    struct Use {
        std::set<std::uint16_t> segments;
        std::map<std::uint16_t, Time> lingering;  ///< until then
    };
    void follow_segments(Time now);
    void end_lingering(Time now);
    void follow_links(Time now);
    void tell_device(std::uint16_t port);

    Machine& machine_;
    Bridge& bridge_;
    JoinedGroups joined_;
    std::map<Key, Use> uses_;
    std::map<std::uint16_t, bool> links_;
    std::map<std::uint16_t, std::string> filters_;
    std::uint64_t shape_ = ~0ULL;
    Time looked_{};
    bool changed_ = false;
};

}  // namespace vxplane::control
