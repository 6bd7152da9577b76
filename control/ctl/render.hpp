// What vxctl prints for people: one view for each kind of result. Tolerant of keys that are
// missing.
#pragma once

#include <optional>
#include <string>

#include "control/ctl/table.hpp"

namespace vxplane::control::ctl {

enum class View : std::uint8_t {
    silent,  ///< success says nothing
    raw,     ///< JSON whatever was asked
    version,
    ports,
    port,
    workers,
    segments,
    segment,
    fdb,
    removed,
    changes,
    captures,
    started,
    neigh,
    segment_neigh,
    refused,  ///< peers
    groups,   ///< group policies that tunnels brought
    path_mtus,
    maddress,  ///< groups of the underlay
    mdb,
    routes,
    drops,
    stages,
    health,
    methods,
    // of ipvlans: render_ipvlan()
    slaves,
    slave,  ///< one, with what is known of it besides
    ipvlans,
    table,  ///< a routing table
    rules,
    connections,
    connection_counts,
    timeouts,
};

/// Text with a final newline, or nothing. `earlier` is the result of the sample before (only for
/// watching: then counters are shown as rates; null for the first sample), `seconds` the time
/// between.
[[nodiscard]] std::string render(View view, const Json& result);
[[nodiscard]] std::string render_rates(View view, const Json& result, const Json& earlier,
                                       double seconds);

/// Ports that only this worker polls, and why.
[[nodiscard]] std::string pinned_ports(const Json& worker);
/// The views from `slaves` on.
[[nodiscard]] std::string render_ipvlan(View view, const Json& result);

/// One event as a line: `topic key value ...`.
[[nodiscard]] std::string render_event(const Json& params);

}  // namespace vxplane::control::ctl
