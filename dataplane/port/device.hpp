// Device strings: which driver a port wants, what is known of that driver, and whether the device
// is there. Opening a port meets this first; the failure texts for missing and busy devices come
// from here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/port/expected.hpp"

namespace vxplane::port {

/// What a virtual device's driver does, as tried with DPDK 22.11.
struct DriverFacts {
    std::string_view name;
    /// Chained mbufs leave as one whole frame.
    bool multi_segment_tx;
    /// The device string fixes the number of receive queues and all of them get packets.
    bool all_rx_queues;
    /// Receive and transmit queue, one of each.
    bool single_queue;
    /// The device takes frames for any destination address, so a MAC address is only our word.
    bool no_mac_filter;
};

/// Drivers that a vdev string may begin with.
[[nodiscard]] const std::vector<DriverFacts>& known_drivers() noexcept;

struct Device {
    bool pci = false;
    const DriverFacts* facts = nullptr;  ///< null for PCI
    std::string name{};                  ///< `net_tap0` or the full PCI address
    std::string arguments{};             ///< what follows the first comma
    std::vector<std::pair<std::string, std::string>> pairs{};  ///< the arguments, cut up

    /// Value of the first argument of that name, or nothing.
    [[nodiscard]] std::string argument(std::string_view key) const;
    /// The same as a number; `fallback` when it is missing, no number, or 0.
    [[nodiscard]] std::uint32_t number(std::string_view key, std::uint32_t fallback) const;
    [[nodiscard]] bool has(std::string_view key) const;
};

/// Whether packets of this MTU fit into the frames of a net_af_packet's ring.
[[nodiscard]] bool fits_packet_ring(const Device& device, std::uint16_t mtu);

/// Understands a PCI address or a vdev string. Fails for an unknown driver, listing the known ones.
[[nodiscard]] Expected<Device> parse_device(const std::string& text) noexcept;

/// The MTU that packet buffers are to be made for so that a port with this MTU opens on the device:
/// net_af_packet refuses buffers that do not hold a whole frame of its ring (`framesz`).
[[nodiscard]] std::uint16_t mtu_of_buffers(const std::string& device, std::uint16_t mtu) noexcept;

/// Looks whether what the device stands on is there and free: interface, file, folder of the
/// socket, PCI function and its kernel driver (below `root`, which tests may replace).
[[nodiscard]] Outcome check_device(const Device& device, const std::string& root) noexcept;

/// Names under which the device is locked. None for devices that live within the process.
[[nodiscard]] std::vector<std::string> lock_keys(const Device& device) noexcept;

}  // namespace vxplane::port
