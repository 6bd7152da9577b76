// Rules at the five places where a packet can be judged on its way, in the order of their
// priorities (the kernel's netfilter hooks). Made by control, asked by the workers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/net/ip_address.hpp"

namespace vxplane::table {

/// In the order in which a packet meets them; output comes before postrouting for packets that
/// are made here (include/uapi/linux/netfilter.h).
enum class Hook : std::uint8_t { prerouting, input, forward, output, postrouting, count };
constexpr std::size_t kHooks = static_cast<std::size_t>(Hook::count);

/// include/uapi/linux/netfilter_ipv4.h
namespace hook_priority {
constexpr int kRaw = -300;
constexpr int kConntrack = -200;  ///< of prerouting and output: here a packet gets its connection
constexpr int kMangle = -150;
constexpr int kDestinationNat = -100;  ///< of prerouting and output
constexpr int kFilter = 0;
constexpr int kSourceNat = 100;  ///< of input and postrouting
}  // namespace hook_priority

/// What the tracker says of a packet; bits, for rules that ask for several.
enum class CtState : std::uint8_t {
    untracked = 0x01,  ///< no tracker, or notrack
    fresh = 0x02,      ///< first packet of a connection: `new` in rules
    established = 0x04,
    related = 0x08,  ///< ICMP error about a connection
    invalid = 0x10
};

enum class RuleVerdict : std::uint8_t {
    accept,  ///< ends this priority; later ones are still asked, as with the kernel's base chains
    drop,
    reject,
    return_,  ///< in a base chain the same as accept
    notrack,  ///< only before kConntrack; goes on
    dnat,
    snat,
    masquerade
};

/// Both ends included; 0 to 65535 is any.
struct PortRange {
    std::uint16_t low = 0;
    std::uint16_t high = 0xFFFF;
    [[nodiscard]] constexpr bool is_any() const noexcept { return low == 0 && high == 0xFFFF; }
    [[nodiscard]] constexpr bool has(std::uint16_t port) const noexcept {
        return port >= low && port <= high;
    }
};

/// An address prefix of either family.
class RulePrefix {
  public:
    RulePrefix() = default;  ///< matches everything
    /// `length` as people write it: at most 32 for IPv4. 0 matches all addresses of the family.
    RulePrefix(const net::IpAddress& address, unsigned length) noexcept;

    [[nodiscard]] bool has(const net::IpAddress& address) const noexcept {
        return (((address.low() ^ low_) & low_mask_) | ((address.high() ^ high_) & high_mask_)) ==
               0;
    }

  private:
    std::uint64_t low_ = 0;
    std::uint64_t high_ = 0;
    std::uint64_t low_mask_ = 0;
    std::uint64_t high_mask_ = 0;
};

/// One rule. What is not set matches everything.
struct HookRule {
    Hook hook = Hook::forward;
    int priority = hook_priority::kFilter;
    std::uint32_t id = 0;  ///< given by control, place in RuleCounters; kept over a reload
    RuleVerdict verdict = RuleVerdict::accept;
    bool any_protocol = true;
    std::uint8_t protocol = 0;
    std::uint8_t states = 0;  ///< CtState bits; 0 = any
    RulePrefix source;
    RulePrefix destination;
    PortRange source_ports;  ///< unless any, TCP, UDP and SCTP alone match
    PortRange destination_ports;
    std::uint16_t slave = 0xFFFF;  ///< number of the slave that sent the packet; kNoSlave = any
    std::int32_t zone = -1;        ///< of the packet's origin; -1 = any
    net::IpAddress to;             ///< dnat, snat; unset = the address stays
    PortRange to_ports;            ///< any = kept where free, else one of the same class
    /// dnat: whose address `to` is, where the address alone does not say it (tenants whose
    /// addresses overlap). kNoSlave: found by address.
    std::uint16_t to_slave = 0xFFFF;
};

/// Packets and bytes by rule id. One for each worker, which alone writes; control reads at any
/// time and adds up. Ids from kRoom on are not counted.
class RuleCounters {
  public:
    static constexpr std::uint32_t kRoom = 4096;
    struct Count {
        std::uint64_t packets = 0;
        std::uint64_t bytes = 0;
    };

    /// Takes 64 KiB. Throws std::bad_alloc.
    RuleCounters() : counts_(std::make_unique<Count[]>(kRoom)) {}

    void add(std::uint32_t id, std::uint32_t bytes) noexcept {
        if (id < kRoom) {
            Count& count = counts_[id];
            __atomic_store_n(&count.packets, count.packets + 1, __ATOMIC_RELAXED);
            __atomic_store_n(&count.bytes, count.bytes + bytes, __ATOMIC_RELAXED);
        }
    }
    /// Any thread.
    [[nodiscard]] Count read(std::uint32_t id) const noexcept {
        if (id >= kRoom) {
            return {};
        }
        return {__atomic_load_n(&counts_[id].packets, __ATOMIC_RELAXED),
                __atomic_load_n(&counts_[id].bytes, __ATOMIC_RELAXED)};
    }

  private:
    std::unique_ptr<Count[]> counts_;
};

/// The rules of one side: of a slave, or of a master's host side. Immutable after it was made.
class HookSet {
  public:
    /// Rules of one hook and one priority; what the kernel calls a base chain.
    struct Chain {
        int priority = 0;
        bool translates = false;  ///< has NAT rules: asked for first packets only
        std::uint32_t begin = 0;  ///< in rules()
        std::uint32_t end = 0;
    };
    struct Chains {
        const Chain* begin_ = nullptr;
        const Chain* end_ = nullptr;
        [[nodiscard]] const Chain* begin() const noexcept { return begin_; }
        [[nodiscard]] const Chain* end() const noexcept { return end_; }
    };

    HookSet() = default;
    /// In each hook by priority, rules of the same priority in the order given. Control only.
    explicit HookSet(std::vector<HookRule> rules);

    [[nodiscard]] bool empty() const noexcept { return rules_.empty(); }
    [[nodiscard]] Chains chains(Hook hook) const noexcept {
        const std::size_t at = static_cast<std::size_t>(hook);
        return {chains_.data() + first_[at], chains_.data() + first_[at + 1]};
    }
    /// True when packets of connections that are there already pass without being asked anything.
    [[nodiscard]] bool asks_first_packets_only() const noexcept { return asks_first_only_; }
    [[nodiscard]] const HookRule& rule(std::uint32_t at) const noexcept { return rules_[at]; }
    [[nodiscard]] const std::vector<HookRule>& rules() const noexcept { return rules_; }

    /// Why a rule cannot be in a set; nullptr when it can. For control's messages.
    static const char* problem(const HookRule& rule) noexcept;

  private:
    std::vector<HookRule> rules_;
    std::vector<Chain> chains_;
    std::array<std::uint32_t, kHooks + 1> first_{};
    bool asks_first_only_ = true;
};

}  // namespace vxplane::table
