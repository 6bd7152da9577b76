// Smallest and largest values, used by the tables (files) and by validate (topologies made by
// hand).
#pragma once

#include <cstdint>

namespace vxplane::config::limits {

inline constexpr std::uint64_t cpu_max = 1023;  ///< CPU_SETSIZE - 1
inline constexpr std::uint64_t workers_max = 64;
inline constexpr std::uint64_t memory_min = 64ULL << 20;    ///< bytes
inline constexpr std::uint64_t memory_max = 1ULL << 42;     ///< bytes
inline constexpr std::uint64_t idle_after_max = 1'000'000;  ///< microseconds
inline constexpr std::uint64_t idle_sleep_min = 10;         ///< microseconds; less is a busy loop
inline constexpr std::uint64_t idle_sleep_max = 100'000;    ///< a tenth of what counts as stuck
inline constexpr std::uint64_t backlog_min = 32;            ///< a burst
inline constexpr std::uint64_t backlog_max = 1ULL << 20;
inline constexpr std::uint64_t mbufs_min = 1024;
inline constexpr std::uint64_t mbufs_max = 1ULL << 26;
inline constexpr std::uint64_t fdb_capacity_max = 1ULL << 26;
/// Half of what the 19-bit index of an FDB entry can name.
inline constexpr std::uint64_t tunnel_capacity_max = (1ULL << 18) - 1;
/// Segments are numbered in 16 bits of the FDB key; the last number means "none".
inline constexpr std::uint64_t segments_max = 65'000;
/// DPDK as Debian builds it opens 32 ports (RTE_MAX_ETHPORTS); a kernel twin is one of them.
inline constexpr std::uint64_t ports_max = 32;
inline constexpr std::uint64_t mtu_min = 68;  ///< RFC 791
inline constexpr std::uint64_t mtu_max = 9216;
/// Bits of the outer TOS by which IPv4 routes are chosen: Linux' IPTOS_RT_MASK.
inline constexpr std::uint64_t route_tos_mask = 0x1C;
inline constexpr std::uint64_t queues_max = 64;
inline constexpr std::uint64_t rss_key_max = 64;  ///< bytes; 40 and 52 are usual
inline constexpr std::uint64_t descriptors_min = 32;
inline constexpr std::uint64_t descriptors_max = 32768;
inline constexpr std::uint64_t vni_min = 1;
inline constexpr std::uint64_t vni_max = (1ULL << 24) - 1;  ///< 24 bits, RFC 7348 section 5
inline constexpr std::uint64_t group_max = 65535;           ///< 16 bits of a group policy
inline constexpr std::uint64_t ageing_max = 4294967;        ///< seconds; 2^32 ms
inline constexpr std::uint64_t socket_path_max = 107;       ///< bytes; sun_path less its NUL

/// Slaves are numbered in 16 bits; the last number means "none".
inline constexpr std::uint64_t slaves_max = 65'534;
/// Group addresses that a slave's filter holds, those that follow from its addresses included.
inline constexpr std::uint64_t groups_max = 28;
inline constexpr std::uint64_t rate_min = 1'000;              ///< bits per second
inline constexpr std::uint64_t rate_max = 4'000'000'000'000;  ///< 32 bits of bits per millisecond
inline constexpr std::uint64_t weight_max = 256;              ///< `ip route`: weight in 8 bits
inline constexpr std::uint64_t hops_max = 64;                 ///< next hops of one route
inline constexpr std::uint64_t timeout_min = 1;               ///< seconds
inline constexpr std::uint64_t timeout_max = 1'000'000;       ///< a clock of 32 bits tells it
inline constexpr std::uint64_t connections_min = 64;
inline constexpr std::uint64_t connections_max = 1ULL << 26;
/// Where connections become known to a packet (NF_IP_PRI_CONNTRACK).
inline constexpr int conntrack_priority = -200;

/// Outer IPv4 (20), UDP (8), VXLAN (8) and inner Ethernet (14) headers.
inline constexpr std::uint64_t vxlan_overhead = 50;
/// The same with outer IPv6 (40).
inline constexpr std::uint64_t vxlan_overhead6 = 70;
inline constexpr std::uint64_t flow_label_max = (1ULL << 20) - 1;  ///< RFC 8200 section 3

}  // namespace vxplane::config::limits
