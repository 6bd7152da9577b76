// Large packets by port: what was merged and why no more was, what was cut and what was passed on.
#include <algorithm>

#include "control/stats/stats.hpp"

namespace vxplane::control::stats {

Reader::MergeTotals Reader::merge_totals(std::uint16_t id) const {
    MergeTotals sum{};
    for (const auto& worker : machine_.workers()) {
        const path::MergeCounters& c = worker->counters().merges[id];
        sum[0] += c.merged.get();
        sum[1] += c.large.get();
        sum[2] += c.cut.get();
        sum[3] += c.cut_frames.get();
        sum[4] += c.passed.get();
        for (std::size_t i = 0; i < step::kMergeEnds; ++i) {
            sum[5 + i] += c.ends[i].get();
        }
    }
    return sum;
}

Json Reader::merges(std::uint16_t id) const {
    MergeTotals now = merge_totals(id);
    for (std::size_t i = 0; i < now.size(); ++i) {
        now[i] -= merge_zero_[id][i];
    }
    bool merging = false;
    port::TsoAbility can;
    for (const auto& worker : machine_.workers()) {
        const auto& queues = worker->options().rx;
        merging |= std::any_of(queues.begin(), queues.end(), [id](const worker::RxQueue& rx) {
            return rx.port == id && rx.merge;
        });
        can = worker->options().lanes[id].tso;
    }
    Json ends = Json::object();
    for (std::size_t i = 0; i < step::kMergeEnds; ++i) {
        ends[std::string(step::kMergeEndNames[i])] = now[5 + i];
    }
    const char* takes = can.tunnel4 ? "tunnel" : can.plain ? "plain" : "none";
    return {{"gro", merging}, {"tso", takes},         {"merged", now[0]}, {"made", now[1]},
            {"cut", now[2]},  {"cut_frames", now[3]}, {"passed", now[4]}, {"ends", ends}};
}

}  // namespace vxplane::control::stats
