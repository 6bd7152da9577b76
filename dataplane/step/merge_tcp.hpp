// Merging at the entrance (generic receive offload): TCP segments of one flow that came in one
// burst become one large packet, so that the whole path, and whoever takes the packet, pays once.
// Buffers are chained; no payload is copied.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/net/checksum.hpp"
#include "dataplane/packet/packet.hpp"
#include "dataplane/port/pool.hpp"
#include "dataplane/step/tcp_frame.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::step {

/// Why nothing more is added to a packet.
enum class MergeEnd : std::uint8_t {
    burst,     ///< the burst was over
    complete,  ///< PSH, or a segment shorter than the first one
    flags,     ///< SYN, FIN, RST, URG, CWR or no payload
    headers,   ///< another header field differs
    sequence,  ///< not the next segment
    longer,    ///< longer than the first segment
    full,      ///< no room below 65,535 bytes
    checksum,  ///< wrong checksum of a segment
    evicted,   ///< the oldest of too many flows
    count
};
constexpr std::size_t kMergeEnds = static_cast<std::size_t>(MergeEnd::count);
constexpr std::array<std::string_view, kMergeEnds> kMergeEndNames{
    "burst", "complete", "flags", "headers", "sequence", "longer", "full", "checksum", "evicted"};

/// What merging one burst did.
struct MergeTally {
    std::uint32_t merged = 0;        ///< frames that became part of another
    std::uint32_t merged_bytes = 0;  ///< their headers, which are gone
    std::uint32_t large = 0;         ///< large packets that came out, those of guests included
    std::array<std::uint32_t, kMergeEnds> ends{};  ///< of all flows, merged or not
};

/// One per worker; holds nothing between bursts.
class TcpMerger {
  public:
    /// Frames looked at together.
    static constexpr std::uint16_t kRoom = packet::kBurstSize < 64 ? 64 : packet::kBurstSize;
    /// Longest IP packet of the result: it must still fit into a tunnel over IPv6.
    static constexpr std::uint32_t kMaxPacket = 65'535 - 70;
    static constexpr std::size_t kBuckets = 8;
    static constexpr std::size_t kFlowsPerBucket = 8;

    /// Merges what can be merged of `count` <= kRoom frames that `port` received, and closes the
    /// gaps; the order within a flow stays. Returns how many are left.
    std::uint16_t run(rte_mbuf** frames, std::uint16_t count, const table::Tables& tables,
                      std::uint16_t port, port::WorkerPools& pools, MergeTally& tally) noexcept;

  private:
    struct Flow {
        rte_mbuf* head = nullptr;
        rte_mbuf* tail = nullptr;
        TcpFrame at;
        std::uint32_t hash = 0;
        std::uint32_t next_sequence = 0;
        std::uint32_t payload = 0;  ///< bytes so far
        std::uint16_t segment = 0;  ///< payload of the first one
        std::uint16_t segments = 1;
        std::uint8_t flags = 0;  ///< of all segments together
        net::Sum sum = 0;        ///< of the payload, once there are two segments
    };
    /// A frame that might become part of a flow.
    struct Candidate {
        rte_mbuf* mbuf = nullptr;
        TcpFrame at;
        std::uint32_t hash = 0;
        std::uint32_t payload = 0;
        bool whole = true;     ///< false: it only ends what was begun before it
        bool trusted = false;  ///< the NIC says that the checksum of the TCP segment is right
    };
    struct Bucket {
        std::uint8_t used = 0;
        std::uint8_t oldest = 0;
        std::array<Flow, kFlowsPerBucket> flows;
    };

    /// True when the frame was taken into a flow and is gone.
    bool take(const Candidate& candidate, MergeTally& tally) noexcept;
    void open(const Candidate& candidate, MergeTally& tally) noexcept;
    static void append(Flow& flow, const Candidate& candidate, std::uint16_t sum,
                       MergeTally& tally) noexcept;
    void close(Flow& flow, MergeEnd why, MergeTally& tally) noexcept;
    static void finish(Flow& flow) noexcept;

    std::array<Bucket, kBuckets> buckets_;
    Flow* last_ = nullptr;
};

}  // namespace vxplane::step
