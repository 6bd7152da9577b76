// Between the words of a topology and what ethdev calls them.
#include "dataplane/port/rss.hpp"

#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <array>

namespace vxplane::port {
namespace {

constexpr std::uint64_t ipv4_bits =
    RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER;
constexpr std::uint64_t ipv6_bits =
    RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;

// Groups first: they are shown in place of their parts when all of these are on. TCP and UDP
// hashing takes the ports in as well; fragments fall back to the addresses.
constexpr std::array types{
    RssType{"ipv4", ipv4_bits},
    RssType{"ipv6", ipv6_bits},
    RssType{"tcp", RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP},
    RssType{"udp", RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP},
    RssType{"sctp", RTE_ETH_RSS_NONFRAG_IPV4_SCTP | RTE_ETH_RSS_NONFRAG_IPV6_SCTP},
    RssType{"ipv4-frag", RTE_ETH_RSS_FRAG_IPV4},
    RssType{"ipv4-tcp", RTE_ETH_RSS_NONFRAG_IPV4_TCP},
    RssType{"ipv4-udp", RTE_ETH_RSS_NONFRAG_IPV4_UDP},
    RssType{"ipv4-sctp", RTE_ETH_RSS_NONFRAG_IPV4_SCTP},
    RssType{"ipv4-other", RTE_ETH_RSS_NONFRAG_IPV4_OTHER},
    RssType{"ipv6-frag", RTE_ETH_RSS_FRAG_IPV6},
    RssType{"ipv6-tcp", RTE_ETH_RSS_NONFRAG_IPV6_TCP},
    RssType{"ipv6-udp", RTE_ETH_RSS_NONFRAG_IPV6_UDP},
    RssType{"ipv6-sctp", RTE_ETH_RSS_NONFRAG_IPV6_SCTP},
    RssType{"ipv6-other", RTE_ETH_RSS_NONFRAG_IPV6_OTHER},
    RssType{"l2-payload", RTE_ETH_RSS_L2_PAYLOAD},
};

/// Without a word about types; what most NICs can do.
constexpr std::array default_types{"ipv4", "ipv6", "tcp", "udp"};

constexpr std::size_t usual_key_size = 40;
constexpr std::array<std::uint8_t, 2> symmetric_pair{0x6D, 0x5A};

std::string_view joined(std::string& into, std::string_view word) {
    into += (into.empty() ? "" : ", ") + std::string{word};
    return into;
}

std::uint64_t bits_of(std::string_view name) {
    const auto found = std::ranges::find(types, name, &RssType::name);
    return found == types.end() ? 0 : found->bits;
}

/// Names of what is in `bits`; a group in place of its parts.
std::vector<std::string> names_of(std::uint64_t bits) {
    std::vector<std::string> names;
    std::uint64_t named = 0;
    for (const RssType& type : types) {
        // A device that hashes addresses is said to do so, whatever it makes of fragments.
        const std::uint64_t least = type.bits & (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6)
                                        ? type.bits & (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6)
                                        : type.bits;
        if ((bits & least) != least || (type.bits & bits & ~named) == 0) continue;
        names.emplace_back(type.name);
        named |= type.bits;
    }
    return names;
}

std::string accepted(const rte_eth_dev_info& info) {
    std::string text;
    for (const RssType& type : types)
        if ((type.bits & info.flow_type_rss_offloads) != 0) joined(text, type.name);
    return text.empty() ? "none" : text;
}

bool is_symmetric(const std::vector<std::uint8_t>& key) {
    if (key.size() < 2) return false;
    for (std::size_t i = 2; i < key.size(); ++i)
        if (key[i] != key[i % 2]) return false;
    return true;
}

std::size_t key_size(const rte_eth_dev_info& info) {
    return info.hash_key_size == 0 ? usual_key_size : info.hash_key_size;
}

Failure at_key(const char* key, const std::string& text) {
    return Failure{text, key};
}

}  // namespace

std::span<const RssType> rss_types() noexcept {
    return types;
}

std::vector<std::uint8_t> symmetric_key(std::size_t size) {
    std::vector<std::uint8_t> key(size);
    for (std::size_t i = 0; i < size; ++i) key[i] = symmetric_pair[i % 2];
    return key;
}

Expected<std::uint64_t> choose_rss(const RssOptions& options, const rte_eth_dev_info& info,
                                   std::uint16_t queues, std::string& missing) noexcept {
    const std::uint64_t can = info.flow_type_rss_offloads;
    std::uint64_t bits = 0;
    std::string refused;
    for (const std::string& name : options.types) {
        const std::uint64_t wanted = bits_of(name);
        if ((wanted & can) == 0) joined(refused, name);
        bits |= wanted & can;
    }
    if (!refused.empty())
        return at_key("rss",
                      "the device cannot hash " + refused + " (accepted: " + accepted(info) + ")");
    if (options.key == RssOptions::Key::given && options.bytes.size() != key_size(info))
        return at_key("rss-key", "a key of " + std::to_string(options.bytes.size()) +
                                     " bytes, and the device takes " +
                                     std::to_string(key_size(info)) + " (default, symmetric, or " +
                                     std::to_string(key_size(info)) + " bytes in hexadecimal)");
    if (options.inner && (can & RTE_ETH_RSS_LEVEL_INNERMOST) == 0)
        return at_key("rss-level",
                      "the device cannot hash what a tunnel carries (outer; or system: steering: "
                      "software)");
    if (!options.reta.empty() && info.reta_size == 0)
        return at_key("rss-reta",
                      "the device has no indirection table that can be set (no such key)");
    for (const std::uint16_t queue : options.reta)
        if (queue >= queues)
            return at_key("rss-reta", "there is no receive queue " + std::to_string(queue) +
                                          " (0 to " + std::to_string(queues - 1) + ")");
    if (queues < 2) return std::uint64_t{0};
    if (options.types.empty()) {
        for (const char* name : default_types) {
            const std::uint64_t there = bits_of(name) & can;
            if (there == 0) joined(missing, name);
            bits |= there;
        }
    }
    if (bits != 0 && options.inner) bits |= RTE_ETH_RSS_LEVEL_INNERMOST;
    return bits;
}

std::vector<std::uint8_t> choose_rss_key(const RssOptions& options, const rte_eth_dev_info& info) {
    switch (options.key) {
        case RssOptions::Key::device:
            return {};
        case RssOptions::Key::symmetric:
            return symmetric_key(key_size(info));
        case RssOptions::Key::given:
            return options.bytes;
    }
    return {};
}

RssState read_rss(std::uint16_t port, std::uint16_t queues) noexcept {
    RssState state;
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(port, &info) != 0) return state;
    state.possible = names_of(info.flow_type_rss_offloads);
    state.can_inner = (info.flow_type_rss_offloads & RTE_ETH_RSS_LEVEL_INNERMOST) != 0;
    if (queues < 2) return state;
    std::vector<std::uint8_t> key(key_size(info));
    rte_eth_rss_conf conf{};
    conf.rss_key = key.data();
    conf.rss_key_len = static_cast<std::uint8_t>(key.size());
    if (rte_eth_dev_rss_hash_conf_get(port, &conf) == 0) {
        state.types = names_of(conf.rss_hf);
        state.inner = (conf.rss_hf & RTE_ETH_RSS_LEVEL_MASK) == RTE_ETH_RSS_LEVEL_INNERMOST;
        state.key = std::move(key);
        state.symmetric = is_symmetric(state.key);
    }
    if (info.reta_size == 0) return state;
    const std::size_t groups =
        (info.reta_size + RTE_ETH_RETA_GROUP_SIZE - 1U) / RTE_ETH_RETA_GROUP_SIZE;
    std::vector<rte_eth_rss_reta_entry64> table(groups);
    for (rte_eth_rss_reta_entry64& group : table) group.mask = ~std::uint64_t{0};
    if (rte_eth_dev_rss_reta_query(port, table.data(), info.reta_size) != 0) return state;
    for (std::size_t i = 0; i < info.reta_size; ++i)
        state.reta.push_back(table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE]);
    return state;
}

Outcome ensure_rss(std::uint16_t port, std::uint64_t bits,
                   const std::vector<std::uint8_t>& key) noexcept {
    rte_eth_dev_info info{};
    std::vector<std::uint8_t> has;
    rte_eth_rss_conf conf{};
    if (rte_eth_dev_info_get(port, &info) != 0) return Done{};
    has.resize(key_size(info));
    conf.rss_key = has.data();
    conf.rss_key_len = static_cast<std::uint8_t>(has.size());
    // A device that cannot tell is believed to have listened.
    if (rte_eth_dev_rss_hash_conf_get(port, &conf) != 0) return Done{};
    if (conf.rss_hf == bits && (key.empty() || key == has)) return Done{};
    if (!key.empty()) has = key;
    conf.rss_hf = bits;
    if (const int error = rte_eth_dev_rss_hash_update(port, &conf); error != 0)
        return Failure{
            std::string{"the device refuses the hash types or the key: "} + rte_strerror(-error),
            key.empty() ? "rss" : "rss-key"};
    return Done{};
}

Outcome write_reta(std::uint16_t port, std::span<const std::uint16_t> pattern,
                   std::uint16_t queues) noexcept {
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(port, &info) != 0 || info.reta_size == 0 || queues < 2)
        return Failure{"the port has no indirection table", "rss-reta"};
    if (pattern.empty()) return Failure{"no receive queue is named", "rss-reta"};
    for (const std::uint16_t queue : pattern)
        if (queue >= queues)
            return Failure{"there is no receive queue " + std::to_string(queue) + " (0 to " +
                               std::to_string(queues - 1) + ")",
                           "rss-reta"};
    const std::size_t groups =
        (info.reta_size + RTE_ETH_RETA_GROUP_SIZE - 1U) / RTE_ETH_RETA_GROUP_SIZE;
    std::vector<rte_eth_rss_reta_entry64> table(groups);
    for (std::size_t i = 0; i < info.reta_size; ++i) {
        rte_eth_rss_reta_entry64& group = table[i / RTE_ETH_RETA_GROUP_SIZE];
        group.mask |= std::uint64_t{1} << (i % RTE_ETH_RETA_GROUP_SIZE);
        group.reta[i % RTE_ETH_RETA_GROUP_SIZE] = pattern[i % pattern.size()];
    }
    if (const int error = rte_eth_dev_rss_reta_update(port, table.data(), info.reta_size);
        error != 0)
        return Failure{
            std::string{"the device refuses the indirection table: "} + rte_strerror(-error),
            "rss-reta"};
    return Done{};
}

}  // namespace vxplane::port
