// TCP streams as frames, in every combination of inner and outer IP version: what merging and
// cutting are tried with.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tests/support/frame.hpp"

namespace vxplane::support {

/// The headers around a stream. Segments are made by segment().
struct StreamWords {
    bool tunnel = false;
    bool outer6 = false;
    bool inner6 = false;
    bool outer_checksum = false;
    std::uint16_t source_port = 40001;
    std::uint16_t outer_source_port = 50001;
    std::uint32_t vni = 7;
    Ip4 ip4{};
    Ip6 ip6{};
    Ip4 outer4{.source = "10.0.0.2", .destination = "10.0.0.1"};
    Ip6 outer_ip6{.source = "2001:db8:1::2", .destination = "2001:db8:1::1"};
    net::MacAddress from = host(12);
    net::MacAddress to = host(1);
    net::MacAddress outer_from = mac("02:00:00:bb:00:02");
    net::MacAddress outer_to = mac("02:00:00:aa:00:01");
    std::vector<std::uint16_t> tags{};
};

/// The six shapes: plain and in a tunnel, both IP versions wherever there is one.
inline std::vector<StreamWords> all_shapes() {
    std::vector<StreamWords> shapes;
    for (const bool inner6 : {false, true}) {
        shapes.push_back({.inner6 = inner6});
        for (const bool outer6 : {false, true})
            shapes.push_back({.tunnel = true, .outer6 = outer6, .inner6 = inner6});
    }
    return shapes;
}

inline std::string name_of(const StreamWords& words) {
    return std::string(words.inner6 ? "IPv6" : "IPv4") +
           (words.tunnel ? words.outer6 ? " in IPv6" : " in IPv4" : "");
}

/// `number` is the place of the segment in its stream, which IPv4 ids follow.
inline Bytes segment(const StreamWords& words, unsigned number, Tcp tcp, const Bytes& payload) {
    Frame inner = a_frame().from(words.from).to(words.to);
    for (const std::uint16_t tag : words.tags) inner.vlan(tag);
    if (words.inner6) {
        inner.ipv6(words.ip6);
    } else {
        Ip4 header = words.ip4;
        header.id = static_cast<std::uint16_t>(header.id + number);
        inner.ipv4(header);
    }
    inner.tcp(words.source_port, 80, std::move(tcp)).payload(payload);
    if (!words.tunnel) return inner.bytes();
    Frame outer = a_frame().from(words.outer_from).to(words.outer_to);
    if (words.outer6) {
        outer.ipv6(words.outer_ip6);
    } else {
        Ip4 header = words.outer4;
        header.id = static_cast<std::uint16_t>(header.id + number);
        outer.ipv4(header);
    }
    Udp udp;
    if (!words.outer_checksum) udp.checksum = 0;
    return outer.udp(words.outer_source_port, 4789, udp).vxlan({.vni = words.vni}, inner).bytes();
}

/// A pattern in which every byte depends on its place in the stream.
inline Bytes stream_bytes(std::size_t from, std::size_t size, std::uint32_t seed = 1) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        std::uint64_t x = (from + i + 1) * 0x9E3779B97F4A7C15ULL + seed;
        x ^= x >> 29;
        bytes[i] = static_cast<std::uint8_t>(x * 0xBF58476D1CE4E5B9ULL >> 56);
    }
    return bytes;
}

/// `total` bytes in segments of `each`, from sequence number `first` on; the last one may be
/// shorter and has the flags `last_flags`.
inline std::vector<Bytes> stream(const StreamWords& words, std::size_t total, std::size_t each,
                                 Tcp tcp = {}, std::uint8_t last_flags = 0x18) {
    std::vector<Bytes> frames;
    const std::uint32_t first = tcp.sequence;
    for (std::size_t at = 0; at < total; at += each) {
        const std::size_t size = std::min(each, total - at);
        tcp.sequence = first + static_cast<std::uint32_t>(at);
        if (at + size == total) tcp.flags = last_flags;
        frames.push_back(segment(words, static_cast<unsigned>(frames.size()), tcp,
                                 stream_bytes(at, size, first)));
    }
    return frames;
}

/// A frame of such a stream with its IPv4 ids, inner and outer, and what depends on them made zero.
inline Bytes without_ids(Bytes frame, const StreamWords& words) {
    const auto clear = [&frame](std::size_t l3) {
        for (const std::size_t at :
             {std::size_t{4}, std::size_t{5}, std::size_t{10}, std::size_t{11}})
            frame[l3 + at] = 0;
    };
    std::size_t inner = 0;
    if (words.tunnel) {
        if (!words.outer6) clear(14);
        inner = 14 + (words.outer6 ? 40U : 20U) + 16;
        // Its sum covers the inner id.
        if (words.outer_checksum && !words.inner6) frame[inner - 10] = frame[inner - 9] = 0;
    }
    if (!words.inner6) clear(inner + 14 + 4 * words.tags.size());
    return frame;
}

}  // namespace vxplane::support
