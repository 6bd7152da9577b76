// What a NIC with TCP segmentation offload does with a packet, done byte by byte from what its mbuf
// says and nothing else: the judge of what the exit prepares.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <vector>

#include "tests/support/frame.hpp"

namespace vxplane::support {

inline Bytes all_bytes(const rte_mbuf* mbuf) {
    Bytes bytes;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
        bytes.insert(bytes.end(), data, data + mbuf->data_len);
    }
    return bytes;
}

/// The frames on the wire. A packet without RTE_MBUF_F_TX_TCP_SEG is sent as it is.
inline std::vector<Bytes> cut_by_nic(const rte_mbuf* mbuf) {
    const Bytes whole = all_bytes(mbuf);
    const std::uint64_t flags = mbuf->ol_flags;
    if ((flags & RTE_MBUF_F_TX_TCP_SEG) == 0) return {whole};
    const auto put16 = [](Bytes& to, std::size_t at, std::size_t value) {
        to[at] = static_cast<std::uint8_t>(value >> 8);
        to[at + 1] = static_cast<std::uint8_t>(value);
    };
    const auto get16 = [](const Bytes& from, std::size_t at) {
        return static_cast<std::size_t>(from[at] << 8 | from[at + 1]);
    };
    const bool tunnel = (flags & RTE_MBUF_F_TX_TUNNEL_MASK) == RTE_MBUF_F_TX_TUNNEL_VXLAN;
    const std::size_t outer_l3 = tunnel ? mbuf->outer_l2_len : 0;
    const std::size_t udp = tunnel ? outer_l3 + mbuf->outer_l3_len : 0;
    const std::size_t l3 = udp + mbuf->l2_len;
    const std::size_t l4 = l3 + mbuf->l3_len;
    const std::size_t headers = l4 + mbuf->l4_len;
    const auto ip = [&](Bytes& frame, std::size_t at, bool v4, bool checksum, std::size_t number) {
        if (!v4) {
            put16(frame, at + 4, frame.size() - at - 40);
            return;
        }
        put16(frame, at + 2, frame.size() - at);
        put16(frame, at + 4, get16(frame, at + 4) + number);
        if (!checksum) return;
        put16(frame, at + 10, 0);
        const auto begin = frame.begin() + static_cast<std::ptrdiff_t>(at);
        put16(frame, at + 10, rfc1071(Bytes(begin, begin + 20)));
    };
    std::vector<Bytes> frames;
    for (std::size_t at = headers; at < whole.size(); at += mbuf->tso_segsz) {
        const std::size_t size = std::min<std::size_t>(mbuf->tso_segsz, whole.size() - at);
        Bytes frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(headers));
        const auto from = whole.begin() + static_cast<std::ptrdiff_t>(at);
        frame.insert(frame.end(), from, from + static_cast<std::ptrdiff_t>(size));
        const std::size_t sequence =
            (get16(frame, l4 + 4) << 16 | get16(frame, l4 + 6)) + (at - headers);
        put16(frame, l4 + 4, sequence >> 16 & 0xFFFF);
        put16(frame, l4 + 6, sequence & 0xFFFF);
        if (at + size != whole.size()) frame[l4 + 13] &= static_cast<std::uint8_t>(~0x09);
        if (at != headers) frame[l4 + 13] &= static_cast<std::uint8_t>(~0x80);
        const std::size_t number = frames.size();
        ip(frame, l3, (flags & RTE_MBUF_F_TX_IPV4) != 0, (flags & RTE_MBUF_F_TX_IP_CKSUM) != 0,
           number);
        // The field holds the sum of a pseudo header of length 0: the length comes on top.
        const std::size_t started = get16(frame, l4 + 16);
        put16(frame, l4 + 16, 0);
        const auto segment = frame.begin() + static_cast<std::ptrdiff_t>(l4);
        put16(frame, l4 + 16,
              rfc1071(Bytes(segment, frame.end()),
                      static_cast<std::uint32_t>(started + frame.size() - l4)));
        if (tunnel) {
            ip(frame, outer_l3, (flags & RTE_MBUF_F_TX_OUTER_IPV4) != 0,
               (flags & RTE_MBUF_F_TX_OUTER_IP_CKSUM) != 0, number);
            put16(frame, udp + 4, frame.size() - udp);
        }
        frames.push_back(std::move(frame));
    }
    return frames;
}

}  // namespace vxplane::support
