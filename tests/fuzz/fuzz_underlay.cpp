// Any bytes from the underlay: what leaves is the frame itself, to the host, or the inner frame, to
// local ports; never anything back to the underlay. The port puts fragments together; the upper
// three bits of the first byte are what its device says of checksums, which is believed and
// compared.
#include "fuzz.hpp"

#include <algorithm>
#include <array>

#include "dataplane/path/reassembly.hpp"

namespace {

struct Said {
    std::uint64_t flags;
    std::uint32_t type;
};
constexpr std::uint64_t kGood = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
constexpr std::array<Said, 8> kSaid{{
    {0, 0},
    {kGood, 0},
    {kGood, RTE_PTYPE_TUNNEL_VXLAN},
    {kGood | RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD, RTE_PTYPE_TUNNEL_VXLAN},
    {RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD, RTE_PTYPE_INNER_L4_UDP},
    {RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD, 0},
    {RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_BAD, 0},
    {RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_LRO, 0},
}};

void set_up(vxplane::support::Scene& s, std::uint8_t first) {
    using namespace vxplane;
    table::PortEntry& port = s.lab.port_entry(s.up);
    if (!port.reassembles) {
        port.trusted_sums = packet::kAllRxSums;
        port.watches_sums = true;
        port.reassembles = true;
        s.lab.publish();
    }
    s.lab.rx_flags = kSaid[first >> 5U].flags;
    s.lab.rx_type = kSaid[first >> 5U].type;
}

/// What waits for the rest of it must not become whole by another input.
void let_go(vxplane::support::Scene& s, const vxplane::fuzz::Bytes& frame) {
    using namespace vxplane;
    const path::WorkerCounters& counters = s.lab.worker().counters();
    if (counters.held_fragments.get() == 0) return;
    s.lab.pass_time(path::Reassembly::kPatience);
    s.lab.poll();
    const support::Seen seen = s.lab.collect();
    fuzz::require(seen.broken_law.empty() && counters.held_fragments.get() == 0,
                  "a fragment waits for ever", frame);
}

/// Where the inner frame begins in a packet that was let in, over IPv4 or IPv6.
std::size_t inner_offset(const vxplane::fuzz::Bytes& frame) {
    if (frame[12] == 0x08) return 14U + (frame[14] & 0xFU) * 4U + 16U;
    std::size_t at = 54;
    for (unsigned type = frame[20]; type != 17 && at + 8 <= frame.size();) {
        const unsigned units = frame[at + 1];
        const unsigned length = type == 44   ? 8U
                                : type == 51 ? (units + 2U) * 4U
                                             : (units + 1U) * 8U;
        type = frame[at];
        at += length;
    }
    return at + 16U;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vxplane;
    if (size == 0) return 0;
    support::Scene& s = fuzz::scene();
    fuzz::Bytes frame;
    set_up(s, data[0]);
    const support::Seen seen = fuzz::run(s.up, data, size, frame);
    let_go(s, frame);
    for (const support::SentFrame& sent : seen.sent) {
        fuzz::require(sent.port != s.up, "sent back", frame);
        if (sent.port == s.host_twin) {
            fuzz::require(sent.bytes == frame, "changed on its way to the host", sent.bytes);
            continue;
        }
        const std::size_t at = inner_offset(frame);
        fuzz::require(sent.bytes.size() >= 14 && at + sent.bytes.size() <= frame.size(),
                      "longer than what came", sent.bytes);
        // Only the ECN field and, with IPv4, the checksum may differ.
        std::size_t changed = 0;
        for (std::size_t i = 0; i < sent.bytes.size(); ++i)
            changed += sent.bytes[i] != frame[at + i] ? 1U : 0U;
        fuzz::require(changed <= 3 && std::equal(sent.bytes.begin(), sent.bytes.begin() + 14,
                                                 frame.begin() + static_cast<std::ptrdiff_t>(at)),
                      "changed on its way out of the tunnel", sent.bytes);
    }
    for (const support::PuntedFrame& punted : seen.punted)
        fuzz::require(punted.bytes == frame, "changed on its way to control", punted.bytes);
    return 0;
}
