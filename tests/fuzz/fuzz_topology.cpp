// Any bytes as a topology file: loading never throws or crashes, and says what is wrong.
#include <cstdio>
#include <cstdlib>

#include "config/load.hpp"
#include "config/validate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vxplane::config;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const LoadResult loaded = load_text(text, "fuzz.yaml");
    for (const Problem& problem : loaded.problems)
        if (problem.message.empty()) std::abort();
    // What loads without a problem must be fit for judging.
    if (loaded.problems.empty()) static_cast<void>(validate(loaded.topology));
    return 0;
}
