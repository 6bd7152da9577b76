// What answers to what.
#include "dataplane/table/connection.hpp"

#include "dataplane/table/conntrack.hpp"

namespace vxplane::table {
namespace {

struct IcmpPair {
    std::uint8_t protocol, asks, answers;
};
/// Echo, timestamp, information and address mask; echo and node information of IPv6.
constexpr std::array<IcmpPair, 6> kIcmpPairs{{{net::ip_protocol::kIcmp, 8, 0},
                                              {net::ip_protocol::kIcmp, 13, 14},
                                              {net::ip_protocol::kIcmp, 15, 16},
                                              {net::ip_protocol::kIcmp, 17, 18},
                                              {net::ip_protocol::kIcmpv6, 128, 129},
                                              {net::ip_protocol::kIcmpv6, 139, 140}}};

}  // namespace

std::uint8_t icmp_answer(std::uint8_t protocol, std::uint8_t type) noexcept {
    for (const IcmpPair& pair : kIcmpPairs) {
        if (pair.protocol == protocol && pair.asks == type) {
            return pair.answers;
        }
        if (pair.protocol == protocol && pair.answers == type) {
            return pair.asks;
        }
    }
    return 0xFF;
}

bool icmp_asks(std::uint8_t protocol, std::uint8_t type) noexcept {
    for (const IcmpPair& pair : kIcmpPairs) {
        if (pair.protocol == protocol && pair.asks == type) {
            return true;
        }
    }
    return false;
}

ConnTuple inverse(const ConnTuple& tuple, std::uint16_t zone) noexcept {
    ConnTuple result;
    result.source = tuple.destination;
    result.destination = tuple.source;
    result.protocol = tuple.protocol;
    result.zone = zone;
    if (tuple.is_icmp()) {
        const std::uint16_t what = tuple.destination_port.value();
        const auto type = static_cast<std::uint8_t>(what >> 8);
        result.source_port = tuple.source_port;
        result.destination_port = net::Be16::of(
            static_cast<std::uint16_t>(icmp_answer(tuple.protocol, type) << 8 | (what & 0xFFU)));
    } else {
        result.source_port = tuple.destination_port;
        result.destination_port = tuple.source_port;
    }
    return result;
}

bool ConnFilter::takes(const Connection& connection) const noexcept {
    const ConnTuple& a = connection.original.tuple;
    const ConnTuple& b = connection.reply.tuple;
    if (protocol >= 0 && protocol != a.protocol) {
        return false;
    }
    if (zone >= 0 && zone != a.zone && zone != b.zone) {
        return false;
    }
    if (slave != kNoSlave && slave != connection.original_slave &&
        slave != connection.reply_slave) {
        return false;
    }
    if (!address.is_unset() && address != a.source && address != a.destination &&
        address != b.source && address != b.destination) {
        return false;
    }
    return port < 0 || port == a.source_port.value() || port == a.destination_port.value() ||
           port == b.source_port.value() || port == b.destination_port.value();
}

}  // namespace vxplane::table
