// Large packets at a port: which ones its driver takes on transmit and leaves cutting to the device
// or to a guest, and whether it hands such packets over on receive. Opening a port meets this; the
// exit of the data plane asks for the answer.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/port/expected.hpp"

struct rte_eth_conf;
struct rte_eth_dev_info;

namespace vxplane::port {

/// A key of the topology that can be left to the machine.
enum class Wish : std::uint8_t { automatic, on, off };

/// The large packets that a port takes.
struct TsoAbility {
    bool plain = false;                      ///< TCP over IPv4 and IPv6
    bool tunnel4 = false;                    ///< the same in VXLAN over IPv4
    bool tunnel6 = false;                    ///< and over IPv6
    std::uint16_t max_buffers = UINT16_MAX;  ///< of one packet
    [[nodiscard]] bool any() const noexcept { return plain; }
};

/// What of `info` is to be used, and sets the transmit offloads for it in `conf`. `driver`: as DPDK
/// calls it; `vhost_tso`: the device string says `tso=1`, which net_vhost does not report. Fails
/// when `wish` is on and the device has nothing of the kind.
[[nodiscard]] Expected<TsoAbility> choose_tso(Wish wish, bool vhost_tso, std::string_view driver,
                                              const rte_eth_dev_info& info,
                                              rte_eth_conf& conf) noexcept;

/// Whether received packets may be large: asks a virtio device for them when `wanted`, and a
/// net_vhost whose device string says `tso=1` (`vhost_tso`) delivers them anyway.
[[nodiscard]] bool choose_large_rx(bool wanted, bool vhost_tso, std::string_view driver,
                                   const rte_eth_dev_info& info, rte_eth_conf& conf) noexcept;

}  // namespace vxplane::port
