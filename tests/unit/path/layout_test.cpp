// No cache line that a worker writes for packets holds anything of another worker: counters,
// transmit batches and the worker itself begin and end on lines of their own, wherever the heap
// puts them.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "dataplane/worker/worker.hpp"

namespace vxplane {
namespace {

constexpr std::uintptr_t kLine = 64;

template <class T>
constexpr bool fills_lines = alignof(T) % kLine == 0 && sizeof(T) % kLine == 0;

static_assert(fills_lines<path::WorkerCounters>);
static_assert(fills_lines<path::PortCounters>);
static_assert(fills_lines<path::SegmentCounters>);
static_assert(fills_lines<path::MergeCounters>);
static_assert(fills_lines<path::TxLane>);
static_assert(fills_lines<worker::Worker>);
static_assert(fills_lines<worker::SharedClock>, "read by all workers, written by control");

using Lines = std::set<std::uintptr_t>;

void add_lines(Lines& lines, const void* begin, std::size_t bytes) {
    const auto first = reinterpret_cast<std::uintptr_t>(begin) / kLine;
    const auto last = (reinterpret_cast<std::uintptr_t>(begin) + bytes - 1) / kLine;
    for (std::uintptr_t line = first; line <= last; ++line) {
        lines.insert(line);
    }
}

template <class T>
void add_lines(Lines& lines, const std::vector<T>& values) {
    add_lines(lines, values.data(), values.size() * sizeof(T));
}

/// The lines that one worker's counting writes.
Lines lines_of(const path::WorkerCounters& counters) {
    Lines lines;
    add_lines(lines, &counters, sizeof counters);
    add_lines(lines, counters.ports);
    add_lines(lines, counters.merges);
    add_lines(lines, counters.segments);
    return lines;
}

TEST(Layout, workers_count_on_lines_of_their_own) {
    // Odd numbers, made in turn and with small things between, as control makes them.
    constexpr std::size_t kWorkers = 8;
    std::vector<std::unique_ptr<path::WorkerCounters>> workers;
    std::vector<std::unique_ptr<char>> between;
    for (std::size_t i = 0; i < kWorkers; ++i) {
        workers.push_back(std::make_unique<path::WorkerCounters>(3 + i, 5 + i));
        between.push_back(std::make_unique<char>());
    }
    Lines all;
    std::size_t sum = 0;
    for (const auto& one : workers) {
        const Lines own = lines_of(*one);
        sum += own.size();
        all.insert(own.begin(), own.end());
    }
    EXPECT_EQ(all.size(), sum) << "a line holds counters of two workers";
    for (const auto& one : between) {
        EXPECT_FALSE(all.contains(reinterpret_cast<std::uintptr_t>(one.get()) / kLine));
    }
}

TEST(Layout, workers_gather_frames_on_lines_of_their_own) {
    Lines all;
    std::size_t sum = 0;
    std::vector<std::vector<path::TxLane>> workers;
    for (std::size_t i = 0; i < 8; ++i) {
        workers.emplace_back(1 + i);
        Lines own;
        add_lines(own, workers.back());
        sum += own.size();
    }
    for (const auto& lanes : workers) {
        add_lines(all, lanes);
    }
    EXPECT_EQ(all.size(), sum);
}

}  // namespace
}  // namespace vxplane
