// External vxlans for people: the daemon shows each VNI as a segment of its own, and people see one
// vxlan, or its VNIs when they ask for it by name.
#pragma once

#include "control/ctl/table.hpp"

namespace vxplane::control::ctl {

/// Rows of segments with the parts of each external vxlan as one row: its VNIs as ranges, counters
/// as sums.
[[nodiscard]] Json one_row_each(const Json& segments);
/// All rows are parts of one external vxlan.
[[nodiscard]] bool is_one_external(const Json& segments);
/// A line per VNI, as `bridge -s vni show`. For is_one_external().
[[nodiscard]] std::string show_vnis(const Json& segments);
/// `100-200,300`: ascending, each once.
[[nodiscard]] std::string ranges(std::vector<std::uint64_t> numbers);

}  // namespace vxplane::control::ctl
