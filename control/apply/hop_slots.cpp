#include "control/apply/hop_slots.hpp"

#include <algorithm>
#include <bit>
#include <map>

namespace vxplane::control {

namespace {

/// How many of `slots` each member is due, all together exactly `slots` (largest remainders).
std::map<std::uint32_t, std::uint32_t> shares(const std::vector<GroupSlots::Member>& members,
                                              std::uint32_t slots) {
    std::uint64_t sum = 0;
    for (const auto& [number, weight] : members) {
        sum += weight;
    }
    std::map<std::uint32_t, std::uint32_t> due;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> rest;
    std::uint32_t given = 0;
    for (const auto& [number, weight] : members) {
        const std::uint64_t part = std::uint64_t{slots} * weight;
        due[number] = static_cast<std::uint32_t>(part / sum);
        given += due[number];
        rest.emplace_back(part % sum, number);
    }
    std::sort(rest.begin(), rest.end(), [](const auto& one, const auto& other) {
        return one.first != other.first ? one.first > other.first : one.second < other.second;
    });
    for (std::uint32_t i = 0; given < slots; ++i, ++given) {
        ++due[rest[i % rest.size()].second];
    }
    return due;
}

}  // namespace

GroupSlots::GroupSlots(std::vector<Member> members, const GroupSlots& before)
    : members_(std::move(members)) {
    if (members_.empty()) {
        return;
    }
    const auto count = static_cast<std::uint32_t>(
        std::bit_ceil(std::max<std::size_t>(kFewest, members_.size() * kForEach)));
    // Never fewer than before: halving would move flows.
    const auto size = std::max(count, static_cast<std::uint32_t>(before.slots_.size()));
    std::map<std::uint32_t, std::uint32_t> due = shares(members_, size);
    constexpr std::uint32_t kVacant = 0;
    slots_.assign(size, kVacant);
    for (std::uint32_t i = 0; i < size && !before.slots_.empty(); ++i) {
        const std::uint32_t holder = before.slots_[i & (before.slots_.size() - 1)];
        const auto at = due.find(holder);
        if (at != due.end() && at->second != 0) {
            slots_[i] = holder;
            --at->second;
        }
    }
    // In turn, so that neighbouring slots go to different members.
    auto next = due.begin();
    for (std::uint32_t& slot : slots_) {
        if (slot != kVacant) {
            continue;
        }
        while (next->second == 0) {
            next = std::next(next) == due.end() ? due.begin() : std::next(next);
        }
        slot = next->first;
        --next->second;
        next = std::next(next) == due.end() ? due.begin() : std::next(next);
    }
}

std::uint32_t GroupSlots::held_by(std::uint32_t member) const noexcept {
    return static_cast<std::uint32_t>(std::count(slots_.begin(), slots_.end(), member));
}

}  // namespace vxplane::control
