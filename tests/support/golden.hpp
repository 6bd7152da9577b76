// A golden test: configuration (the lab's), one frame in, frames out, and every counter that moves.
// A counter that is not named must not move. Each golden frame is run three ways (as a NIC leaves
// it, on a block of exactly its size, in two buffers) and then cut at every length.
#pragma once

#include <initializer_list>
#include <set>
#include <utility>

#include "tests/support/lab.hpp"

namespace vxplane::support {

using packet::DropReason;

/// Reasons that some golden packet of this process has caused.
std::set<DropReason>& caused_reasons();

/// What was seen by several polls must keep the law and account for each counter by name.
void expect_law(const Seen& seen);
void expect_counts(const Seen& seen, const Counts& expected);
/// Notes the drops of `seen` among the caused reasons.
void note_reasons(const Seen& seen);

class Golden {
  public:
    Golden(Lab& lab, PortId in, Frame frame, const char* file = __builtin_FILE(),
           int line = __builtin_LINE());

    /// Leaves by `port`; counts as sent there. Several are expected in this order per port.
    Golden& out(PortId port, Frame frame);
    Golden& drops(DropReason reason, std::uint64_t times = 1);
    Golden& punts(packet::Punt why);
    /// Frames and bytes of the inner frame, through tunnels of the segment.
    Golden& tunnelled(SegmentId segment, std::uint64_t frames, std::uint64_t bytes);
    Golden& arrived(SegmentId segment, std::uint64_t bytes);
    /// Went to more than one place, or had to be looked for: so many copies besides the frame
    /// itself.
    Golden& flooded(SegmentId segment, std::uint64_t copies);
    /// The source address of the frame (of the inner one, when `remote` is set) is told to control.
    Golden& learns_at(PortId port);
    Golden& learns_behind(const char* remote);
    Golden& counts(const std::string& name, std::uint64_t times);
    /// The named counters are another worker's, whose names begin with `worker`.
    Golden& moves_to(const std::string& worker, std::initializer_list<const char*> names);
    /// Reasons that a frame cut short may be dropped for, besides those of truncation.
    Golden& cut_may(std::initializer_list<DropReason> reasons);
    /// Not cut, when what the cut frames do is no business of the test.
    Golden& uncut();
    /// The layout in memory is part of the test: only as a NIC leaves it.
    Golden& as_received();

    void check();

  private:
    void run(Memory memory, const char* how);
    void run_cut();
    [[nodiscard]] bool cut_reason_is_known(DropReason reason) const;

    Lab& lab_;
    PortId in_;
    Bytes frame_;
    const char* file_;
    int line_;
    std::vector<std::pair<PortId, Frame>> out_{};
    Counts counts_{};
    std::vector<packet::Punt> punts_{};
    bool learns_ = false;
    net::IpAddress learned_remote_{};
    PortId learned_port_ = 0;
    std::set<DropReason> cut_reasons_{};
    bool cut_ = true;
    bool all_layouts_ = true;
};

}  // namespace vxplane::support
