// Rules put in the order in which packets meet them. Run by control.
#include "dataplane/table/hook_set.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace vxplane::table {
namespace {

bool translates(RuleVerdict verdict) noexcept {
    return verdict == RuleVerdict::dnat || verdict == RuleVerdict::snat ||
           verdict == RuleVerdict::masquerade;
}

bool is_first(Hook hook) noexcept {
    return hook == Hook::prerouting || hook == Hook::output;
}
bool is_last(Hook hook) noexcept {
    return hook == Hook::postrouting || hook == Hook::input;
}

}  // namespace

RulePrefix::RulePrefix(const net::IpAddress& address, unsigned length) noexcept {
    length = address.is_v4() ? 96 + std::min(length, 32U) : std::min(length, 128U);
    net::IpAddress mask;
    net::IpAddress value;
    for (unsigned i = 0; i < 16; ++i) {
        const unsigned bits = std::min(8U, length - std::min(length, 8 * i));
        mask.bytes[i] = static_cast<std::uint8_t>(0xFF00U >> bits);
        value.bytes[i] = address.bytes[i] & mask.bytes[i];
    }
    low_ = value.low();
    high_ = value.high();
    low_mask_ = mask.low();
    high_mask_ = mask.high();
}

const char* HookSet::problem(const HookRule& rule) noexcept {
    for (const PortRange& range : {rule.source_ports, rule.destination_ports, rule.to_ports}) {
        if (range.low > range.high) {
            return "the first port of a range is above the last";
        }
    }
    switch (rule.verdict) {
        case RuleVerdict::dnat:
            return is_first(rule.hook) ? nullptr : "dnat is for prerouting and output";
        case RuleVerdict::snat:
            return is_last(rule.hook) ? nullptr : "snat is for input and postrouting";
        case RuleVerdict::masquerade:
            return rule.hook == Hook::postrouting ? nullptr : "masquerade is for postrouting";
        case RuleVerdict::notrack:
            return is_first(rule.hook) && rule.priority < hook_priority::kConntrack
                       ? nullptr
                       : "notrack is for prerouting and output, before priority -200";
        default:
            return nullptr;
    }
}

HookSet::HookSet(std::vector<HookRule> rules) : rules_(std::move(rules)) {
    std::erase_if(rules_, [](const HookRule& rule) { return problem(rule) != nullptr; });
    std::map<std::pair<Hook, int>, bool> translating;
    for (const HookRule& rule : rules_) {
        translating[{rule.hook, rule.priority}] |= translates(rule.verdict);
    }
    // A chain that translates stands where the kernel translates, whatever its priority.
    const auto place = [&](const HookRule& rule) {
        const bool nat = translating.at({rule.hook, rule.priority});
        const int turn = !nat                  ? rule.priority
                         : is_first(rule.hook) ? hook_priority::kDestinationNat
                                               : hook_priority::kSourceNat;
        return std::tuple(rule.hook, turn, !nat, rule.priority);
    };
    std::stable_sort(rules_.begin(), rules_.end(),
                     [&](const HookRule& a, const HookRule& b) { return place(a) < place(b); });
    for (std::uint32_t at = 0; at < rules_.size(); ++at) {
        const HookRule& rule = rules_[at];
        if (at == 0 || place(rule) != place(rules_[at - 1])) {
            const auto [hook, turn, plain, priority] = place(rule);
            chains_.push_back({turn, !plain, at, at});
            for (std::size_t later = static_cast<std::size_t>(hook) + 1; later <= kHooks; ++later) {
                first_[later] = static_cast<std::uint32_t>(chains_.size());
            }
        }
        chains_.back().end = at + 1;
    }
    asks_first_only_ = std::all_of(chains_.begin(), chains_.end(),
                                   [](const Chain& chain) { return chain.translates; });
}

}  // namespace vxplane::table
