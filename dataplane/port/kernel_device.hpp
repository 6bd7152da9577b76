// The kernel's side of a device: what DPDK's drivers cannot be asked, asked of the kernel itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace vxplane::port {

/// Name of the kernel's driver behind an interface (`tun`, `veth`, `ixgbe`), or nothing.
[[nodiscard]] std::string kernel_driver(const std::string& interface) noexcept;

/// MTU of an interface of this network namespace; none when there is no such interface.
[[nodiscard]] std::optional<std::uint16_t> kernel_mtu(const std::string& interface) noexcept;
/// False when the kernel refuses.
[[nodiscard]] bool set_kernel_mtu(const std::string& interface, std::uint16_t mtu) noexcept;

/// Sets an interface of this network namespace up or down. False when the kernel refuses.
[[nodiscard]] bool set_kernel_up(const std::string& interface, bool up) noexcept;

/// Adds a multicast MAC address to the filter of the interface, or takes it out.
bool hear_kernel_group(const std::string& interface, const std::uint8_t* mac, bool on) noexcept;

}  // namespace vxplane::port
