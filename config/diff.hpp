// What has to be done to get from one topology to another. Met at reload, and by people before a
// reload (`--dry-run`).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/topology.hpp"

namespace vxplane::config {

/// One step. `path` names the object by what it is known by, not by its place in the file:
/// `vxlans.a.fdb[02:00:00:00:00:01].dst`, `routes[10.0.0.0/8]`.
struct Change {
    enum class Kind : std::uint8_t { add, remove, modify };
    Kind kind = Kind::modify;
    std::string path;
    std::string text;            ///< `300 -> 600`, or what the object holds
    bool needs_restart = false;  ///< the running daemon cannot do it

    /// `modify vxlans.a.ageing: 300 -> 600`
    [[nodiscard]] std::string line() const;
};

/// Steps from `from` to `to`, both valid. Everything is removed before anything is added, what is
/// inside before what holds it; additions go the other way; modifications stand between. A change
/// of a segment's id or dstport is a removal and an addition (VX-97). Empty when nothing differs.
[[nodiscard]] std::vector<Change> diff(const Topology& from, const Topology& to);

}  // namespace vxplane::config
