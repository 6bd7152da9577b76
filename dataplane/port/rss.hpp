// Receive side scaling: by which headers, with which key and through which indirection table a NIC
// chooses the receive queue of a frame. Met when a port is opened, shown, or given another table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/port/expected.hpp"

struct rte_eth_dev_info;

namespace vxplane::port {

/// A word of the topology and RTE_ETH_RSS_ bits.
struct RssType {
    std::string_view name;
    std::uint64_t bits;
};

/// All that can be asked for; `ipv4`, `ipv6`, `tcp`, `udp` and `sctp` are groups of the others.
[[nodiscard]] std::span<const RssType> rss_types() noexcept;

/// What is asked for.
struct RssOptions {
    enum class Key : std::uint8_t { device, symmetric, given };
    /// Names from rss_types(). Empty: IP addresses and TCP and UDP ports as far as the device can.
    std::vector<std::string> types{};
    Key key = Key::device;
    std::vector<std::uint8_t> bytes{};  ///< of Key::given
    bool inner = false;                 ///< hash what a tunnel carries
    /// Receive queues of the indirection table, repeated until it is full; empty: the device's way.
    std::vector<std::uint16_t> reta{};
};

/// What a device does, as it says itself. All empty when it spreads nothing.
struct RssState {
    std::vector<std::string> types{};
    std::vector<std::string> possible{};  ///< types that the device knows
    std::vector<std::uint8_t> key{};
    bool symmetric = false;             ///< the key makes both directions of a flow alike
    bool inner = false;                 ///< hashes what a tunnel carries
    bool can_inner = false;             ///< could do so
    std::vector<std::uint16_t> reta{};  ///< queue of each entry of the indirection table
};

/// A key that repeats two bytes hashes both directions of a flow alike: Woo and Park, "Scalable TCP
/// Session Monitoring with Symmetric Receive-Side Scaling", 2012.
[[nodiscard]] std::vector<std::uint8_t> symmetric_key(std::size_t size);

/// The rss_hf bits to configure for `queues` receive queues: 0 with fewer than two. A Failure names
/// the key of the topology at fault and what the device accepts. `missing`: types that were not
/// asked for by name and are not there.
[[nodiscard]] Expected<std::uint64_t> choose_rss(const RssOptions& options,
                                                 const rte_eth_dev_info& info, std::uint16_t queues,
                                                 std::string& missing) noexcept;
/// The key to configure: empty for the device's own.
[[nodiscard]] std::vector<std::uint8_t> choose_rss_key(const RssOptions& options,
                                                       const rte_eth_dev_info& info);
/// Asks the device. `queues`: as configured.
[[nodiscard]] RssState read_rss(std::uint16_t port, std::uint16_t queues) noexcept;
/// Makes a started device do what it was configured to, for drivers that pass over it. `key` may be
/// empty.
[[nodiscard]] Outcome ensure_rss(std::uint16_t port, std::uint64_t bits,
                                 const std::vector<std::uint8_t>& key) noexcept;
/// Fills the indirection table with `pattern`, repeated. On a started port flows that change their
/// queue may be reordered once.
[[nodiscard]] Outcome write_reta(std::uint16_t port, std::span<const std::uint16_t> pattern,
                                 std::uint16_t queues) noexcept;

}  // namespace vxplane::port
