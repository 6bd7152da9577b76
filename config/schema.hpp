// The JSON schema of topology files, for editors. Written from the same tables as the loader.
#pragma once

#include <string>

namespace vxplane::config {

/// The content of schema/topology.schema.json (JSON Schema draft-07).
[[nodiscard]] std::string schema_text();

}  // namespace vxplane::config
