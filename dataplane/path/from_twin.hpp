// The journey of the host's own frames: from the kernel's side of an underlay port to the wire.
#pragma once

#include "dataplane/path/path.hpp"
#include "dataplane/step/pass_through.hpp"

namespace vxplane::path {

struct FromTwinName {
    static constexpr std::string_view text = "from_twin";
    static constexpr PathId id = PathId::from_twin;
};
struct PassStage {
    static constexpr std::string_view text = "pass";
};

using FromTwin = Path<FromTwinName, Stage<PassStage, step::PassThrough>>;

}  // namespace vxplane::path
