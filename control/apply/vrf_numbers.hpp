// Numbers of tenants: what `vrf: NAME` is for workers, as conntrack zone and half of the scope of
// addresses. Met by Slaves alone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace vxplane::control {

/// Each name keeps its number as long as the process: connections of a tenant that comes back are
/// its own. Hence names of all topologies since the start count.
class VrfNumbers {
  public:
    /// 0 is what slaves without a vrf share.
    static constexpr std::uint16_t kLast = 0xFFFF;

    /// The number from now on; none when the ipvlan has used them up.
    std::optional<std::uint16_t> number_of(const std::string& ipvlan, const std::string& vrf) {
        if (vrf.empty()) {
            return std::uint16_t{0};
        }
        if (const auto known = find(ipvlan, vrf)) {
            return known;
        }
        std::uint16_t& last = last_[ipvlan];
        if (last == kLast) {
            return std::nullopt;
        }
        numbers_[{ipvlan, vrf}] = ++last;
        return last;
    }
    [[nodiscard]] std::optional<std::uint16_t> find(const std::string& ipvlan,
                                                    const std::string& vrf) const {
        const auto at = numbers_.find({ipvlan, vrf});
        return at == numbers_.end() ? std::nullopt : std::optional(at->second);
    }
    /// Empty when there is none of this number.
    [[nodiscard]] std::string name(const std::string& ipvlan, std::uint16_t number) const {
        for (auto at = numbers_.lower_bound({ipvlan, ""});
             at != numbers_.end() && at->first.first == ipvlan; ++at) {
            if (at->second == number) {
                return at->first.second;
            }
        }
        return "";
    }

  private:
    std::map<std::pair<std::string, std::string>, std::uint16_t> numbers_;
    std::map<std::string, std::uint16_t> last_;
};

}  // namespace vxplane::control
