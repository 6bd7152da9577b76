// The course of a scenario: what was done and what was seen, cut where time passed.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ipvlan_setup.hpp"

namespace vxplane::oracle {

/// What happened without a pause.
struct Passage {
    std::uint32_t waited = 0;                ///< milliseconds before it
    std::vector<nlohmann::json> commands{};  ///< done before it
    std::vector<Injected> stimuli{};         ///< injected and sent by stacks, by time
    std::set<std::string> speakers{};        ///< namespaces whose programs send: to themselves, too
    std::vector<net::IpAddress> told{};      ///< programs of the host send there
    std::vector<Bytes> sent_by_stacks{};
    Frames seen{};                                         ///< by port
    std::map<std::string, std::vector<Bytes>> accepted{};  ///< by namespace

    [[nodiscard]] bool is_quiet() const { return stimuli.empty() && seen.empty() && told.empty(); }
};

/// Throws Unsupported for a step that is not known.
std::vector<Passage> course_of(const Scenario& scenario);

}  // namespace vxplane::oracle
