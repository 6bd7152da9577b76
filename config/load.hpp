// From a topology file to values. Met by the daemon at start and reload, by `vxplane --check` and
// by the fuzzer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"
#include "config/topology.hpp"

namespace vxplane::config {

/// The topology is complete only when there are no problems. Problems stand in the order of the
/// file.
struct LoadResult {
    Topology topology;
    Problems problems;
};

/// Reads a file of at most 256 MiB. Never throws: a file that is missing is a problem too.
[[nodiscard]] LoadResult load_file(const std::string& path);

/// Reads `text`, which may hold any bytes; `name` is the file that problems name. Never throws.
[[nodiscard]] LoadResult load_text(std::string_view text, const std::string& name);

/// `load_file`, and `validate` when it found nothing: what every user of a file wants.
[[nodiscard]] LoadResult check_file(const std::string& path);
[[nodiscard]] LoadResult check_text(std::string_view text, const std::string& name);

/// A key of a vxlan that has one value, or a list of plain ones, and can change while it runs.
struct LiveKey {
    std::string name;
    std::string description;
};
[[nodiscard]] std::vector<LiveKey> live_keys_of_vxlans();

/// Puts `text`, written as the value in a file, in the place of what the vxlan has for that key; a
/// list is written `a,b` or `none`. What is wrong with it, if anything: the vxlan stays as it was
/// then.
[[nodiscard]] std::optional<std::string> set_live_key(Vxlan& vxlan, std::string_view key,
                                                      std::string_view text);

}  // namespace vxplane::config
