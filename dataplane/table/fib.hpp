// Longest-prefix match for IPv4: the routing table of an uplink, and of each ipvlan slave. Looked
// up by workers, written by control. An own structure: see README.md for what the libraries cost.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace vxplane::table {

/// What `ip route add TYPE ...` means by TYPE.
enum class RouteType : std::uint8_t {
    unicast,
    local,        ///< an address of our own
    blackhole,    ///< drop silently
    unreachable,  ///< drop and send ICMP host unreachable
    prohibit,     ///< drop and send ICMP administratively prohibited
    throw_,       ///< end the search in this table; the caller goes on to the next one
};

struct Route {
    RouteType type = RouteType::unicast;
    std::uint16_t port = 0;  ///< the port to leave by; without meaning for the types that drop
    std::uint32_t via = 0;   ///< next hop, host order; 0: the destination itself is on the link
    friend bool operator==(const Route&, const Route&) = default;
};

/// A trie of 256-way nodes in which every leaf is the final answer, so a lookup is one load for
/// each started 8 bits of the longest prefix around the address. Any number of readers, one writer.
/// A lookup during a change sees the old route or the new one. A node that a removal makes needless
/// is reused only after end_grace(), when no reader can still be inside it.
class Fib4 {
  public:
    /// `capacity`: routes held at most. Takes address space for the worst case and memory only as
    /// routes come: 2 KiB for the first, at most 6 KiB for each more. Throws std::bad_alloc.
    explicit Fib4(std::uint32_t capacity = 1024);
    Fib4(const Fib4&) = delete;
    Fib4& operator=(const Fib4&) = delete;
    ~Fib4();

    /// The route of the longest prefix that holds `address` (host order). Any worker.
    std::optional<Route> lookup(std::uint32_t address) const noexcept {
        std::uint64_t entry = load(nodes_[0].entries[address >> 24]);
        for (int shift = 16; (entry & child_bit) != 0; shift -= 8) {
            const Node& node = nodes_[static_cast<std::uint32_t>(entry)];
            entry = load(node.entries[(address >> shift) & 0xffU]);
        }
        if (entry == 0) {
            return std::nullopt;
        }
        return route_of(entry);
    }

    /// Adds the route or replaces the one of the same prefix. False, and nothing changed, when
    /// `length` is above 32, when `prefix` (host order) has bits beyond `length`, or when the table
    /// is full, which alone is counted as refused.
    bool add(std::uint32_t prefix, std::uint8_t length, Route route);
    /// False when there was no such prefix.
    bool remove(std::uint32_t prefix, std::uint8_t length);
    /// The route of exactly this prefix. The writer's.
    std::optional<Route> find(std::uint32_t prefix, std::uint8_t length) const;

    /// Calls `f(prefix, length, Route)` by rising prefix, shorter before longer. The writer's.
    template <class F>
    void for_each(F&& f) const {
        for (const auto& [key, route] : routes_) {
            f(key.prefix, key.length, route);
        }
    }

    /// True when nodes wait for a grace period and none is running; used like Fdb's.
    bool needs_grace() const noexcept { return !given_up_.empty() && in_grace_ == 0; }
    void begin_grace() noexcept { in_grace_ = in_grace_ == 0 ? given_up_.size() : in_grace_; }
    void end_grace();

    std::uint32_t used() const noexcept { return static_cast<std::uint32_t>(routes_.size()); }
    std::uint32_t high_water() const noexcept { return high_water_; }
    std::uint64_t refused() const noexcept { return refused_; }
    std::uint32_t capacity() const noexcept { return capacity_; }
    /// Bytes of the nodes touched so far.
    std::size_t memory_bytes() const noexcept { return touched_ * sizeof(Node); }

  private:
    /// 0: no route. Child: the node's index in the low half. Leaf: next hop in bits 0..31, port in
    /// 32..47, type in 48..50, length of the prefix it comes from in 51..56, and leaf_bit.
    using Entry = std::uint64_t;
    struct Node {
        std::array<Entry, 256> entries;
    };
    struct Key {
        std::uint32_t prefix;
        std::uint8_t length;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    static constexpr Entry child_bit = Entry{1} << 62;
    static constexpr Entry leaf_bit = Entry{1} << 63;
    static constexpr unsigned deepest = 3;

    static Entry load(const Entry& place) noexcept {
        // atomic_ref of a const object comes with C++26; nothing is written through it.
        return std::atomic_ref<Entry>{const_cast<Entry&>(place)}.load(std::memory_order_acquire);
    }
    static void publish(Entry& place, Entry entry) noexcept {
        std::atomic_ref<Entry>{place}.store(entry, std::memory_order_release);
    }
    static Route route_of(Entry leaf) noexcept {
        return {static_cast<RouteType>((leaf >> 48) & 7U), static_cast<std::uint16_t>(leaf >> 32),
                static_cast<std::uint32_t>(leaf)};
    }
    static Entry leaf_of(Route route, std::uint8_t length) noexcept;
    static std::uint8_t length_of(Entry leaf) noexcept { return (leaf >> 51) & 0x3fU; }

    bool has_nodes_for_one_more() const noexcept;
    std::uint32_t take_node(Entry fill);
    template <class Replaceable>
    void fill(Entry& entry, Entry leaf, const Replaceable& replaceable) noexcept;
    template <class Replaceable>
    void write(std::uint32_t prefix, std::uint8_t length, Entry leaf,
               const Replaceable& replaceable);
    void prune(std::uint32_t prefix);
    Entry cover_of(std::uint32_t prefix, std::uint8_t length) const;

    Node* nodes_ = nullptr;
    std::size_t node_limit_;
    std::size_t touched_ = 1;
    std::uint32_t capacity_;
    std::uint32_t high_water_ = 0;
    std::uint64_t refused_ = 0;
    std::map<Key, Route> routes_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> given_up_;  // the first in_grace_ of them are in a grace period
    std::size_t in_grace_ = 0;
};

}  // namespace vxplane::table
