// Rules at the five places where a packet can be judged on its way, in the order of their
// priorities (the kernel's netfilter hooks).
#pragma once

#include <array>
#include <cstdint>

namespace vxplane::table {

/// In the order in which a packet meets them; output comes before postrouting for packets that
/// are made here (include/uapi/linux/netfilter.h).
enum class Hook : std::uint8_t { prerouting, input, forward, output, postrouting, count };
constexpr std::size_t kHooks = static_cast<std::size_t>(Hook::count);

/// The rules of one place: of a slave, or of a master's host side.
struct HookSet {};

}  // namespace vxplane::table
