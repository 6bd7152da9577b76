// Paces, stamps and recognises frames.
#include "bench/vxbench/tester.hpp"

#include <rte_cycles.h>

#include <algorithm>
#include <cstring>

#include "bench/vxbench/rig.hpp"

namespace vxplane::bench {
namespace {

// A stamp is the frame's number, with the number of the measurement above it.
constexpr unsigned kRunShift = 48;
constexpr std::uint64_t kNumberMask = (1ULL << kRunShift) - 1;

}  // namespace

std::uint64_t Histogram::percentile(double share) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t place = 0; place < counts_.size(); ++place) {
        seen += counts_[place];
        if (seen > wanted) {
            const std::size_t fine = std::size_t{1} << kFineBits;
            const std::size_t shift = place < 2 * fine ? 0 : (place >> kFineBits) - 1;
            const std::uint64_t low = (place - (shift << kFineBits)) << shift;
            return std::min<std::uint64_t>(largest_, low + (1ULL << shift) - 1);
        }
    }
    return largest_;
}

Tester::Tester(Wire& wire, rte_mempool* pool, FrameTexts frames)
    : wire_(wire), pool_(pool), frames_(std::move(frames)) {}

unsigned Tester::send(std::uint64_t first, unsigned count) {
    std::array<rte_mbuf*, kBurst> burst;
    if (rte_pktmbuf_alloc_bulk(pool_, burst.data(), count) != 0) {
        return 0;
    }
    for (unsigned i = 0; i < count; ++i) {
        const std::uint64_t number = first + i;
        const std::string& text = frames_[number % frames_.size()];
        char* at = rte_pktmbuf_append(burst[i], static_cast<std::uint16_t>(text.size()));
        std::memcpy(at, text.data(), text.size());
        const std::uint64_t stamp = run_ << kRunShift | number;
        std::memcpy(at + text.size() - sizeof stamp, &stamp, sizeof stamp);
    }
    const unsigned taken = wire_.push({burst.data(), count});
    if (taken != count) {
        rte_pktmbuf_free_bulk(burst.data() + taken, count - taken);
    }
    return taken;
}

template <class Note>
unsigned Tester::receive(Passage& result, Note&& note) {
    std::array<rte_mbuf*, kBurst> burst;
    const unsigned count = wire_.pop(burst);
    if (count == 0) {
        return 0;
    }
    const std::uint64_t now = rte_rdtsc();
    for (unsigned i = 0; i < count; ++i) {
        rte_prefetch0(burst[i]);
    }
    for (unsigned i = 0; i < count; ++i) {
        rte_prefetch0(rte_pktmbuf_mtod_offset(burst[i], char*, burst[i]->data_len - 8));
    }
    for (unsigned i = 0; i < count; ++i) {
        std::uint64_t stamp = 0;
        std::memcpy(&stamp,
                    rte_pktmbuf_mtod_offset(burst[i], char*, burst[i]->data_len - sizeof stamp),
                    sizeof stamp);
        if (stamp >> kRunShift != run_) {
            ++result.foreign;
            continue;
        }
        const std::uint64_t number = stamp & kNumberMask;
        ++result.received;
        result.reordered += number < highest_ ? 1U : 0U;
        highest_ = std::max(highest_, number);
        note(number, now);
    }
    rte_pktmbuf_free_bulk(burst.data(), count);
    return count;
}

template <class Note>
void Tester::drain(Passage& result, Note&& note) {
    const std::uint64_t patience = rte_get_tsc_hz() / 20;
    std::uint64_t last = rte_rdtsc();
    while (result.received + result.refused < result.sent && rte_rdtsc() - last < patience) {
        if (receive(result, note) != 0) {
            last = rte_rdtsc();
        }
    }
}

void Tester::run_paced(double interval, std::uint64_t cycles, Passage& result) {
    ++run_;
    highest_ = 0;
    const auto total = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(static_cast<double>(cycles) / interval));
    const std::uint64_t start = rte_rdtsc();
    const auto since_due = [&](std::uint64_t number, std::uint64_t now) {
        const auto due = start + static_cast<std::uint64_t>(interval * static_cast<double>(number));
        return now - std::min(now, due);
    };
    const auto note = [&](std::uint64_t number, std::uint64_t now) {
        result.latency.add(since_due(number, now));
    };
    std::uint64_t next = 0;
    while (next < total) {
        const std::uint64_t now = rte_rdtsc();
        const auto passed = static_cast<double>(now - start);
        const auto due = std::min(static_cast<std::uint64_t>(passed / interval) + 1, total);
        if (due > next) {
            const auto count = static_cast<unsigned>(std::min<std::uint64_t>(due - next, kBurst));
            result.lateness.add(since_due(next, now));
            result.refused += count - send(next, count);
            result.sent += count;
            next += count;
        }
        receive(result, note);
    }
    result.cycles = rte_rdtsc() - start;
    drain(result, note);
}

void Tester::run_flood(std::uint64_t cycles, Passage& result) {
    ++run_;
    highest_ = 0;
    const std::uint64_t start = rte_rdtsc();
    // The same work for each frame as when paced: else the tester could not keep the pace that is
    // found here.
    const auto note = [&](std::uint64_t number, std::uint64_t now) {
        const auto due = start + static_cast<std::uint64_t>(static_cast<double>(number));
        result.latency.add(now - std::min(now, due));
    };
    std::uint64_t now = start;
    while (now - start < cycles) {
        if (wire_.has_room(kBurst)) {
            result.lateness.add(now - start);
            result.sent += send(result.sent, kBurst);
        }
        receive(result, note);
        now = rte_rdtsc();
    }
    result.cycles = now - start;
    drain(result, note);
}

}  // namespace vxplane::bench
