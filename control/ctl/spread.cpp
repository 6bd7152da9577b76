// The words for plans and tables.
#include "control/ctl/spread.hpp"

namespace vxplane::control::ctl {

Json tx_plan(const Json& worker) {
    Json plan = Json::array();
    for (const auto& lane : at(worker, "/tx")) {
        const Json& through = at(lane, "/through_worker");
        plan.push_back(cell(at(lane, "/queue")) + (through.is_null() ? "" : ">" + cell(through)));
    }
    return plan;
}

std::string reta_text(const Json& reta) {
    if (!reta.is_array() || reta.empty()) return {};
    std::size_t period = 1;
    for (; period < reta.size(); ++period) {
        bool repeats = true;
        for (std::size_t i = period; i < reta.size() && repeats; ++i) {
            repeats = reta[i] == reta[i - period];
        }
        if (repeats) break;
    }
    std::string text = std::to_string(reta.size()) + " entries: queue";
    for (std::size_t i = 0; i < period; ++i) text += " " + cell(reta[i]);
    return text + (period < reta.size() ? ", repeated" : "");
}

}  // namespace vxplane::control::ctl
