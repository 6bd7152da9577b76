// What a multicast router asks: IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810) queries in one
// form. Met by control, which answers for groups that it has joined and hears which ports of a
// segment have a router behind them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/membership.hpp"

namespace vxplane::net {

struct GroupQuery {
    enum class Kind : std::uint8_t { none, malformed, query };
    Kind kind = Kind::none;
    bool ipv4 = true;
    /// Of the querier: 1, 2 or 3 of IGMP, 1 or 2 of MLD (RFC 3376 section 7.1, RFC 3810
    /// section 8.1).
    std::uint8_t version = 0;
    bool general = false;
    IpAddress group{};   ///< unless general
    IpAddress source{};  ///< of the packet
    std::chrono::milliseconds response{0};
    std::uint8_t robustness = 0;       ///< 0: not said
    std::chrono::seconds interval{0};  ///< of queries; 0: not said
};

namespace query_reader {

/// RFC 3376 section 4.1.1: three bits of exponent, four of mantissa from 128 on.
constexpr std::uint32_t short_float(std::uint8_t code) noexcept {
    return code < 128 ? code : ((code & 0xFU) | 0x10U) << ((code >> 4 & 7U) + 3);
}
/// RFC 3810 section 5.1.3.
constexpr std::uint32_t long_float(std::uint16_t code) noexcept {
    return code < 32768 ? code : ((code & 0xFFFU) | 0x1000U) << ((code >> 12 & 7U) + 3);
}

/// Robustness, interval and sources, which stand at the same place in both protocols.
inline bool read_more(std::span<const std::byte> more, std::size_t address_size,
                      GroupQuery& query) noexcept {
    query.robustness = static_cast<std::uint8_t>(more[0]) & 7U;
    query.interval = std::chrono::seconds(short_float(static_cast<std::uint8_t>(more[1])));
    return more.size() >= 4 + load<Be16>(more.data() + 2).value() * address_size;
}

inline GroupQuery read_igmp(std::span<const std::byte> packet) noexcept {
    const auto& ip = view<Ipv4Header>(packet.data());
    const std::size_t header = ip.header_length();
    const std::size_t total = ip.total_length.value();
    if (ip.protocol != kIgmp) {
        return {};
    }
    GroupQuery query;
    query.kind = GroupQuery::Kind::malformed;
    if (header < sizeof ip || total < header + 8 || packet.size() < total || ip.is_fragment() ||
        !ipv4_checksum_is_right(ip)) {
        return query;
    }
    const auto message = packet.subspan(header, total - header);
    if (fold(add_bytes(0, message.data(), message.size())) != 0xFFFF) {
        return query;
    }
    if (static_cast<std::uint8_t>(message[0]) != igmp_type::kQuery) {
        return {};
    }
    const auto code = static_cast<std::uint8_t>(message[1]);
    const auto group = load<Ipv4Address>(message.data() + 4);
    query.source = ip.source;
    query.general = group.is_zero();
    query.group = group;
    constexpr std::chrono::milliseconds kTenth{100};
    constexpr std::chrono::seconds kOldResponse{10};  // RFC 3376 section 7.2.1
    if (message.size() == 8) {
        query.version = code == 0 ? 1 : 2;
        query.response = code == 0 ? kOldResponse : code * kTenth;
    } else if (message.size() >= 12) {
        query.version = 3;
        query.response = short_float(code) * kTenth;
        if (!read_more(message.subspan(8), sizeof(Ipv4Address), query)) {
            return query;
        }
    } else {
        return query;  // RFC 3376 section 7.1: other lengths are ignored
    }
    const bool fits =
        query.general ? ip.destination == Ipv4Address::of(224, 0, 0, 1) : group.is_multicast();
    query.kind = fits ? GroupQuery::Kind::query : GroupQuery::Kind::malformed;
    return query;
}

inline GroupQuery read_mld(std::span<const std::byte> packet) noexcept {
    const auto& ip = view<Ipv6Header>(packet.data());
    const std::size_t total = sizeof ip + ip.payload_length.value();
    const Ipv6Upper upper = upper_of(packet.data(), std::min(total, packet.size()));
    if (upper.protocol != ip_protocol::kIcmpv6 || upper.is_later || !upper.is_whole ||
        packet.size() <= upper.offset ||
        static_cast<std::uint8_t>(packet[upper.offset]) != mld_type::kQuery) {
        return {};
    }
    GroupQuery query;
    query.kind = GroupQuery::Kind::malformed;
    query.ipv4 = false;
    constexpr std::size_t kVersion1 = sizeof(Icmpv6Header) + sizeof(IpAddress);
    // RFC 3810 section 6.2: from the link, with a router alert.
    if (packet.size() < total || total < upper.offset + kVersion1 || upper.is_fragment ||
        ip.hop_limit != 1 || ip.next_header != ipv6_extension::kHopByHop ||
        !IpAddress(ip.source).is_link_local()) {
        return query;
    }
    const auto message = packet.subspan(upper.offset, total - upper.offset);
    const auto length = static_cast<std::uint16_t>(message.size());
    if (fold(add_bytes(pseudo_header(ip, ip_protocol::kIcmpv6, length), message.data(), length)) !=
        0xFFFF) {
        return query;
    }
    const std::uint16_t code = load<Be16>(message.data() + 4).value();
    query.source = IpAddress(ip.source);
    query.group = load<IpAddress>(message.data() + sizeof(Icmpv6Header));
    query.general = query.group.is_unset();
    if (message.size() == kVersion1) {
        query.version = 1;
        query.response = std::chrono::milliseconds(code);
    } else if (message.size() >= kVersion1 + 4) {
        query.version = 2;
        query.response = std::chrono::milliseconds(long_float(code));
        if (!read_more(message.subspan(kVersion1), sizeof(IpAddress), query)) {
            return query;
        }
    } else {
        return query;
    }
    const bool fits = query.general || (query.group.is_multicast() && !query.group.is_v4());
    query.kind = fits ? GroupQuery::Kind::query : GroupQuery::Kind::malformed;
    return query;
}

}  // namespace query_reader

/// `packet` begins with its IP header and may have padding behind its end.
inline GroupQuery read_group_query(std::span<const std::byte> packet) noexcept {
    if (packet.size() < sizeof(Ipv4Header)) {
        return {};
    }
    const unsigned version = view<Ipv4Header>(packet.data()).version();
    if (version == 4) {
        return query_reader::read_igmp(packet);
    }
    return version == 6 && packet.size() >= sizeof(Ipv6Header) ? query_reader::read_mld(packet)
                                                               : GroupQuery{};
}

}  // namespace vxplane::net
