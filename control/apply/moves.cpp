// One record for each address that moved lately.
#include "control/apply/moves.hpp"

#include <vector>

namespace vxplane::control {

bool Moves::is_too_many(std::uint64_t key, const MoveLimits& limits, Time now) {
    if (limits.moves == 0) {
        return false;
    }
    auto found = records_.find(key);
    if (found == records_.end()) {
        if (records_.size() >= kMost) {
            ++unwatched_;
            return false;
        }
        found = records_.try_emplace(key).first;
    }
    Record& record = found->second;
    if (record.duplicate) {
        return true;
    }
    if (record.moves == 0 || now >= record.until) {
        record.until = now + std::chrono::seconds(limits.seconds);
        record.moves = 0;
    }
    if (++record.moves <= limits.moves) {
        return false;
    }
    record.duplicate = true;
    record.until = limits.freeze == 0 ? Time::max() : now + std::chrono::seconds(limits.freeze);
    ++duplicates_;
    return true;
}

bool Moves::is_duplicate(std::uint64_t key) const {
    const auto found = records_.find(key);
    return found != records_.end() && found->second.duplicate;
}

void Moves::forget(std::uint64_t key) {
    const auto found = records_.find(key);
    if (found != records_.end()) {
        duplicates_ -= found->second.duplicate ? 1 : 0;
        records_.erase(found);
    }
}

void Moves::recover(Time now, const std::function<void(std::uint64_t)>& recovered) {
    if (records_.empty() || now - looked_ < std::chrono::seconds(1)) {
        return;
    }
    looked_ = now;
    std::vector<std::uint64_t> over;
    std::erase_if(records_, [&](const auto& one) {
        const bool is_over = now >= one.second.until;
        if (is_over && one.second.duplicate) {
            over.push_back(one.first);
        }
        return is_over;
    });
    duplicates_ -= over.size();
    for (const std::uint64_t key : over) {
        recovered(key);
    }
}

}  // namespace vxplane::control
