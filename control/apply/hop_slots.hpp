// Which member of a group of next hops serves a flow: slots that members hold, so that a member who
// leaves or comes moves no flow but its own (the kernel's resilient next-hop groups).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace vxplane::control {

/// The slots of one group. A plain value.
class GroupSlots {
  public:
    /// Number of a next hop, and how much of the whole it gets.
    using Member = std::pair<std::uint32_t, std::uint16_t>;
    static constexpr std::uint32_t kFewest = 256;
    static constexpr std::uint32_t kForEach = 32;

    GroupSlots() = default;
    /// Members keep the slots that they hold in `before`, as far as they still are due to them.
    /// Without members there are no slots.
    GroupSlots(std::vector<Member> members, const GroupSlots& before);

    [[nodiscard]] const std::vector<Member>& members() const noexcept { return members_; }
    /// A power of two of next hop numbers.
    [[nodiscard]] const std::vector<std::uint32_t>& slots() const noexcept { return slots_; }
    [[nodiscard]] std::uint32_t held_by(std::uint32_t member) const noexcept;

  private:
    std::vector<Member> members_;
    std::vector<std::uint32_t> slots_;
};

}  // namespace vxplane::control
