// The table of connections: its index, adding, removing, what ends by itself, and what control
// reads. Run by the worker that owns the tracker, but for what is marked otherwise.
#include "dataplane/table/conntrack.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <random>

#include "dataplane/table/memory.hpp"

namespace vxplane::table {
namespace {

/// A full turn of the sweep takes this many milliseconds, if polls come often enough.
constexpr std::uint32_t kSweepTurn = 4000;
/// Places looked at by one poll: a few microseconds.
constexpr std::uint32_t kSweepAtOnce = 64;
constexpr std::uint32_t kFlushAtOnce = 512;
/// 3.5 entries in 7 lanes at most: one entry in 30 then lies beyond its home bucket.
constexpr std::uint64_t kEntriesPerTwoBuckets = 7;

template <class T>
void bump(std::atomic<T>& counter, T by = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

template <class T>
void set(T& place, T value) noexcept {
    std::atomic_ref<T>{place}.store(value, std::memory_order_relaxed);
}

/// Word by word, each no later than the version that control reads after it.
template <class T>
void publish_words(T& place, const T& value) noexcept {
    static_assert(sizeof(T) % 8 == 0 && alignof(T) >= 8);
    std::array<std::uint64_t, sizeof(T) / 8> words;
    __builtin_memcpy(words.data(), &value, sizeof value);
    auto* to = reinterpret_cast<std::uint64_t*>(&place);
    for (std::size_t i = 0; i < words.size(); ++i) {
        __atomic_store_n(to + i, words[i], __ATOMIC_RELEASE);
    }
}

ConnTimeouts within_clock(ConnTimeouts timeouts) noexcept {
    for (std::uint32_t& timeout : timeouts.tcp) {
        timeout = std::min(timeout, ConnTimeouts::kLongest);
    }
    for (std::uint32_t* timeout : {&timeouts.udp, &timeouts.udp_stream, &timeouts.icmp,
                                   &timeouts.generic, &timeouts.fragment}) {
        *timeout = std::min(*timeout, ConnTimeouts::kLongest);
    }
    return timeouts;
}

/// Word by word: the other side may be at the same words.
void copy_timeouts(ConnTimeouts& to, const ConnTimeouts& from) noexcept {
    constexpr std::size_t kWords = sizeof(ConnTimeouts) / sizeof(std::uint32_t);
    auto* into = reinterpret_cast<std::uint32_t*>(&to);
    const auto* of = reinterpret_cast<const std::uint32_t*>(&from);
    for (std::size_t i = 0; i < kWords; ++i) {
        __atomic_store_n(into + i, __atomic_load_n(of + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    }
}

}  // namespace

Conntrack::Conntrack(std::uint32_t capacity, const ConnTimeouts& timeouts, const Seeds& seeds)
    : capacity_{capacity},
      seeds_{seeds},
      timeouts_{within_clock(timeouts)},
      timeouts_wanted_{timeouts_} {
    if (capacity == 0 || capacity > kMaxCapacity) {
        throw std::bad_alloc{};
    }
    std::random_device random;
    random_state_ = std::uint64_t{random()} << 32 | random() | 1U;
    const std::uint64_t buckets = std::bit_ceil(std::max<std::uint64_t>(
        (std::uint64_t{capacity} * 4 + kEntriesPerTwoBuckets - 1) / kEntriesPerTwoBuckets, 16));
    mask_ = static_cast<std::uint32_t>(buckets - 1);
    shift_ = static_cast<std::uint32_t>(64 - std::countr_zero(buckets));
    place_bytes_ = sizeof(Connection) * capacity;
    bucket_bytes_ = sizeof(Bucket) * buckets;
    places_ = static_cast<Connection*>(take_memory(place_bytes_));
    try {
        buckets_ = static_cast<Bucket*>(take_memory(bucket_bytes_));
    } catch (...) {
        give_memory(places_, place_bytes_);
        throw;
    }
}

Conntrack::~Conntrack() {
    give_memory(places_, place_bytes_);
    give_memory(buckets_, bucket_bytes_);
}

std::size_t Conntrack::memory_bytes() const noexcept {
    return place_bytes_ + bucket_bytes_;
}

void Conntrack::prefetch_place(std::uint64_t hash, bool plain_udp) const noexcept {
    const Bucket& bucket = buckets_[home(hash)];
    const unsigned bits = match(bucket, tag(hash));
    if (bits != 0) [[likely]] {
        ConnRef ref;
        ref.bits = bucket.refs[std::countr_zero(bits)];
        const Connection& c = places_[ref.place()];
        __builtin_prefetch(&c, 1);
        if (!plain_udp || translates_ || ref.direction() == Direction::reply) {
            __builtin_prefetch(&c.reply, 1);
        }
    }
}

ConnRef Conntrack::find_further(const ConnTuple& tuple, std::uint64_t hash,
                                std::uint32_t now) noexcept {
    const std::uint32_t wanted = tag(hash);
    std::uint32_t at = home(hash);
    for (std::uint32_t probe = 0; probe < kMaxProbe; ++probe, at = (at + 1) & mask_) {
        const Bucket& bucket = buckets_[at];
        for (unsigned bits = match(bucket, wanted); bits != 0; bits &= bits - 1) {
            ConnRef ref;
            ref.bits = bucket.refs[std::countr_zero(bits)];
            Connection& c = places_[ref.place()];
            if (c.side(ref.direction()).tuple == tuple) [[likely]] {
                if (c.is_over(now)) [[unlikely]] {
                    bump(counters_.expired);
                    remove(ref.place());
                    return {};
                }
                return ref;
            }
        }
        if (bucket.passed == 0) [[likely]] {
            return {};
        }
    }
    return {};
}

bool Conntrack::put(std::uint64_t hash, ConnRef ref) noexcept {
    const std::uint32_t first = home(hash);
    for (std::uint32_t probe = 0; probe < kMaxProbe; ++probe) {
        Bucket& bucket = buckets_[(first + probe) & mask_];
        const unsigned free = match(bucket, 0) & ((1U << Bucket::kLanes) - 1);
        if (free != 0) {
            const int lane = std::countr_zero(free);
            bucket.tags[lane] = tag(hash);
            bucket.refs[lane] = ref.bits;
            for (std::uint32_t before = 0; before < probe; ++before) {
                ++buckets_[(first + before) & mask_].passed;
            }
            return true;
        }
    }
    return false;
}

void Conntrack::erase(std::uint64_t hash, ConnRef ref) noexcept {
    const std::uint32_t first = home(hash);
    for (std::uint32_t probe = 0; probe < kMaxProbe; ++probe) {
        Bucket& bucket = buckets_[(first + probe) & mask_];
        for (unsigned bits = match(bucket, tag(hash)); bits != 0; bits &= bits - 1) {
            const int lane = std::countr_zero(bits);
            if (bucket.refs[lane] == ref.bits) {
                bucket.tags[lane] = 0;
                for (std::uint32_t before = 0; before < probe; ++before) {
                    --buckets_[(first + before) & mask_].passed;
                }
                return;
            }
        }
    }
}

void Conntrack::link(std::uint32_t place) noexcept {
    Connection& c = places_[place];
    set(c.previous, newest_);
    set(c.next, kNil);
    set(newest_ == kNil ? oldest_ : places_[newest_].next, place);
    newest_ = place;
}

void Conntrack::unlink(std::uint32_t place) noexcept {
    const Connection& c = places_[place];
    set(c.previous == kNil ? oldest_ : places_[c.previous].next, c.next);
    set(c.next == kNil ? newest_ : places_[c.next].previous, c.previous);
}

void Conntrack::assure(std::uint32_t place) noexcept {
    Connection& c = places_[place];
    unlink(place);
    set(c.flags, static_cast<std::uint8_t>(c.flags | Connection::kAssured));
}

bool Conntrack::drop_early() noexcept {
    if (oldest_ == kNil) {
        return false;
    }
    bump(counters_.early_drops);
    remove(oldest_);
    return true;
}

ConnRef Conntrack::add(const NewConnection& connection, const ConnPacket& packet,
                       std::uint32_t now) noexcept {
    std::uint32_t touched = touched_.load(std::memory_order_relaxed);
    if (free_ == kNil && touched == capacity_ && !drop_early()) {
        bump(counters_.refused);
        return {};
    }
    translates_ = translates_ ||
                  (connection.flags & (Connection::kSourceNat | Connection::kDestinationNat)) != 0;
    const bool is_first = free_ == kNil;
    const std::uint32_t place = is_first ? touched : free_;
    Connection& c = places_[place];
    const std::uint32_t next_free = is_first ? kNil : c.next;
    const ConnRef original(place, Direction::original);
    const std::uint64_t original_hash = hash(connection.original);
    if (!put(original_hash, original)) {
        bump(counters_.refused);
        return {};
    }
    if (!put(hash(connection.reply), ConnRef(place, Direction::reply))) {
        erase(original_hash, original);
        bump(counters_.refused);
        return {};
    }
    free_ = next_free;

    const std::uint32_t version = c.version + 1;
    set(c.version, version);
    publish_words(c.original.tuple, connection.original);
    publish_words(c.reply.tuple, connection.reply);
    for (Connection::Side* side : {&c.original, &c.reply}) {
        __atomic_store_n(&side->packets, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&side->bytes, 0, __ATOMIC_RELEASE);
    }
    const auto put_now = [](auto& field, auto value) {
        std::atomic_ref(field).store(value, std::memory_order_release);
    };
    put_now(c.flags, static_cast<std::uint8_t>(connection.flags | Connection::kInUse));
    put_now(c.tcp, TcpState::none);
    put_now(c.original_slave, connection.original_slave);
    put_now(c.reply_slave, connection.reply_slave);
    const bool is_tcp = connection.original.protocol == net::ip_protocol::kTcp;
    put_now(c.mark, is_tcp ? std::uint32_t{0} : now);
    put_now(c.created, now);
    link(place);
    note(original, packet, now);
    __atomic_store_n(&c.version, version + 1, __ATOMIC_RELEASE);

    if (is_first) {
        touched_.store(touched + 1, std::memory_order_release);
    }
    bump(counters_.created);
    bump(counters_.used);
    const std::uint32_t used = counters_.used.load(std::memory_order_relaxed);
    if (used > counters_.high_water.load(std::memory_order_relaxed)) {
        counters_.high_water.store(used, std::memory_order_relaxed);
    }
    return original;
}

void Conntrack::remove(std::uint32_t place) noexcept {
    Connection& c = places_[place];
    erase(hash(c.original.tuple), ConnRef(place, Direction::original));
    erase(hash(c.reply.tuple), ConnRef(place, Direction::reply));
    if (!c.has(Connection::kAssured)) {
        unlink(place);
    }
    const std::uint32_t version = c.version + 1;
    set(c.version, version);
    __atomic_store_n(&c.flags, std::uint8_t{0}, __ATOMIC_RELEASE);
    __atomic_store_n(&c.next, free_, __ATOMIC_RELEASE);
    __atomic_store_n(&c.version, version + 1, __ATOMIC_RELEASE);
    free_ = place;
    bump(counters_.used, ~0U);
}

ConnRef Conntrack::find_fragment(const FragmentKey& key, std::uint32_t now) noexcept {
    const FragmentTable::Value value = fragments_.find(key, now);
    ConnRef ref;
    ref.bits = value.ref;
    return ref && at(ref).version == value.version ? ref : ConnRef{};
}

void Conntrack::sweep(std::uint32_t now) noexcept {
    const std::uint32_t places = touched_.load(std::memory_order_relaxed);
    const std::uint32_t passed = std::min(now - swept_when_, kSweepTurn);
    swept_when_ = now;
    if (places == 0) {
        return;
    }
    const std::uint64_t debt = sweep_debt_ + std::uint64_t{places} * passed;
    const auto due = static_cast<std::uint32_t>(
        std::min<std::uint64_t>({debt / kSweepTurn, kSweepAtOnce, places}));
    // What cannot be made up for is let go: a slow worker sweeps more slowly.
    sweep_debt_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        debt - std::uint64_t{due} * kSweepTurn, std::uint64_t{kSweepAtOnce} * kSweepTurn));
    for (std::uint32_t i = 0; i < due; ++i) {
        sweep_at_ = sweep_at_ >= places ? 0 : sweep_at_;
        const Connection& c = places_[sweep_at_];
        __builtin_prefetch(&places_[std::min(sweep_at_ + 4, capacity_ - 1)]);
        if (c.has(Connection::kInUse) && c.is_over(now)) {
            bump(counters_.expired);
            remove(sweep_at_);
        }
        ++sweep_at_;
    }
}

void Conntrack::flush_some() noexcept {
    const std::uint64_t done = flushes_done_.load(std::memory_order_relaxed);
    if (flushes_asked_.load(std::memory_order_acquire) == done) [[likely]] {
        return;
    }
    const ConnFilter& filter = flushes_[done % kFlushRoom];
    const std::uint32_t places = touched_.load(std::memory_order_relaxed);
    const std::uint32_t end = std::min(places, flush_at_ + kFlushAtOnce);
    for (; flush_at_ < end; ++flush_at_) {
        const Connection& c = places_[flush_at_];
        if (c.has(Connection::kInUse) && filter.takes(c)) {
            bump(counters_.flushed);
            remove(flush_at_);
        }
    }
    if (flush_at_ == places) {
        flush_at_ = 0;
        flushes_done_.store(done + 1, std::memory_order_release);
    }
}

void Conntrack::poll(std::uint32_t now) noexcept {
    if (now != swept_when_ || sweep_debt_ >= kSweepTurn) {
        sweep(now);
        fragments_.sweep(now);
    }
    flush_some();
    if (timeouts_asked_.load(std::memory_order_relaxed) != timeouts_taken_) [[unlikely]] {
        take_timeouts();
    }
}

void Conntrack::set_timeouts(const ConnTimeouts& timeouts) noexcept {
    copy_timeouts(timeouts_wanted_, within_clock(timeouts));
    timeouts_asked_.fetch_add(1, std::memory_order_release);
}

void Conntrack::take_timeouts() noexcept {
    timeouts_taken_ = timeouts_asked_.load(std::memory_order_acquire);
    copy_timeouts(timeouts_, timeouts_wanted_);
}

std::uint64_t Conntrack::request_flush(const ConnFilter& filter) noexcept {
    const std::uint64_t asked = flushes_asked_.load(std::memory_order_relaxed);
    if (asked - flushes_done_.load(std::memory_order_acquire) == kFlushRoom) {
        return 0;
    }
    flushes_[asked % kFlushRoom] = filter;
    flushes_asked_.store(asked + 1, std::memory_order_release);
    return asked + 1;
}

bool Conntrack::read(std::uint32_t place, Connection& copy) const noexcept {
    constexpr std::size_t kWords = sizeof(Connection) / 8;
    const Connection& c = places_[place];
    const auto* from = reinterpret_cast<const std::uint64_t*>(&c);
    for (int attempt = 0; attempt < 100; ++attempt) {
        const std::uint32_t before = __atomic_load_n(&c.version, __ATOMIC_ACQUIRE);
        std::array<std::uint64_t, kWords> words;
        for (std::size_t i = 0; i < kWords; ++i) {
            words[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
        }
        if ((before & 1U) == 0 && __atomic_load_n(&c.version, __ATOMIC_RELAXED) == before) {
            __builtin_memcpy(static_cast<void*>(&copy), words.data(), sizeof copy);
            return copy.has(Connection::kInUse);
        }
    }
    return false;  // it changes hands all the time: as good as gone
}

ConntrackStats Conntrack::stats() const noexcept {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    ConntrackStats s;
    s.capacity = capacity_;
    s.used = counters_.used.load(kRelaxed);
    s.high_water = counters_.high_water.load(kRelaxed);
    s.created = counters_.created.load(kRelaxed);
    s.refused = counters_.refused.load(kRelaxed);
    s.early_drops = counters_.early_drops.load(kRelaxed);
    s.expired = counters_.expired.load(kRelaxed);
    s.flushed = counters_.flushed.load(kRelaxed);
    s.closed = counters_.closed.load(kRelaxed);
    s.ports_exhausted = counters_.ports_exhausted.load(kRelaxed);
    s.fragments_used = fragments_.used();
    s.fragments_high_water = fragments_.high_water();
    s.fragments_replaced = fragments_.replaced();
    return s;
}

}  // namespace vxplane::table
