// What each key may hold: words and limits by name. Met by tables.cpp, which gives them to keys.
#pragma once

#include <array>
#include <limits>

#include "config/keys.hpp"
#include "config/limits.hpp"

namespace vxplane::config::values {

using Kind = ValueType::Kind;
using Words = std::string_view;

// The words stand in the order of the enumerations in topology.hpp.
inline constexpr std::array hugepages_words{Words("auto"), Words("require"), Words("off")};
inline constexpr std::array idle_words{Words("busy"), Words("adaptive"), Words("interrupt")};
inline constexpr std::array log_words{Words("trace"), Words("debug"), Words("info"),
                                      Words("warning"), Words("error")};
inline constexpr std::array role_words{Words("underlay"), Words("access")};
inline constexpr std::array route_words{Words("unicast"),     Words("local"),    Words("blackhole"),
                                        Words("unreachable"), Words("prohibit"), Words("throw")};
inline constexpr std::array steering_words{Words("none"), Words("software")};
inline constexpr std::array rss_words{
    Words("ipv4"),      Words("ipv4-frag"),  Words("ipv4-tcp"),  Words("ipv4-udp"),
    Words("ipv4-sctp"), Words("ipv4-other"), Words("ipv6"),      Words("ipv6-frag"),
    Words("ipv6-tcp"),  Words("ipv6-udp"),   Words("ipv6-sctp"), Words("ipv6-other"),
    Words("tcp"),       Words("udp"),        Words("sctp"),      Words("l2-payload")};
inline constexpr std::array level_words{Words("outer"), Words("inner")};
inline constexpr std::array policy_words{Words("applied"), Words("dont-learn")};
inline constexpr std::array auto_on_off_words{Words("auto"), Words("on"), Words("off")};
inline constexpr std::array fdb_words{Words("permanent"), Words("static")};
inline constexpr std::array df_words{Words("unset"), Words("set"), Words("inherit")};
inline constexpr std::array ttl_words{Words("auto"), Words("inherit")};
inline constexpr std::array<std::int64_t, 2> ttl_numbers{0, 256};
// The kernel writes `inherit` as 1, too: the lowest bits are those of ECN and cannot be given.
inline constexpr std::array tos_words{Words("inherit")};
inline constexpr std::array<std::int64_t, 1> tos_numbers{1};
inline constexpr std::array label_words{Words("entropy"), Words("inherit")};
inline constexpr std::array<std::int64_t, 2> label_numbers{1 << 20, (1 << 20) + 1};
inline constexpr std::array fragment_words{Words("off"), Words("outer"), Words("inner")};
inline constexpr std::array conflict_words{Words("drop"), Words("forward")};
inline constexpr std::array ecn_words{Words("rfc6040"), Words("rfc3168")};
inline constexpr std::array fallback_words{Words("flood"), Words("kernel")};
inline constexpr std::array link_state_words{Words("up"), Words("down")};
inline constexpr std::array filter_words{Words("exclude"), Words("include")};
inline constexpr std::array auto_word{Words("auto")};
inline constexpr std::array dynamic_word{Words("dynamic")};
inline constexpr std::array default_words{Words("default"), Words("default6")};
inline constexpr std::array mode_words{Words("l2"), Words("l3"), Words("l3s")};
inline constexpr std::array flag_words{Words("bridge"), Words("private"), Words("vepa")};
inline constexpr std::array rp_filter_words{Words("off"), Words("strict"), Words("loose")};
inline constexpr std::array hook_words{Words("prerouting"), Words("input"), Words("forward"),
                                       Words("output"), Words("postrouting")};
inline constexpr std::array action_words{Words("accept"), Words("drop"),      Words("reject"),
                                         Words("return"), Words("notrack"),   Words("dnat"),
                                         Words("snat"),   Words("masquerade")};
inline constexpr std::array ct_words{Words("new"), Words("established"), Words("related"),
                                     Words("invalid"), Words("untracked")};
inline constexpr std::array protocol_words{Words("tcp"), Words("udp"), Words("icmp"),
                                           Words("icmpv6"), Words("sctp")};
inline constexpr std::array<std::int64_t, 5> protocol_numbers{6, 17, 1, 58, 132};
// NF_IP_PRI_*, as nft names them.
inline constexpr std::array priority_words{Words("raw"), Words("mangle"), Words("dstnat"),
                                           Words("filter"), Words("srcnat")};
inline constexpr std::array<std::int64_t, 5> priority_numbers{-300, -150, -100, 0, 100};

constexpr ValueType integer(std::uint64_t min, std::uint64_t max) {
    return {.kind = Kind::integer, .min = min, .max = max};
}
constexpr ValueType auto_or(std::uint64_t min, std::uint64_t max) {
    return {.kind = Kind::integer, .min = min, .max = max, .words = auto_word};
}
constexpr ValueType one_of(std::span<const Words> words) {
    return {.kind = Kind::word, .words = words};
}
constexpr ValueType list_of(const ValueType& item) {
    return {.kind = Kind::list, .item = &item};
}

inline constexpr std::uint64_t any_u32 = std::numeric_limits<std::uint32_t>::max();

inline constexpr ValueType boolean{.kind = Kind::boolean};
inline constexpr ValueType text{.kind = Kind::text};
inline constexpr ValueType texts = list_of(text);
inline constexpr ValueType mac{.kind = Kind::mac};
inline constexpr ValueType ip{.kind = Kind::ip};
inline constexpr ValueType ips = list_of(ip);
inline constexpr ValueType ip_or_ips{.kind = Kind::one_or_list, .item = &ip};
inline constexpr ValueType prefix{.kind = Kind::prefix};
inline constexpr ValueType prefixes = list_of(prefix);
inline constexpr ValueType destination{.kind = Kind::prefix, .words = default_words};
inline constexpr ValueType network{.kind = Kind::network};
inline constexpr ValueType ports{.kind = Kind::ports};
inline constexpr ValueType nat_ports{.kind = Kind::ports, .min = 1};
inline constexpr ValueType rate{
    .kind = Kind::rate, .min = limits::rate_min, .max = limits::rate_max};
inline constexpr ValueType mode = one_of(mode_words);
inline constexpr ValueType flag = one_of(flag_words);
inline constexpr ValueType rp_filter = one_of(rp_filter_words);
inline constexpr ValueType hook = one_of(hook_words);
inline constexpr ValueType action = one_of(action_words);
inline constexpr ValueType ct_word = one_of(ct_words);
inline constexpr ValueType ct{.kind = Kind::one_or_list, .item = &ct_word};
inline constexpr ValueType protocol{.kind = Kind::named_number,
                                    .min = 1,
                                    .max = 255,
                                    .words = protocol_words,
                                    .numbers = protocol_numbers};
inline constexpr ValueType priority{.kind = Kind::named_number,
                                    .min = static_cast<std::uint64_t>(-1000),
                                    .max = 1000,
                                    .words = priority_words,
                                    .numbers = priority_numbers};
inline constexpr ValueType weight = integer(1, limits::weight_max);
inline constexpr ValueType timeout = integer(limits::timeout_min, limits::timeout_max);
inline constexpr ValueType connections = integer(limits::connections_min, limits::connections_max);
inline constexpr ValueType port_range{
    .kind = Kind::port_range, .max = 65536, .words = dynamic_word};
inline constexpr ValueType cpus{.kind = Kind::cpus, .max = limits::cpu_max};
inline constexpr ValueType cpu = integer(0, limits::cpu_max);
inline constexpr ValueType memory{
    .kind = Kind::size, .min = limits::memory_min, .max = limits::memory_max};
inline constexpr ValueType hugepages = one_of(hugepages_words);
inline constexpr ValueType idle = one_of(idle_words);
inline constexpr ValueType idle_after = integer(0, limits::idle_after_max);
inline constexpr ValueType idle_sleep = integer(limits::idle_sleep_min, limits::idle_sleep_max);
inline constexpr ValueType log_level = one_of(log_words);
inline constexpr ValueType mbufs = auto_or(limits::mbufs_min, limits::mbufs_max);
inline constexpr ValueType fdb_capacity = integer(1, limits::fdb_capacity_max);
inline constexpr ValueType tunnel_capacity = integer(1, limits::tunnel_capacity_max);
inline constexpr ValueType role = one_of(role_words);
inline constexpr ValueType mtu = integer(limits::mtu_min, limits::mtu_max);
inline constexpr ValueType queues = auto_or(1, limits::queues_max);
inline constexpr ValueType descriptors = integer(limits::descriptors_min, limits::descriptors_max);
inline constexpr ValueType rss_word = one_of(rss_words);
inline constexpr ValueType rss = list_of(rss_word);
inline constexpr ValueType rss_level = one_of(level_words);
inline constexpr ValueType queue = integer(0, limits::queues_max - 1);
inline constexpr ValueType queue_list = list_of(queue);
inline constexpr ValueType group = integer(0, limits::group_max);
inline constexpr ValueType groups = list_of(group);
inline constexpr ValueType policy_flag = one_of(policy_words);
inline constexpr ValueType policy_flags = list_of(policy_flag);
inline constexpr ValueType cpu_list = list_of(cpu);
inline constexpr ValueType auto_on_off = one_of(auto_on_off_words);
inline constexpr ValueType steering = one_of(steering_words);
inline constexpr ValueType backlog = integer(limits::backlog_min, limits::backlog_max);
inline constexpr ValueType route_type = one_of(route_words);
inline constexpr ValueType vni = integer(limits::vni_min, limits::vni_max);
inline constexpr ValueType vid = integer(1, 4094);
inline constexpr ValueType udp_port = integer(1, 65535);
inline constexpr ValueType ttl{
    .kind = Kind::named_number, .min = 0, .max = 255, .words = ttl_words, .numbers = ttl_numbers};
inline constexpr ValueType tos{
    .kind = Kind::named_number, .min = 0, .max = 255, .words = tos_words, .numbers = tos_numbers};
inline constexpr ValueType route_tos = integer(0, limits::route_tos_mask);
inline constexpr ValueType df = one_of(df_words);
inline constexpr ValueType flow_label{.kind = Kind::named_number,
                                      .min = 0,
                                      .max = limits::flow_label_max,
                                      .words = label_words,
                                      .numbers = label_numbers};
inline constexpr ValueType ecn = one_of(ecn_words);
inline constexpr ValueType fragment = one_of(fragment_words);
inline constexpr ValueType fdb_conflict = one_of(conflict_words);
inline constexpr ValueType proxy_fallback = one_of(fallback_words);
inline constexpr ValueType link_state = one_of(link_state_words);
inline constexpr ValueType filter_mode = one_of(filter_words);
inline constexpr ValueType texts_or_one{.kind = Kind::one_or_list, .item = &text};
inline constexpr ValueType networks = list_of(network);
inline constexpr ValueType flood_limit = integer(0, 10'000'000);
inline constexpr ValueType icmp_rate = integer(0, 1'000'000);
inline constexpr ValueType neigh_maxaddr = integer(1, 1'000'000);
inline constexpr ValueType max_moves = integer(0, 1000);
inline constexpr ValueType dup_addr_time = integer(2, 1800);
inline constexpr ValueType dup_addr_freeze = integer(0, 3600);
inline constexpr ValueType ageing = integer(0, limits::ageing_max);
inline constexpr ValueType u32 = integer(0, any_u32);
inline constexpr ValueType nexthop_id = integer(1, any_u32);
inline constexpr ValueType fdb_state = one_of(fdb_words);
inline constexpr ValueType version = integer(1, 1);

}  // namespace vxplane::config::values
