// JSON files of recordings, as they are or packed. Met by the readers of both formats.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vxplane::oracle {

/// A .json file, or one packed by xz or gzip. Throws std::exception without the file's name.
nlohmann::json read_json(const std::string& path);
/// All recordings of a folder by name. Throws when there is none.
std::vector<std::string> recordings_in(const std::string& folder);
/// What a file says of itself, as "vxlan-oracle/1". Throws as the readers do.
std::string format_of(const std::string& path);

}  // namespace vxplane::oracle
