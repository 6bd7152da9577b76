// A packet: a thin view over an rte_mbuf chain, and what is known of it while it is on its way.
// What is known lives in an array beside the burst, not in the mbuf: it stays in the first-level
// cache while the mbufs come and go.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/net/headers.hpp"
#include "dataplane/net/ipv4_address.hpp"
#include "dataplane/packet/drop_reason.hpp"

namespace vxplane::packet {

/// View over a chain of mbufs. Does not own: freeing is the path's business.
class Packet {
  public:
    explicit Packet(rte_mbuf* mbuf) noexcept : mbuf_(mbuf) {}

    [[nodiscard]] rte_mbuf* mbuf() const noexcept { return mbuf_; }
    [[nodiscard]] std::byte* data() const noexcept { return rte_pktmbuf_mtod(mbuf_, std::byte*); }
    /// Bytes that can be read from data() on without changing segments.
    [[nodiscard]] std::uint32_t contiguous() const noexcept { return mbuf_->data_len; }
    /// Bytes of the whole frame, without FCS.
    [[nodiscard]] std::uint32_t length() const noexcept { return mbuf_->pkt_len; }
    [[nodiscard]] std::uint32_t headroom() const noexcept { return rte_pktmbuf_headroom(mbuf_); }
    /// True if nobody else refers to the first segment, so that it may be written and grown.
    [[nodiscard]] bool is_exclusive() const noexcept {
        return rte_mbuf_refcnt_read(mbuf_) == 1 && RTE_MBUF_DIRECT(mbuf_);
    }

    /// A header laid over the frame at `offset`; the caller has checked the length.
    template <class Header>
    [[nodiscard]] Header* at(std::uint32_t offset) const noexcept {
        static_assert(alignof(Header) == 1);
        return reinterpret_cast<Header*>(data() + offset);
    }

    /// Grows at the front by `size` bytes of headroom; the caller has checked headroom().
    std::byte* grow_front(std::uint16_t size) noexcept {
        mbuf_->data_off = static_cast<std::uint16_t>(mbuf_->data_off - size);
        mbuf_->data_len = static_cast<std::uint16_t>(mbuf_->data_len + size);
        mbuf_->pkt_len += size;
        return data();
    }
    /// Takes `size` bytes off the front; the caller has checked contiguous().
    void cut_front(std::uint16_t size) noexcept {
        mbuf_->data_off = static_cast<std::uint16_t>(mbuf_->data_off + size);
        mbuf_->data_len = static_cast<std::uint16_t>(mbuf_->data_len - size);
        mbuf_->pkt_len -= size;
    }
    /// Shortens the frame to `length` bytes from the end; the caller has checked length().
    void cut_to(std::uint32_t length) noexcept {
        if (mbuf_->nb_segs == 1) [[likely]] {
            mbuf_->data_len = static_cast<std::uint16_t>(length);
            mbuf_->pkt_len = length;
        } else {
            cut_chain_to(mbuf_, length);
        }
    }
    /// Puts `header` in front of the chain; this view then begins with it.
    void chain_behind(rte_mbuf* header) noexcept {
        header->next = mbuf_;
        header->nb_segs = static_cast<std::uint16_t>(mbuf_->nb_segs + 1);
        header->pkt_len = header->data_len + mbuf_->pkt_len;
        header->port = mbuf_->port;
        // What is said of the packet as a whole: that it is a large one.
        header->ol_flags |= mbuf_->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
        header->tx_offload = mbuf_->tx_offload;
        mbuf_ = header;
    }

  private:
    /// Unlike rte_pktmbuf_trim, which refuses to cut more than the last segment holds.
    [[gnu::noinline]] static void cut_chain_to(rte_mbuf* first, std::uint32_t length) noexcept {
        first->pkt_len = length;
        rte_mbuf* segment = first;
        std::uint16_t kept = 1;
        while (length > segment->data_len) {
            length -= segment->data_len;
            segment = segment->next;
            ++kept;
        }
        segment->data_len = static_cast<std::uint16_t>(length);
        first->nb_segs = kept;
        rte_mbuf* rest = segment->next;
        segment->next = nullptr;
        while (rest != nullptr) {
            rte_mbuf* next = rest->next;
            rte_pktmbuf_free_seg(rest);
            rest = next;
        }
    }

    rte_mbuf* mbuf_;
};

/// Where the packets of a path come from, where that is known when the path is compiled.
enum class Side : std::uint8_t {
    local,  ///< an access port
    tunnel  ///< a remote VTEP
};

/// Why a packet goes to control.
enum class Punt : std::uint8_t {
    arp,          ///< ARP or neighbour discovery
    icmp,         ///< an echo request to one of our addresses
    unresolved,   ///< the next hop of a tunnel
    unreachable,  ///< a remote VTEP
    // What follows is about slaves and routes; `in_port` is the port to answer to.
    next_hop,           ///< `tunnel` = number of the next hop, `segment` = port to send by
    ttl_exceeded,       ///< ICMP time exceeded
    route_unreachable,  ///< no route, or one of type unreachable
    route_prohibited,   ///< a route of type prohibit
    too_big,            ///< `tunnel` = MTU of the way
    reject,             ///< a rule's verdict; `tunnel` 0 = port unreachable or TCP RST, else the
                        ///< code of ICMP destination unreachable
    slave_arp,          ///< ARP of a slave in l3 or l3s
    slave_nd,           ///< neighbour solicitation of a slave in l3 or l3s
    slave_report,       ///< a copy of an IGMP or MLD report of a slave
    dhcp,               ///< a copy of what a slave asks for, or an answer from the wire
    // Copies of frames of segments that ask for them.
    neighbour,  ///< ARP or ND that tells who has an address; `tunnel` = offset of the inner frame
    l2_miss,    ///< its destination is in no FDB entry
    l3_miss,    ///< of the IP address that it asks for or goes to nothing is known
    listeners,  ///< IGMP or MLD of a tenant: a report, or a query
    // Of the underlay.
    group_query,  ///< a copy of an IGMP or MLD query
    port_closed   ///< for a UDP port of VXLAN whose segments are all down
};

/// What is known of a packet that comes from or goes to an ipvlan slave.
struct SlaveWay {
    std::uint16_t from;  ///< number of the slave that sent it; 0xFFFF (table::kNoSlave): the wire
    std::uint16_t to;    ///< of the slave that gets it; kLeaves: none, and its way is found
    std::uint16_t master;
    bool routed;  ///< gets an Ethernet header of its own
    bool ipv6;

    static constexpr std::uint16_t kLeaves = 0xFFFE;
    static constexpr SlaveWay at(std::uint16_t master) noexcept {
        return {0xFFFF, 0xFFFF, master, false, false};
    }
};
static_assert(sizeof(SlaveWay) == 8);

/// What is known of one packet; one cache line. Each field is written by the first step that
/// learns it and read by later ones.
struct alignas(64) PacketMeta {
    union {
        std::uint64_t destination_key = 0;  ///< FdbKey::raw of the inner destination
        SlaveWay slaves;                    ///< on the paths of slaves instead
    };
    std::uint64_t source_key = 0;  ///< FdbKey::raw of the inner source
    std::uint32_t destination_bucket = 0;
    std::uint32_t source_bucket = 0;  ///< for slaves: number of the journey through the hooks
    std::uint32_t flow_hash = 0;      ///< of the inner flow
    std::uint32_t destination = 0;    ///< FdbValue bits; for routed packets the next hop's number
    std::uint32_t vni_word = 0;       ///< second word of the VXLAN header, wire order
    std::uint32_t tunnel = 0;         ///< tunnel id: of the peer on decap, of the exit on encap
    net::Ipv4Address outer_source;    ///< decap: the remote VTEP, or table::peer6_name() of it
    std::uint16_t segment = 0;        ///< index into Tables::segments
    std::uint16_t in_port = 0;
    std::uint16_t out_port = 0;
    std::uint16_t outer_size = 0;  ///< decap: bytes before the inner frame
    std::uint8_t inner_tos = 0;
    std::uint8_t outer_tos = 0;
    std::uint8_t l3_offset = 0;  ///< of the inner frame's network header
    bool inner_is_ip = false;
    bool from_tunnel = false;
    /// Bytes of the outer header that was put on, 1 for what came through a tunnel, else 0.
    std::uint8_t tunnel_bytes = 0;
    Punt punt = Punt::arp;
    DropReason if_refused = DropReason::control_ring_full;  ///< when the control lane has no room
    bool one_of_many = false;  ///< a copy of a flood: what happens to it says little of the others
    /// Of a segment with group policies: by the port where it came in, or the header. No gap is
    /// left: a copy is then one move of a whole line.
    net::GroupPolicy policy{};

    /// True for packets that leave by one port and count for one segment.
    [[nodiscard]] bool goes_with(const PacketMeta& other) const noexcept {
        return out_port == other.out_port && segment == other.segment &&
               tunnel_bytes == other.tunnel_bytes;
    }
    /// Of the inner frame, once `l3_offset` is known.
    [[nodiscard]] std::uint32_t tag_bytes() const noexcept {
        return l3_offset - static_cast<std::uint32_t>(sizeof(net::EthernetHeader));
    }
};
static_assert(sizeof(PacketMeta) == 64);

/// Frames handled together. Large enough to hide the latency of a bulk lookup, small enough that
/// mbuf headers, metadata and table lines of one burst stay in a 32 KiB cache.
constexpr std::uint16_t kBurstSize = 64;

/// The packets that are still on the path, densely packed. All came in by one port.
struct Burst {
    std::uint16_t count = 0;
    std::uint16_t in_port = 0;
    std::array<rte_mbuf*, kBurstSize> mbufs;
    std::array<PacketMeta, kBurstSize> meta;
};

}  // namespace vxplane::packet
