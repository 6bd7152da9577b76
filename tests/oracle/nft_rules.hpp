// The part of nft(8)'s language that recordings use, as rules of the data plane's hooks.
#pragma once

#include <string>
#include <vector>

#include "dataplane/table/hook_set.hpp"

namespace vxplane::oracle {

struct NftRule {
    table::HookRule rule{};
    bool counts = false;   ///< has a counter; nft prints those in the order of the rules
    bool never = false;    ///< cannot match here: names an interface that no packet comes by
    bool unknown = false;  ///< counts what the data plane does not know of packets
    [[nodiscard]] bool translates() const {
        return rule.verdict == table::RuleVerdict::dnat ||
               rule.verdict == table::RuleVerdict::snat ||
               rule.verdict == table::RuleVerdict::masquerade;
    }
};

/// Adds the rules of "table inet NAME { chain ... }" in a namespace whose ipvlan device (master or
/// slave) is `device`. Ids go on from those that are there. A rule that only counts becomes one of
/// a priority of its own, since `accept` ends the others of its priority. Throws Unsupported.
void read_nft(const std::string& text, const std::string& device, std::vector<NftRule>& rules);

}  // namespace vxplane::oracle
