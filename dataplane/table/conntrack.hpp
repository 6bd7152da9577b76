// Connection tracking: which packets belong together, in what state the two ends are, and what
// their addresses were changed into. Asked for every packet by the worker that owns it; control
// looks at copies.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/table/connection.hpp"
#include "dataplane/table/fragment_table.hpp"
#include "dataplane/table/hook_set.hpp"
#include "dataplane/table/slave.hpp"

namespace vxplane::table {

/// A connection in one of its directions. Good until the next call that adds or removes.
struct ConnRef {
    static constexpr std::uint32_t kNone = ~0U;
    std::uint32_t bits = kNone;  ///< place << 1 | direction

    constexpr ConnRef() noexcept = default;
    constexpr ConnRef(std::uint32_t place, Direction d) noexcept
        : bits(place << 1 | static_cast<std::uint32_t>(d)) {}
    constexpr explicit operator bool() const noexcept { return bits != kNone; }
    [[nodiscard]] constexpr std::uint32_t place() const noexcept { return bits >> 1; }
    [[nodiscard]] constexpr Direction direction() const noexcept {
        return static_cast<Direction>(bits & 1U);
    }
};

/// What the tracker wants to know of a packet besides its tuple.
struct ConnPacket {
    std::uint32_t bytes = 0;  ///< of the network packet
    std::uint8_t tcp_flags = 0;
    std::uint32_t tcp_sequence = 0;         ///< host order
    std::uint32_t tcp_acknowledgement = 0;  ///< host order
};

/// A connection whose first packet is still on its way through the hooks: no entry yet.
struct NewConnection {
    ConnTuple original;
    ConnTuple reply;  ///< as answers will look; its zone is known when the exit is
    std::uint8_t flags = 0;
    std::uint16_t original_slave = kNoSlave;
    std::uint16_t reply_slave = kNoSlave;
};

/// Which connections a flush takes; what is not set takes all.
struct ConnFilter {
    std::int32_t zone = -1;          ///< of either direction
    std::uint16_t slave = kNoSlave;  ///< at either end
    int protocol = -1;
    net::IpAddress address;  ///< source or destination of either direction; unset = any
    std::int32_t port = -1;  ///< the same of ports; host order

    [[nodiscard]] bool takes(const Connection& connection) const noexcept;
};

/// Numbers for control; each is read by itself.
struct ConntrackStats {
    std::uint32_t capacity = 0;
    std::uint32_t used = 0;
    std::uint32_t high_water = 0;
    std::uint64_t created = 0;
    std::uint64_t refused = 0;      ///< no place, and nothing that could be dropped early
    std::uint64_t early_drops = 0;  ///< not assured, given up for a new one
    std::uint64_t expired = 0;
    std::uint64_t flushed = 0;
    std::uint64_t closed = 0;  ///< made room for a new connection of the same tuple
    std::uint64_t ports_exhausted = 0;
    std::uint32_t fragments_used = 0;
    std::uint32_t fragments_high_water = 0;
    std::uint64_t fragments_replaced = 0;  ///< pushed out by newer ones before their time
};

/// Fixed capacity, memory taken at construction. One worker calls all that is not marked `any
/// thread`; control reads copies of entries and leaves requests.
///
/// An index of cache-line buckets leads from the tuple of either direction to a place; a burst
/// hashes and prefetches, then looks into the buckets and prefetches the places, then finds.
/// Entries end by a lazy sweep that poll() moves on, and by lookups that meet one past its time.
class Conntrack {
  public:
    static constexpr std::uint32_t kMaxCapacity = 1U << 26;

    /// Control's. Throws std::bad_alloc. 192 bytes for each connection, and 37 to 73 of index.
    /// `seeds` of the hash: random ones where none are given, as a test may.
    using Seeds = std::array<std::uint64_t, 4>;
    explicit Conntrack(std::uint32_t capacity, const ConnTimeouts& timeouts = {},
                       const Seeds& seeds = random_seeds());
    Conntrack(const Conntrack&) = delete;
    Conntrack& operator=(const Conntrack&) = delete;
    ~Conntrack();

    // --- lookup
    [[nodiscard]] std::uint64_t hash(const ConnTuple& tuple) const noexcept {
        TupleWords words;
        __builtin_memcpy(words.data(), &tuple, sizeof words);
        return hash(words);
    }
    using TupleWords = std::array<std::uint64_t, 5>;
    /// Of a tuple that is still in registers.
    [[nodiscard]] std::uint64_t hash(const TupleWords& w) const noexcept {
        // Products of pairs: no word can cancel another one without knowing the seeds.
        const std::uint64_t a = mix(w[0] ^ seeds_[0], w[1] ^ seeds_[1]);
        const std::uint64_t b = mix(w[2] ^ seeds_[2], w[3] ^ seeds_[3]);
        // Ports in a row become an arithmetic progression here. Any bits taken as they are would
        // now and then be one whose step is near a simple fraction of the index: the ports then
        // share a few buckets. The golden ratio and the upper bits make all 64 count.
        constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;
        return mix(a ^ w[4], b) * kGolden;
    }
    void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(&buckets_[home(hash)]); }
    /// After prefetch() had time to work: fetches the place where the tuple probably is.
    /// Not inline: a compiler that sees that it only prefetches takes calls of it away.
    /// `plain_udp`: where nothing is translated, who began the flow mostly needs the first line
    /// alone.
    void prefetch_place(std::uint64_t hash, bool plain_udp = false) const noexcept;
    /// None when there is none or its time is over; `hash` must be hash(tuple).
    ConnRef find(const ConnTuple& tuple, std::uint64_t hash, std::uint32_t now) noexcept {
        const Bucket& bucket = buckets_[home(hash)];
        if (const unsigned bits = match(bucket, tag(hash)); bits != 0) [[likely]] {
            ConnRef ref;
            ref.bits = bucket.refs[std::countr_zero(bits)];
            const Connection& c = places_[ref.place()];
            if (c.side(ref.direction()).tuple == tuple && !c.is_over(now)) [[likely]] {
                return ref;
            }
        }
        return find_further(tuple, hash, now);
    }
    /// The same of a tuple that is still words, where the first bucket says it at once. None: not
    /// known, and nothing was changed.
    [[nodiscard]] ConnRef find_at_once(const TupleWords& tuple, std::uint64_t hash,
                                       std::uint32_t now) const noexcept {
        const Bucket& bucket = buckets_[home(hash)];
        const unsigned bits = match(bucket, tag(hash));
        if (bits == 0) [[unlikely]] {
            return {};
        }
        ConnRef ref;
        ref.bits = bucket.refs[std::countr_zero(bits)];
        const Connection& c = places_[ref.place()];
        return is_same(c.side(ref.direction()).tuple, tuple) && !c.is_over(now) ? ref : ConnRef{};
    }
    [[nodiscard]] Connection& at(ConnRef ref) noexcept { return places_[ref.place()]; }
    [[nodiscard]] const Connection& at(ConnRef ref) const noexcept { return places_[ref.place()]; }

    // --- what packets do to connections
    enum class Seen : std::uint8_t {
        fine,
        invalid,  ///< not a packet that this state allows; it changed nothing
        reopens   ///< of a connection that was over: the entry is gone, the packet begins anew
    };
    /// Counts the packet, moves the state on, and pushes the end of the entry away.
    Seen note(ConnRef ref, const ConnPacket& packet, std::uint32_t now) noexcept {
        return note_steady(ref, packet, now) ? Seen::fine : note_further(ref, packet, now);
    }
    /// The same for a packet that leaves the state as it is; false for any other, of which nothing
    /// was noted.
    bool note_steady(ConnRef ref, const ConnPacket& packet, std::uint32_t now) noexcept {
        Connection& c = at(ref);
        const std::uint32_t timeout = steady(c, ref.direction(), packet, now);
        if (timeout == kUnsteady) [[unlikely]] {
            return false;
        }
        count(ref, packet.bytes);
        std::atomic_ref{c.expires}.store(now + timeout, std::memory_order_relaxed);
        return true;
    }
    /// A later fragment: only counted.
    void count(ConnRef ref, std::uint32_t bytes) noexcept {
        Connection::Side& side = at(ref).side(ref.direction());
        __atomic_store_n(&side.packets, side.packets + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&side.bytes, side.bytes + bytes, __ATOMIC_RELAXED);
    }
    /// False for a packet that begins no connection (a TCP RST, say).
    static bool begins(const ConnTuple& tuple, const ConnPacket& packet) noexcept;

    // --- translation of a connection that is still new; both change `reply` and `flags`
    enum class Nat : std::uint8_t { done, exhausted };
    /// Source becomes `address` (unset: stays) with a port of `ports`: the one it has where it is
    /// in the range and free, else one found from a random place on.
    Nat translate_source(NewConnection& connection, const net::IpAddress& address, PortRange ports,
                         std::uint32_t now) noexcept;
    Nat translate_destination(NewConnection& connection, const net::IpAddress& address,
                              PortRange ports) noexcept;
    /// True when another connection has this tuple.
    bool is_taken(const ConnTuple& tuple, std::uint32_t now) noexcept {
        return static_cast<bool>(find(tuple, hash(tuple), now));
    }

    // --- adding and removing
    /// None when the table is full of assured connections. Neither tuple may be taken.
    ConnRef add(const NewConnection& connection, const ConnPacket& packet,
                std::uint32_t now) noexcept;
    void remove(std::uint32_t place) noexcept;

    // --- fragments
    /// Later fragments will follow `ref`; `addresses` as the first one arrived.
    void note_fragment(const FragmentKey& key, ConnRef ref, std::uint32_t now) noexcept {
        fragments_.put(key, {ref.bits, at(ref).version}, now, now + timeouts_.fragment);
    }
    ConnRef find_fragment(const FragmentKey& key, std::uint32_t now) noexcept;

    /// Once each poll, with or without packets: a piece of the sweep, and of a flush.
    void poll(std::uint32_t now) noexcept;

    // --- any thread
    [[nodiscard]] ConntrackStats stats() const noexcept;
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    /// Control's: what counts from the worker's next poll on. A connection that is there has the
    /// new one from its next packet on, as in the kernel.
    void set_timeouts(const ConnTimeouts& timeouts) noexcept;
    /// Control's: as they were set last.
    [[nodiscard]] const ConnTimeouts& timeouts() const noexcept { return timeouts_wanted_; }
    [[nodiscard]] std::size_t memory_bytes() const noexcept;
    /// Places from 0 to this can be in use.
    [[nodiscard]] std::uint32_t places() const noexcept {
        return touched_.load(std::memory_order_acquire);
    }
    /// A copy of one place that was true at one moment, its counters and times but for the last
    /// packet; false when it holds no connection. Control walks over 0 to places().
    [[nodiscard]] bool read(std::uint32_t place, Connection& copy) const noexcept;
    /// Milliseconds since the last packet.
    [[nodiscard]] std::uint32_t idle(const Connection& copy, std::uint32_t now) const noexcept {
        return timeout_of(copy) - (copy.expires - now);
    }
    /// UDP ports of our own, at most kReserved, that no translated source gets: what comes back to
    /// them would be taken for tunnel packets. Control's.
    static constexpr std::size_t kReserved = 8;
    void reserve_udp_ports(std::span<const std::uint16_t> ports) noexcept;
    /// Control's: asks the worker to remove what the filter takes. A ticket for is_flushed(), or 0
    /// when too many requests wait.
    std::uint64_t request_flush(const ConnFilter& filter) noexcept;
    [[nodiscard]] bool is_flushed(std::uint64_t ticket) const noexcept {
        return flushes_done_.load(std::memory_order_acquire) >= ticket;
    }

  private:
    /// A cache line: 32 bits of each of seven hashes, where they lead, and how many entries found
    /// it full and went on to a later bucket.
    struct alignas(64) Bucket {
        static constexpr unsigned kLanes = 7;
        std::array<std::uint32_t, 8> tags;  ///< 0 = free; the eighth is always 0
        std::array<std::uint32_t, kLanes> refs;
        std::uint32_t passed;
    };
    static_assert(sizeof(Bucket) == 64);
    static constexpr std::uint32_t kMaxProbe = 16;
    static constexpr std::uint32_t kNil = ~0U;

    static Seeds random_seeds();
    static std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
    [[nodiscard]] std::uint32_t home(std::uint64_t hash) const noexcept {
        return static_cast<std::uint32_t>(hash >> shift_);
    }
    /// From bits below those of home(): entries of one bucket differ in them.
    static std::uint32_t tag(std::uint64_t hash) noexcept {
        return static_cast<std::uint32_t>(hash >> 12) | 1U;
    }
    static bool is_same(const ConnTuple& tuple, const TupleWords& words) noexcept {
#if defined(__AVX2__)
        const __m256i differ =
            _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(&tuple)),
                             _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words.data())));
        std::uint64_t last = 0;
        __builtin_memcpy(&last, &tuple.source_port, sizeof last);
        return _mm256_testz_si256(differ, differ) != 0 && last == words[4];
#else
        TupleWords there;
        __builtin_memcpy(there.data(), &tuple, sizeof there);
        return there == words;
#endif
    }
    static unsigned match(const Bucket& bucket, std::uint32_t tag) noexcept {
#if defined(__AVX2__)
        const __m256i tags =
            _mm256_load_si256(reinterpret_cast<const __m256i*>(bucket.tags.data()));
        const __m256i equal = _mm256_cmpeq_epi32(tags, _mm256_set1_epi32(static_cast<int>(tag)));
        return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(equal)));
#else
        unsigned bits = 0;
        for (unsigned lane = 0; lane < Bucket::kLanes; ++lane) {
            bits |= static_cast<unsigned>(bucket.tags[lane] == tag) << lane;
        }
        return bits;
#endif
    }
    ConnRef find_further(const ConnTuple& tuple, std::uint64_t hash, std::uint32_t now) noexcept;
    /// The timeout of a connection whose state the packet leaves as it is; kUnsteady: perhaps not.
    /// Looks at the first two lines of the place.
    static constexpr std::uint32_t kUnsteady = ~0U;
    [[nodiscard]] std::uint32_t steady(Connection& c, Direction d, const ConnPacket& packet,
                                       std::uint32_t now) const noexcept {
        using Tcp = net::TcpHeader;
        const std::uint8_t flags = c.flags;
        if (c.original.tuple.protocol == net::ip_protocol::kUdp) [[likely]] {
            if ((flags & Connection::kAssured) != 0) {
                return timeouts_.udp_stream;
            }
            const bool answered = (flags & Connection::kSeenReply) != 0;
            return answered ? (now - c.mark > ConnTimeouts::kStreamAge ? kUnsteady : timeouts_.udp)
                            : (d == Direction::reply ? kUnsteady : timeouts_.udp);
        }
        constexpr std::uint8_t kKind = Tcp::kSyn | Tcp::kFin | Tcp::kRst | Tcp::kAck;
        if (c.original.tuple.protocol != net::ip_protocol::kTcp || c.tcp != TcpState::established ||
            (flags & Connection::kAssured) == 0 || (packet.tcp_flags & kKind) != Tcp::kAck) {
            return kUnsteady;
        }
        if ((d == Direction::original) == (c.original_slave != kNoSlave)) {
            std::atomic_ref{c.mark}.store(packet.tcp_acknowledgement, std::memory_order_relaxed);
        }
        return timeouts_.tcp[static_cast<std::size_t>(TcpState::established)];
    }
    Seen note_further(ConnRef ref, const ConnPacket& packet, std::uint32_t now) noexcept;
    bool put(std::uint64_t hash, ConnRef ref) noexcept;
    void erase(std::uint64_t hash, ConnRef ref) noexcept;
    bool drop_early() noexcept;
    void link(std::uint32_t place) noexcept;
    void unlink(std::uint32_t place) noexcept;
    void assure(std::uint32_t place) noexcept;
    Seen note_tcp(Connection& c, Direction d, const ConnPacket& packet) noexcept;
    [[nodiscard]] std::uint32_t timeout_of(const Connection& c) const noexcept;
    void sweep(std::uint32_t now) noexcept;
    bool is_free(const ConnTuple& reply, std::uint32_t now) noexcept;
    void flush_some() noexcept;
    void take_timeouts() noexcept;
    std::uint32_t random() noexcept;

    Connection* places_ = nullptr;
    Bucket* buckets_ = nullptr;
    std::size_t place_bytes_ = 0;
    std::size_t bucket_bytes_ = 0;
    std::uint32_t mask_ = 0;
    std::uint32_t shift_ = 0;
    std::uint32_t capacity_ = 0;
    Seeds seeds_{};
    ConnTimeouts timeouts_;
    FragmentTable fragments_;
    bool translates_ = false;  ///< some connection is, or was
    std::uint32_t free_ = kNil;
    std::uint32_t oldest_ = kNil;  ///< of those that are not assured
    std::uint32_t newest_ = kNil;
    std::uint32_t sweep_at_ = 0;
    std::uint32_t swept_when_ = 0;
    std::uint32_t sweep_debt_ = 0;  ///< places times milliseconds not yet looked at
    std::uint64_t random_state_ = 0;
    std::array<std::atomic<std::uint16_t>, kReserved> reserved_{};

    /// One writer each; read by any thread.
    struct Counters {
        std::atomic<std::uint32_t> used{0};
        std::atomic<std::uint32_t> high_water{0};
        std::atomic<std::uint64_t> created{0};
        std::atomic<std::uint64_t> refused{0};
        std::atomic<std::uint64_t> early_drops{0};
        std::atomic<std::uint64_t> expired{0};
        std::atomic<std::uint64_t> flushed{0};
        std::atomic<std::uint64_t> closed{0};
        std::atomic<std::uint64_t> ports_exhausted{0};
    };
    alignas(64) Counters counters_;
    std::atomic<std::uint32_t> touched_{0};

    // Flush requests: control writes at `flushes_asked_`, the worker takes at `flushes_done_`.
    static constexpr std::uint64_t kFlushRoom = 16;
    std::uint32_t flush_at_ = 0;
    alignas(64) std::array<ConnFilter, kFlushRoom> flushes_{};
    std::atomic<std::uint64_t> flushes_asked_{0};

    // Control writes, then counts; the worker reads once more when it was counted meanwhile.
    ConnTimeouts timeouts_wanted_;
    std::atomic<std::uint32_t> timeouts_asked_{0};
    std::uint32_t timeouts_taken_ = 0;  ///< the worker's
    alignas(64) std::atomic<std::uint64_t> flushes_done_{0};
};

}  // namespace vxplane::table
