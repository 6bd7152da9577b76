// The writer's side of the IPv4 longest-prefix match. Run by control.
#include "dataplane/table/fib.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace vxplane::table {
namespace {

constexpr std::uint32_t mask_of(unsigned length) noexcept {
    return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

}  // namespace

Fib4::Fib4(std::uint32_t capacity)
    // Three nodes below the root for each route, and as many that wait for the end of a grace.
    : node_limit_{1 + std::size_t{6} * capacity}, capacity_{capacity} {
    void* space = mmap(nullptr, node_limit_ * sizeof(Node), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) {
        throw std::bad_alloc{};
    }
    nodes_ = static_cast<Node*>(space);
}

Fib4::~Fib4() {
    munmap(nodes_, node_limit_ * sizeof(Node));
}

bool Fib4::add(std::uint32_t prefix, std::uint8_t length, Route route) {
    if (length > 32 || (prefix & ~mask_of(length)) != 0) {
        return false;
    }
    const Key key{prefix, length};
    const bool is_new = !routes_.contains(key);
    if (is_new && (routes_.size() >= capacity_ || !has_nodes_for_one_more())) {
        ++refused_;
        return false;
    }
    routes_.insert_or_assign(key, route);
    high_water_ = std::max(high_water_, used());
    write(prefix, length, leaf_of(route, length),
          [length](Entry old) { return old == 0 || length_of(old) <= length; });
    return true;
}

bool Fib4::remove(std::uint32_t prefix, std::uint8_t length) {
    if (routes_.erase(Key{prefix, length}) == 0) {
        return false;
    }
    // Inside the range of a prefix, a leaf of the same length can only be its own.
    write(prefix, length, cover_of(prefix, length),
          [length](Entry old) { return old != 0 && length_of(old) == length; });
    prune(prefix);
    return true;
}

std::optional<Route> Fib4::find(std::uint32_t prefix, std::uint8_t length) const {
    const auto found = routes_.find(Key{prefix, length});
    return found == routes_.end() ? std::nullopt : std::optional{found->second};
}

void Fib4::end_grace() {
    const auto end = given_up_.begin() + static_cast<std::ptrdiff_t>(in_grace_);
    free_.insert(free_.end(), given_up_.begin(), end);
    given_up_.erase(given_up_.begin(), end);
    in_grace_ = 0;
}

Fib4::Entry Fib4::leaf_of(Route route, std::uint8_t length) noexcept {
    return leaf_bit | (Entry{length} << 51) | (static_cast<Entry>(route.type) << 48) |
           (Entry{route.port} << 32) | route.via;
}

bool Fib4::has_nodes_for_one_more() const noexcept {
    return free_.size() + (node_limit_ - touched_) >= deepest;
}

std::uint32_t Fib4::take_node(Entry fill) {
    auto index = static_cast<std::uint32_t>(touched_);
    if (free_.empty()) {
        ++touched_;
    } else {
        index = free_.back();
        free_.pop_back();
    }
    nodes_[index].entries.fill(fill);
    return index;
}

/// Writes `leaf` over every replaceable leaf at and below `entry`.
template <class Replaceable>
void Fib4::fill(Entry& entry, Entry leaf, const Replaceable& replaceable) noexcept {
    if ((entry & child_bit) != 0) {
        for (Entry& below : nodes_[static_cast<std::uint32_t>(entry)].entries) {
            fill(below, leaf, replaceable);
        }
    } else if (replaceable(entry)) {
        publish(entry, leaf);
    }
}

/// Writes `leaf` over every replaceable leaf of the prefix, making nodes on the way down.
template <class Replaceable>
void Fib4::write(std::uint32_t prefix, std::uint8_t length, Entry leaf,
                 const Replaceable& replaceable) {
    Node* node = nodes_;
    unsigned bits_below = 24;
    for (; length > 32 - bits_below; bits_below -= 8) {
        Entry& entry = node->entries[(prefix >> bits_below) & 0xffU];
        if ((entry & child_bit) == 0) {
            // Whole before it is reachable: a reader finds the old answer in every place of it.
            publish(entry, child_bit | take_node(entry));
        }
        node = &nodes_[static_cast<std::uint32_t>(entry)];
    }
    const std::uint32_t first = (prefix >> bits_below) & 0xffU;
    const std::uint32_t count = 1U << (32 - bits_below - length);
    for (std::uint32_t i = first; i < first + count; ++i) {
        fill(node->entries[i], leaf, replaceable);
    }
}

/// Gives up the nodes on the way to `prefix` that say no more than one entry above them could.
void Fib4::prune(std::uint32_t prefix) {
    std::array<Entry*, deepest> way{};  // way[d]: the entry in depth d that leads to depth d + 1
    unsigned depth = 0;
    for (Node* node = nodes_; depth < deepest; ++depth) {
        Entry& entry = node->entries[(prefix >> (24 - 8 * depth)) & 0xffU];
        if ((entry & child_bit) == 0) {
            break;
        }
        way[depth] = &entry;
        node = &nodes_[static_cast<std::uint32_t>(entry)];
    }
    while (depth-- > 0) {
        const auto index = static_cast<std::uint32_t>(*way[depth]);
        const auto& entries = nodes_[index].entries;
        const Entry only = entries[0];
        // Two neighbours with equal routes look like one prefix: their leaves are too long to rise.
        const bool can_rise = only == 0 || length_of(only) <= 8 * (depth + 1);
        if ((only & child_bit) != 0 || !can_rise ||
            !std::all_of(entries.begin(), entries.end(), [only](Entry e) { return e == only; })) {
            return;
        }
        publish(*way[depth], only);
        given_up_.push_back(index);
    }
}

/// The leaf of the longest prefix that is shorter than `length` and holds `prefix`; 0 if none.
Fib4::Entry Fib4::cover_of(std::uint32_t prefix, std::uint8_t length) const {
    while (length-- > 0) {
        if (const auto route = find(prefix & mask_of(length), length)) {
            return leaf_of(*route, length);
        }
    }
    return 0;
}

}  // namespace vxplane::table
