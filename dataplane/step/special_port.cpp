#include "dataplane/step/special_port.hpp"

#include <cstring>

#include "dataplane/net/headers.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/step/check_exit.hpp"

namespace vxplane::step {
namespace {

using packet::DropReason;
using packet::Verdict;

constexpr std::uint16_t kAddresses = 2 * sizeof(net::MacAddress);
constexpr std::uint16_t kTag = sizeof(net::VlanHeader);
constexpr std::uint16_t kVidBits = table::kVids - 1;

/// The tag behind the addresses is there.
void cut_tag(packet::Packet& p) noexcept {
    std::memmove(p.data() + kTag, p.data(), kAddresses);
    p.cut_front(kTag);
    if (packet::is_large(p.mbuf())) {
        p.mbuf()->l2_len = (p.mbuf()->l2_len - kTag) & 0x7FU;
    }
}

/// False when there is no buffer for the header of a frame that is shared or has no headroom.
bool put_tag(packet::Packet& p, std::uint16_t vid, Context& ctx) noexcept {
    rte_mbuf* const before = p.mbuf();
    if (p.headroom() >= kTag && p.is_exclusive()) [[likely]] {
        std::byte* front = p.grow_front(kTag);
        std::memmove(front, front + kTag, kAddresses);
    } else {
        rte_mbuf* header = ctx.pools->header();
        if (header == nullptr) {
            return false;
        }
        std::memcpy(rte_pktmbuf_mtod(header, std::byte*), p.data(), kAddresses);
        header->data_len = kAddresses + kTag;
        p.cut_front(kAddresses);
        p.chain_behind(header);
    }
    const net::Be32 tag = net::Be32::of(std::uint32_t{net::ether_type::kVlan.value()} << 16 | vid);
    std::memcpy(p.data() + kAddresses, &tag, sizeof tag);
    if (packet::is_large(p.mbuf())) {
        p.mbuf()->l2_len = (before->l2_len + kTag) & 0x7FU;
    }
    return true;
}

}  // namespace

Verdict find_home(packet::Packet& p, packet::PacketMeta& meta, Context& ctx) noexcept {
    const table::Tables& tables = *ctx.tables;
    const table::PortEntry& port = tables.ports[meta.in_port];
    meta.segment = port.home;
    if (port.trunk == table::kNoTrunk) {
        return Verdict::go_on();
    }
    std::uint16_t vid = 0;
    if (p.at<net::EthernetHeader>(0)->type == net::ether_type::kVlan) {
        if (p.contiguous() < sizeof(net::EthernetHeader) + kTag) {
            return Verdict::drop(DropReason::eth_runt);
        }
        vid = p.at<net::VlanHeader>(sizeof(net::EthernetHeader))->tag.value() & kVidBits;
        // Of a tag that has a priority and no VLAN the segment knows nothing, either.
        cut_tag(p);
    }
    if (vid != 0) {
        meta.segment = tables.trunks[port.trunk * table::kVids + vid];
    }
    return meta.segment != table::kNoSegment
               ? Verdict::go_on()
               : Verdict::drop(vid == 0 ? DropReason::access_untagged
                                        : DropReason::access_unknown_vid);
}

Written6 leave_special(rte_mbuf* mbuf, packet::PacketMeta& meta, Context& ctx) noexcept {
    packet::Packet p(mbuf);
    const table::Tables& tables = *ctx.tables;
    const table::PortEntry& port = tables.ports[meta.out_port];
    const bool untagged = port.home == meta.segment;
    const std::uint16_t vid =
        meta.segment < tables.vids.size() ? tables.vids[meta.segment] : std::uint16_t{0};
    // An FDB entry may outlive its port or its membership by the length of a grace period.
    if (port.role != table::PortRole::access || port.trunk == table::kNoTrunk ||
        (!untagged && tables.trunks[port.trunk * table::kVids + vid] != meta.segment)) {
        return {mbuf, Verdict::drop(DropReason::port_gone)};
    }
    const std::uint32_t longest = port.max_frame + meta.tag_bytes();
    if (p.length() > longest && packet::longest_inner(p.mbuf()) > longest) {
        return {mbuf, Verdict::drop(DropReason::port_oversize)};
    }
    if (port.accepted_count != 0) {
        const Verdict accepts = CheckExit::judge_group(mbuf, meta, tables);
        if (!accepts.goes_on()) {
            return {mbuf, accepts};
        }
    }
    const bool done = untagged || put_tag(p, vid, ctx);
    return {p.mbuf(), done ? Verdict::go_on() : Verdict::drop(DropReason::tunnel_no_headroom)};
}

}  // namespace vxplane::step
