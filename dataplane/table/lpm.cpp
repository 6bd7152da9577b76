// The writer's side of the longest-prefix match. Run by control.
#include "dataplane/table/lpm.hpp"

#include <algorithm>
#include <new>

namespace vxplane::table {
namespace {

constexpr std::size_t kLine = 64;
/// What may wait for the end of a grace period: room for a change of every prefix, each of which
/// replaces a node of at most 2 KiB and seldom a second one.
constexpr std::size_t kWaitingPerPrefix = 3072;
constexpr std::size_t kWaitingAtLeast = std::size_t{1} << 20;

}  // namespace

template <unsigned Bytes>
Lpm<Bytes>::Lpm(std::uint32_t capacity) : capacity_{capacity} {}

template <unsigned Bytes>
Lpm<Bytes>::~Lpm() {
    begin_grace();
    end_grace();
    begin_grace();
    end_grace();
    free_all(root_);
}

template <unsigned Bytes>
bool Lpm<Bytes>::make_key(const std::uint8_t* prefix, unsigned length, Key& key) noexcept {
    if (length > kLongest) {
        return false;
    }
    std::copy_n(prefix, Bytes, key.prefix.begin());
    key.length = static_cast<std::uint8_t>(length);
    for (unsigned i = length / 8; i < Bytes; ++i) {
        const unsigned free = i == length / 8 ? 0xFFU >> length % 8 : 0xFFU;
        if ((key.prefix[i] & free) != 0) {
            return false;
        }
    }
    return true;
}

template <unsigned Bytes>
bool Lpm<Bytes>::add(const std::uint8_t* prefix, std::uint8_t length, std::uint32_t value) {
    Key key;
    if (value == 0 || !make_key(prefix, length, key)) {
        return false;
    }
    if (const auto known = values_.find(key); known != values_.end()) {
        known->second = value;
    } else if (values_.size() >= capacity_ ||
               waiting_ > std::max(kWaitingAtLeast, kWaitingPerPrefix * capacity_)) {
        ++refused_;
        return false;
    } else {
        values_.emplace(key, value);
        ++lengths_[length];
        high_water_ = std::max(high_water_, used());
    }
    write({key.prefix, length, leaf_of(value, length), false});
    return true;
}

template <unsigned Bytes>
bool Lpm<Bytes>::remove(const std::uint8_t* prefix, std::uint8_t length) {
    Key key;
    if (!make_key(prefix, length, key) || values_.erase(key) == 0) {
        return false;
    }
    --lengths_[length];
    write({key.prefix, length, cover_of(key), true});
    return true;
}

template <unsigned Bytes>
std::uint32_t Lpm<Bytes>::find(const std::uint8_t* prefix, std::uint8_t length) const {
    Key key;
    if (!make_key(prefix, length, key)) {
        return 0;
    }
    const auto found = values_.find(key);
    return found == values_.end() ? 0 : found->second;
}

template <unsigned Bytes>
void Lpm<Bytes>::end_grace() noexcept {
    const auto end = given_up_.begin() + static_cast<std::ptrdiff_t>(in_grace_);
    for (auto at = given_up_.begin(); at != end; ++at) {
        waiting_ -= bytes_of((*at)->count);
        free_node(*at);
    }
    given_up_.erase(given_up_.begin(), end);
    in_grace_ = 0;
}

/// The leaf of the longest prefix that is shorter than `key` and holds it; 0 if there is none.
template <unsigned Bytes>
typename Lpm<Bytes>::Entry Lpm<Bytes>::cover_of(Key key) const {
    while (key.length-- > 0) {
        key.prefix[key.length / 8] &= static_cast<std::uint8_t>(~(0x80U >> key.length % 8));
        if (lengths_[key.length] != 0) {
            if (const auto found = values_.find(key); found != values_.end()) {
                return leaf_of(found->second, key.length);
            }
        }
    }
    return 0;
}

// --- nodes -----------------------------------------------------------------------------------

template <unsigned Bytes>
std::size_t Lpm<Bytes>::bytes_of(std::size_t entries) noexcept {
    return (sizeof(Node) + entries * sizeof(Entry) + kLine - 1) / kLine * kLine;
}

template <unsigned Bytes>
typename Lpm<Bytes>::Node* Lpm<Bytes>::take_node(std::size_t entries) {
    const std::size_t bytes = bytes_of(entries);
    void* place = ::operator new (bytes, std::align_val_t{kLine});
    memory_ += bytes;
    Node* node = new (place) Node{};
    node->count = static_cast<std::uint16_t>(entries);
    return node;
}

template <unsigned Bytes>
void Lpm<Bytes>::free_node(Node* node) noexcept {
    memory_ -= bytes_of(node->count);
    ::operator delete (node, std::align_val_t{kLine});
}

template <unsigned Bytes>
void Lpm<Bytes>::free_all(Entry entry) noexcept {
    if (is_child(entry)) {
        Node* node = node_of(entry);
        std::for_each_n(node->entries(), node->count, [this](Entry below) { free_all(below); });
        free_node(node);
    }
}

/// Readers may be inside `node` until a grace period is over.
template <unsigned Bytes>
void Lpm<Bytes>::give_up(Node* node) {
    given_up_.push_back(node);
    waiting_ += bytes_of(node->count);
}

template <unsigned Bytes>
typename Lpm<Bytes>::Flat Lpm<Bytes>::flat_of(const Node& node) noexcept {
    Flat flat;
    const Entry* entries = &node.entry_of(0);
    std::size_t begun = 0;
    for (unsigned byte = 0; byte < flat.size(); ++byte) {
        begun += node.begins[byte / 64] >> byte % 64 & 1U;
        flat[byte] = entries[begun - 1];
    }
    return flat;
}

/// A child with these entries at `depth`, in a place for which the bytes before `start` have been
/// looked at.
template <unsigned Bytes>
typename Lpm<Bytes>::Entry Lpm<Bytes>::made(const Flat& flat, const Bits& path, unsigned depth,
                                            unsigned start, Entry miss) {
    std::array<std::uint64_t, 4> begins{};
    std::size_t count = 0;
    for (unsigned byte = 0; byte < flat.size(); ++byte) {
        if (byte == 0 || flat[byte] != flat[byte - 1]) {
            begins[byte / 64] |= std::uint64_t{1} << byte % 64;
            ++count;
        }
    }
    Node* node = take_node(count);
    node->begins = begins;
    for (unsigned word = 1; word < begins.size(); ++word) {
        node->before[word] =
            static_cast<std::uint8_t>(node->before[word - 1] + std::popcount(begins[word - 1]));
    }
    std::copy_n(path.begin(), depth, node->path.begin());
    node->depth = static_cast<std::uint8_t>(depth);
    node->skips = start < depth;
    node->miss = miss;
    Entry* next = node->entries();
    for (unsigned byte = 0; byte < flat.size(); ++byte) {
        if ((begins[byte / 64] >> byte % 64 & 1U) != 0) {
            *next++ = flat[byte];
        }
    }
    return child_of(node);
}

/// The same node for another place on its path.
template <unsigned Bytes>
typename Lpm<Bytes>::Entry Lpm<Bytes>::copied(const Node& node, unsigned start, Entry miss) {
    return made(flat_of(node), node.path, node.depth, start, miss);
}

/// What stands for the child `old` when its entries are `flat`: itself with other entries, a child
/// anew, or less when one entry above says as much.
template <unsigned Bytes>
typename Lpm<Bytes>::Entry Lpm<Bytes>::remade(Entry old, const Flat& flat, unsigned start) {
    Node* node = node_of(old);
    const auto children = std::count_if(flat.begin(), flat.end(), is_child);
    if (children <= 1) {
        const Entry other = is_child(flat[0]) ? flat[1] : flat[0];
        // Two neighbours with equal values look like one prefix: their leaves are too long to rise.
        const bool can_rise = (other == 0 || length_of(other) <= 8 * start) &&
                              std::all_of(flat.begin(), flat.end(), [other](Entry entry) {
                                  return is_child(entry) || entry == other;
                              });
        if (can_rise && children == 0) {
            give_up(node);
            return other;
        }
        if (can_rise) {
            Node* only = node_of(*std::find_if(flat.begin(), flat.end(), is_child));
            if (!only->skips || only->miss == other) {
                const Entry longer = copied(*only, start, other);
                give_up(only);
                give_up(node);
                return longer;
            }
        }
    }
    bool has_same_runs = true;
    for (unsigned byte = 1; byte < flat.size() && has_same_runs; ++byte) {
        has_same_runs =
            (flat[byte] != flat[byte - 1]) == ((node->begins[byte / 64] >> byte % 64 & 1U) != 0);
    }
    if (!has_same_runs) {
        give_up(node);
        return made(flat, node->path, node->depth, start, node->miss);
    }
    Entry* next = node->entries();
    for (unsigned byte = 0; byte < flat.size(); ++byte) {
        if ((node->begins[byte / 64] >> byte % 64 & 1U) != 0) {
            if (*next != flat[byte]) {
                publish(*next, flat[byte]);
            }
            ++next;
        }
    }
    return old;
}

// --- changes ---------------------------------------------------------------------------------

/// The whole node lies in the prefix.
template <unsigned Bytes>
void Lpm<Bytes>::fill(Node& node, const Change& change) noexcept {
    Entry* entries = node.entries();
    for (unsigned i = 0; i < node.count; ++i) {
        if (is_child(entries[i])) {
            fill(*node_of(entries[i]), change);
        } else if (change.replaces(entries[i])) {
            publish(entries[i], change.leaf);
        }
    }
    if (node.skips && change.replaces(node.miss)) {
        publish(node.miss, change.leaf);
    }
}

/// The prefix ends in this byte of the address.
template <unsigned Bytes>
void Lpm<Bytes>::fill_range(Flat& flat, unsigned byte, const Change& change) {
    const unsigned first = change.prefix[byte];
    const unsigned count = 1U << (8 * (byte + 1) - change.length);
    for (unsigned i = first; i < first + count; ++i) {
        flat[i] = changed(flat[i], byte + 1, change);
    }
}

/// What is to stand in a place with `old` for which the bytes before `start` have been looked at
/// and are those of the prefix. Changes what can be changed in place, and gives up what is
/// replaced.
template <unsigned Bytes>
typename Lpm<Bytes>::Entry Lpm<Bytes>::changed(Entry old, unsigned start, const Change& change) {
    if (change.length <= 8 * start) {
        if (is_child(old)) {
            fill(*node_of(old), change);
            return old;
        }
        return change.replaces(old) ? change.leaf : old;
    }
    const unsigned last = (change.length - 1) / 8;
    Flat flat;
    if (!is_child(old)) {
        if (change.is_removal) {
            return old;
        }
        flat.fill(old);
        fill_range(flat, last, change);
        return made(flat, change.prefix, last, start, old);
    }
    Node* node = node_of(old);
    const Bits& path = node->path;
    unsigned at = start;
    while (at < node->depth && at < last && path[at] == change.prefix[at]) {
        ++at;
    }
    if (at < node->depth) {
        // The prefix ends or goes another way in what the node skips.
        if (change.is_removal) {
            const unsigned spread = 8 * (last + 1) - change.length;
            if (at != last || path[at] >> spread != change.prefix[at] >> spread) {
                return old;
            }
            fill(*node, change);
            return remade(old, flat_of(*node), start);
        }
        const Entry miss = node->miss;
        flat.fill(miss);
        flat[path[at]] = copied(*node, at + 1, miss);
        if (at == last) {
            fill_range(flat, at, change);
        } else {
            flat[change.prefix[at]] = changed(miss, at + 1, change);
        }
        const Entry fork = made(flat, path, at, start, miss);
        give_up(node);
        return fork;
    }
    if (at == last) {
        flat = flat_of(*node);
        fill_range(flat, at, change);
        return remade(old, flat, start);
    }
    auto& slot = const_cast<Entry&>(node->entry_of(change.prefix[at]));
    const Entry below = changed(slot, at + 1, change);
    if (below == slot) {
        return old;
    }
    if (is_child(slot) && is_child(below)) {
        publish(slot, below);  // a run of one byte
        if (!change.is_removal) {
            return old;
        }
    }
    flat = flat_of(*node);
    flat[change.prefix[at]] = below;
    return remade(old, flat, start);
}

template <unsigned Bytes>
void Lpm<Bytes>::write(const Change& change) {
    const Entry entry = changed(root_, 0, change);
    if (entry != root_) {
        publish(root_, entry);
    }
}

template class Lpm<4>;
template class Lpm<16>;

}  // namespace vxplane::table
