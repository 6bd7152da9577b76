// Any bytes as a topology file: loading never throws or crashes, and says what is wrong.
#include <cstdio>
#include <cstdlib>

#include "config/diff.hpp"
#include "config/load.hpp"
#include "config/resolve.hpp"
#include "config/validate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vxplane::config;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const LoadResult loaded = load_text(text, "fuzz.yaml");
    for (const Problem& problem : loaded.problems)
        if (problem.message.empty()) std::abort();
    // What loads without a problem must be fit for judging, and for telling what it would change.
    if (!loaded.problems.empty() || !validate(loaded.topology).empty()) return 0;
    if (!diff(loaded.topology, loaded.topology).empty()) std::abort();
    static_cast<void>(diff({}, loaded.topology));
    for (const Ipvlan& ipvlan : loaded.topology.ipvlans) {
        const bool tracks = conntrack_on(ipvlan);
        for (const Rule& rule : link_rules(ipvlan)) {
            if (rule.action >= RuleAction::dnat && !tracks) std::abort();
        }
    }
    return 0;
}
