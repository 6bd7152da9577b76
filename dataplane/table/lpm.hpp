// Longest-prefix match for addresses of any length: what the routing tables of slaves, of the host
// and of tunnels are made of. Looked up by workers, written by control.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

namespace vxplane::table {

/// A trie that branches by bytes. Every leaf is the final answer, nodes hold one entry for each run
/// of equal ones, and a node compares the bytes in which nothing branches at once; so a table costs
/// what its routes cost (nothing but itself when it is empty or has a default route only), and a
/// lookup visits only bytes in which prefixes differ. Any number of readers, one writer. A lookup
/// during a change sees the old value or the new one; nodes are replaced, and freed only by
/// end_grace(), when no reader can still be inside them. Prefixes are bytes in wire order.
template <unsigned Bytes>
class Lpm {
  public:
    using Bits = std::array<std::uint8_t, Bytes>;
    static constexpr unsigned kLongest = Bytes * 8;

    /// `capacity`: prefixes held at most.
    explicit Lpm(std::uint32_t capacity = 1024);
    Lpm(const Lpm&) = delete;
    Lpm& operator=(const Lpm&) = delete;
    ~Lpm();

    /// The value of the longest prefix that holds the `Bytes` bytes at `address`; 0 if none does.
    /// Any worker.
    [[nodiscard]] std::uint32_t lookup(const std::uint8_t* address) const noexcept {
        Entry entry = load(root_);
        if (!is_child(entry)) {
            return value_of(entry);
        }
        const Words words = words_of(address);
        do {
            const Node& node = *node_of(entry);
            if (node.skips && !node.is_on_way(words)) {
                return value_of(load(node.miss));
            }
            entry = load(node.entry_of(address[node.depth]));
        } while (is_child(entry));
        return value_of(entry);
    }

    /// Any worker.
    [[nodiscard]] bool is_empty() const noexcept { return load(root_) == 0; }

    /// Adds the prefix or replaces its value. False, and nothing changed, when `value` is 0,
    /// `length` is above kLongest, `prefix` has bits beyond `length`, or when the table is full,
    /// which alone is counted as refused. A table is full with `capacity` prefixes, or when too
    /// much waits for the end of a grace period. May throw std::bad_alloc.
    bool add(const std::uint8_t* prefix, std::uint8_t length, std::uint32_t value);
    /// False when there was no such prefix.
    bool remove(const std::uint8_t* prefix, std::uint8_t length);
    /// The value of exactly this prefix; 0 if there is none. The writer's.
    [[nodiscard]] std::uint32_t find(const std::uint8_t* prefix, std::uint8_t length) const;

    /// Calls `f(const Bits& prefix, std::uint8_t length, std::uint32_t value)` by rising prefix,
    /// shorter before longer. The writer's.
    template <class F>
    void for_each(F&& f) const {
        for (const auto& [key, value] : values_) {
            f(key.prefix, key.length, value);
        }
    }

    /// True when nodes wait for a grace period and none is running; used like Fdb's.
    [[nodiscard]] bool needs_grace() const noexcept { return !given_up_.empty() && in_grace_ == 0; }
    void begin_grace() noexcept { in_grace_ = in_grace_ == 0 ? given_up_.size() : in_grace_; }
    void end_grace() noexcept;

    [[nodiscard]] std::uint32_t used() const noexcept {
        return static_cast<std::uint32_t>(values_.size());
    }
    [[nodiscard]] std::uint32_t high_water() const noexcept { return high_water_; }
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    /// Bytes of all nodes, those that wait for a grace period included.
    [[nodiscard]] std::size_t memory_bytes() const noexcept { return memory_; }

  private:
    /// 0: nothing. Child: the address of its node with child_bit. Leaf: value in bits 32..63,
    /// length of the prefix that it comes from in 8..15.
    using Entry = std::uint64_t;
    using Word = std::conditional_t<Bytes % 8 == 0, std::uint64_t, std::uint32_t>;
    using Words = std::array<Word, Bytes / sizeof(Word)>;
    static_assert(Bytes % sizeof(Word) == 0 && Bytes >= 4 && Bytes <= 31);
    static constexpr Entry child_bit = 1;

    /// Followed by its entries. All but entries and `miss` stays as it is once readers know it.
    struct Node {
        std::array<std::uint64_t, 4> begins;  ///< bit b: a run of equal entries begins at byte b
        Bits path;                            ///< bytes before `depth`, then zeros
        std::array<std::uint8_t, 4> before;   ///< runs that begin in the words before
        std::uint8_t depth;                   ///< the byte that it branches by
        bool skips;           ///< does not follow its parent directly: the path has to be compared
        std::uint16_t count;  ///< of entries
        Entry miss;           ///< the answer for other ways than `path`; a leaf or 0

        [[nodiscard]] bool is_on_way(const Words& words) const noexcept {
            const Words own = words_of(path.data());
            const Words& mask = kMasks[depth];
            Word difference = 0;
            for (std::size_t i = 0; i < own.size(); ++i) {
                difference |= (own[i] ^ words[i]) & mask[i];
            }
            return difference == 0;
        }
        [[nodiscard]] Entry* entries() noexcept { return reinterpret_cast<Entry*>(this + 1); }
        [[nodiscard]] const Entry& entry_of(std::uint8_t byte) const noexcept {
            const std::uint64_t up_to = (std::uint64_t{2} << (byte & 63U)) - 1;
            const unsigned word = byte >> 6U;
            const auto runs = static_cast<unsigned>(std::popcount(begins[word] & up_to));
            return reinterpret_cast<const Entry*>(this + 1)[before[word] + runs - 1];
        }
    };
    struct Key {
        Bits prefix;
        std::uint8_t length;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    /// What is written where: over all leaves of the prefix that may be replaced.
    struct Change {
        Bits prefix;
        unsigned length;
        Entry leaf;
        bool is_removal;
        [[nodiscard]] bool replaces(Entry old) const noexcept {
            // Inside the range of a prefix, a leaf of the same length can only be its own.
            return is_removal ? old != 0 && length_of(old) == length
                              : old == 0 || length_of(old) <= length;
        }
    };
    /// The entries of a node without runs.
    using Flat = std::array<Entry, 256>;

    static Words words_of(const std::uint8_t* bytes) noexcept {
        Words words;
        std::memcpy(words.data(), bytes, Bytes);
        return words;
    }
    static constexpr std::array<Words, Bytes> masks() noexcept {
        std::array<Words, Bytes> all{};
        for (unsigned depth = 0; depth < Bytes; ++depth) {
            Bits bytes{};
            for (unsigned i = 0; i < depth; ++i) {
                bytes[i] = 0xFF;
            }
            all[depth] = std::bit_cast<Words>(bytes);
        }
        return all;
    }
    /// By depth: the bytes before it.
    static constexpr std::array<Words, Bytes> kMasks = masks();

    static Entry load(const Entry& place) noexcept {
        // atomic_ref of a const object comes with C++26; nothing is written through it.
        return std::atomic_ref<Entry>{const_cast<Entry&>(place)}.load(std::memory_order_acquire);
    }
    static void publish(Entry& place, Entry entry) noexcept {
        std::atomic_ref<Entry>{place}.store(entry, std::memory_order_release);
    }
    static bool is_child(Entry entry) noexcept { return (entry & child_bit) != 0; }
    static Node* node_of(Entry child) noexcept {
        return reinterpret_cast<Node*>(child - child_bit);  // NOLINT(performance-no-int-to-ptr)
    }
    static Entry child_of(Node* node) noexcept { return reinterpret_cast<Entry>(node) | child_bit; }
    static Entry leaf_of(std::uint32_t value, unsigned length) noexcept {
        return Entry{value} << 32 | length << 8;
    }
    static std::uint32_t value_of(Entry leaf) noexcept {
        return static_cast<std::uint32_t>(leaf >> 32);
    }
    static unsigned length_of(Entry leaf) noexcept { return (leaf >> 8) & 0xFFU; }

    static bool make_key(const std::uint8_t* prefix, unsigned length, Key& key) noexcept;
    static std::size_t bytes_of(std::size_t entries) noexcept;
    Node* take_node(std::size_t entries);
    void free_node(Node* node) noexcept;
    void free_all(Entry entry) noexcept;
    void give_up(Node* node);
    static Flat flat_of(const Node& node) noexcept;
    Entry made(const Flat& flat, const Bits& path, unsigned depth, unsigned start, Entry miss);
    Entry copied(const Node& node, unsigned start, Entry miss);
    Entry remade(Entry old, const Flat& flat, unsigned start);
    void fill(Node& node, const Change& change) noexcept;
    void fill_range(Flat& flat, unsigned byte, const Change& change);
    Entry changed(Entry old, unsigned start, const Change& change);
    void write(const Change& change);
    [[nodiscard]] Entry cover_of(Key key) const;

    Entry root_ = 0;
    std::map<Key, std::uint32_t> values_;
    std::array<std::uint32_t, kLongest + 1> lengths_{};  ///< how many prefixes have that length
    std::vector<Node*> given_up_;  ///< the first in_grace_ of them are in a grace period
    std::size_t in_grace_ = 0;
    std::size_t memory_ = 0;
    std::size_t waiting_ = 0;  ///< bytes of given_up_
    std::uint64_t refused_ = 0;
    std::uint32_t capacity_;
    std::uint32_t high_water_ = 0;
};

extern template class Lpm<4>;
extern template class Lpm<16>;

}  // namespace vxplane::table
