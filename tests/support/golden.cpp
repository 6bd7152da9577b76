// Runs golden tests and compares.
#include "tests/support/golden.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace vxplane::support {
namespace {

std::string text_of(const Counts& counts) {
    std::string text;
    for (const auto& [name, value] : counts)
        text += "  " + name + " " + std::to_string(value) + "\n";
    return text;
}

std::string name_of(DropReason reason) {
    return "drop." + std::string(packet::info(reason).name);
}

/// A frame that was cut short may be any of these.
constexpr DropReason kTruncation[] = {DropReason::eth_runt,
                                      DropReason::ip4_truncated,
                                      DropReason::ip4_bad_header_length,
                                      DropReason::ip4_bad_total_length,
                                      DropReason::udp_bad_length,
                                      DropReason::vxlan_too_short,
                                      DropReason::vxlan_inner_truncated};

}  // namespace

std::set<DropReason>& caused_reasons() {
    static std::set<DropReason> reasons;
    return reasons;
}

void note_reasons(const Seen& seen) {
    for (std::size_t i = 1; i < packet::kDropReasons; ++i) {
        const auto reason = static_cast<DropReason>(i);
        if (seen.moved.contains(name_of(reason))) caused_reasons().insert(reason);
    }
}

void expect_law(const Seen& seen) {
    EXPECT_EQ(seen.broken_law, "");
}

void expect_counts(const Seen& seen, const Counts& expected) {
    expect_law(seen);
    note_reasons(seen);
    EXPECT_EQ(seen.moved, expected) << "moved:\n"
                                    << text_of(seen.moved) << "expected:\n"
                                    << text_of(expected);
}

Golden::Golden(Lab& lab, PortId in, Frame frame, const char* file, int line)
    : lab_{lab}, in_{in}, frame_{frame.bytes()}, file_{file}, line_{line} {
    const std::string port = "port." + lab_.name(in) + ".";
    counts("received", 1);
    counts(port + "rx_packets", 1);
    counts(port + "rx_bytes", frame_.size());
}

Golden& Golden::counts(const std::string& name, std::uint64_t times) {
    if (times != 0) counts_[name] += times;
    return *this;
}

Golden& Golden::out(PortId port, Frame frame) {
    const std::string name = "port." + lab_.name(port) + ".";
    counts("sent", 1);
    counts(name + "tx_packets", 1);
    counts(name + "tx_bytes", frame.size());
    out_.emplace_back(port, std::move(frame));
    return *this;
}

Golden& Golden::drops(DropReason reason, std::uint64_t times) {
    return counts(name_of(reason), times);
}

Golden& Golden::punts(packet::Punt why) {
    punts_.push_back(why);
    return counts("diverted", 1);
}

Golden& Golden::tunnelled(SegmentId segment, std::uint64_t frames, std::uint64_t bytes) {
    const std::string name = "segment." + lab_.segment_name(segment) + ".";
    return counts(name + "tx_packets", frames).counts(name + "tx_bytes", bytes);
}

Golden& Golden::arrived(SegmentId segment, std::uint64_t bytes) {
    const std::string name = "segment." + lab_.segment_name(segment) + ".";
    return counts(name + "rx_packets", 1).counts(name + "rx_bytes", bytes);
}

Golden& Golden::flooded(SegmentId segment, std::uint64_t copies) {
    return counts("segment." + lab_.segment_name(segment) + ".flooded", 1).counts("copies", copies);
}

Golden& Golden::learns_at(PortId port) {
    learns_ = true;
    learned_port_ = port;
    return counts("learn_events", 1);
}

Golden& Golden::learns_behind(const char* remote) {
    learns_ = true;
    learned_remote_ = address(remote);
    return counts("learn_events", 1);
}

Golden& Golden::moves_to(const std::string& worker, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        if (auto node = counts_.extract(name)) {
            node.key() = worker + name;
            counts_.insert(std::move(node));
        }
    }
    return *this;
}

Golden& Golden::cut_may(std::initializer_list<DropReason> reasons) {
    cut_reasons_.insert(reasons);
    return *this;
}

Golden& Golden::uncut() {
    cut_ = false;
    return *this;
}

Golden& Golden::as_received() {
    all_layouts_ = false;
    return *this;
}

void Golden::check() {
    const testing::ScopedTrace here(file_, line_, "golden test");
    run(Memory::pool, "as received");
    if (all_layouts_) {
        run(Memory::exact, "on an exact block");
        run(Memory::split, "in two buffers");
    }
    if (cut_) run_cut();
}

void Golden::run(Memory memory, const char* how) {
    const testing::ScopedTrace here(file_, line_, how);
    // What was told stays told for a while: past it, each run is like the first.
    lab_.pass_time(1000);
    const Seen seen = lab_.receive(in_, {frame_}, memory);
    expect_counts(seen, counts_);
    ASSERT_EQ(seen.sent.size(), out_.size());
    std::map<PortId, std::size_t> next;
    for (const auto& [port, frame] : out_) {
        const std::vector<Bytes> sent = seen.sent_by(port);
        const std::size_t at = next[port]++;
        ASSERT_LT(at, sent.size()) << "nothing more left by " << lab_.name(port);
        const Bytes wanted = frame.bytes_like(sent[at]);
        EXPECT_EQ(sent[at], wanted) << "seen by " << lab_.name(port) << ":\n"
                                    << hex(sent[at]) << "\nexpected:\n"
                                    << hex(wanted);
    }
    ASSERT_EQ(seen.punted.size(), punts_.size());
    for (std::size_t i = 0; i < punts_.size(); ++i) {
        EXPECT_EQ(static_cast<int>(seen.punted[i].why), static_cast<int>(punts_[i]));
        EXPECT_EQ(seen.punted[i].in_port, in_);
    }
    ASSERT_EQ(seen.learned.size(), learns_ ? 1U : 0U);
    if (learns_) {
        EXPECT_EQ(seen.learned[0].remote, learned_remote_);
        EXPECT_EQ(seen.learned[0].port, learned_port_);
    }
}

bool Golden::cut_reason_is_known(DropReason reason) const {
    return counts_.contains(name_of(reason)) || cut_reasons_.contains(reason) ||
           std::ranges::find(kTruncation, reason) != std::end(kTruncation);
}

void Golden::run_cut() {
    for (std::size_t size = 0; size < frame_.size(); ++size) {
        lab_.pass_time(1000);
        const Seen seen = lab_.receive(
            in_, {Bytes(frame_.begin(), frame_.begin() + static_cast<std::ptrdiff_t>(size))},
            Memory::exact);
        const std::string at = "cut at " + std::to_string(size);
        EXPECT_EQ(seen.broken_law, "") << at;
        note_reasons(seen);
        const auto reason = seen.only_reason();
        ASSERT_NE(reason, DropReason::count) << at << ":\n" << text_of(seen.moved);
        if (reason != DropReason::none)
            EXPECT_TRUE(cut_reason_is_known(reason)) << at << ": " << packet::info(reason).name;
        else
            EXPECT_FALSE(seen.sent.empty() && seen.punted.empty()) << at << " it vanished";
    }
}

}  // namespace vxplane::support
