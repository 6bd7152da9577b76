// Which addresses and ports a new connection gets. Only tuples change here; packets are changed by
// the hooks.
#include <random>

#include "dataplane/table/conntrack.hpp"

namespace vxplane::table {
namespace {

constexpr bool can_change_ports(std::uint8_t protocol) noexcept {
    // SCTP has ports, but its checksum covers the whole message: they stay.
    return protocol == net::ip_protocol::kTcp || protocol == net::ip_protocol::kUdp;
}

/// Where the changed port, or the identifier, of the end that begins stands in the tuple of
/// answers.
net::Be16& port_of_beginner(ConnTuple& reply) noexcept {
    return reply.is_icmp() ? reply.source_port : reply.destination_port;
}

/// Ports of the same class as the one that a host chose for itself: services may tell privileged
/// ones apart (RFC 4787 section 4.2.2 asks for the classes, these are the kernel's).
constexpr PortRange same_class(std::uint16_t port) noexcept {
    if (port < 512) {
        return {1, 511};
    }
    return port < 1024 ? PortRange{600, 1023} : PortRange{1024, 0xFFFF};
}

/// All of a range this small are tried; of a larger one so many from several random places on,
/// which find a free one in all but a few of a million cases while a tenth is free.
constexpr std::uint32_t kTryAll = 256;
constexpr std::array<std::uint32_t, 4> kTries{128, 64, 32, 16};

}  // namespace

Conntrack::Seeds Conntrack::random_seeds() {
    std::random_device random;
    Seeds seeds{};
    for (std::uint64_t& seed : seeds) {
        seed = std::uint64_t{random()} << 32 | random() | 1U;
    }
    return seeds;
}

std::uint32_t Conntrack::random() noexcept {
    // xorshift64*: nothing depends on its quality but that strangers cannot foresee it.
    random_state_ ^= random_state_ >> 12;
    random_state_ ^= random_state_ << 25;
    random_state_ ^= random_state_ >> 27;
    return static_cast<std::uint32_t>((random_state_ * 0x2545F4914F6CDD1DULL) >> 32);
}

void Conntrack::reserve_udp_ports(std::span<const std::uint16_t> ports) noexcept {
    for (std::size_t i = 0; i < reserved_.size(); ++i) {
        reserved_[i].store(i < ports.size() ? ports[i] : std::uint16_t{0},
                           std::memory_order_relaxed);
    }
}

bool Conntrack::is_free(const ConnTuple& reply, std::uint32_t now) noexcept {
    if (reply.protocol == net::ip_protocol::kUdp) {
        for (const auto& port : reserved_) {
            if (port.load(std::memory_order_relaxed) == reply.destination_port.value() &&
                reply.destination_port.value() != 0) {
                return false;
            }
        }
    }
    return !is_taken(reply, now);
}

Conntrack::Nat Conntrack::translate_source(NewConnection& connection, const net::IpAddress& address,
                                           PortRange ports, std::uint32_t now) noexcept {
    ConnTuple tuple = connection.reply;
    if (!address.is_unset()) {
        tuple.destination = address;
    }
    const auto take = [&] {
        connection.reply = tuple;
        const bool same = tuple.destination == connection.original.source &&
                          port_of_beginner(tuple) == connection.original.source_port;
        if (!same) {
            connection.flags |= Connection::kSourceNat;
        }
        return Nat::done;
    };
    const auto refuse = [&] {
        counters_.ports_exhausted.store(
            counters_.ports_exhausted.load(std::memory_order_relaxed) + 1,
            std::memory_order_relaxed);
        return Nat::exhausted;
    };
    net::Be16& place = port_of_beginner(tuple);
    place = connection.original.source_port;
    const std::uint16_t own = place.value();
    const bool has_range = tuple.is_icmp() || can_change_ports(tuple.protocol);
    if (!has_range || ports.has(own)) {
        if (is_free(tuple, now)) [[likely]] {
            return take();
        }
        if (!has_range) {
            return refuse();
        }
    }
    if (ports.is_any() && !tuple.is_icmp()) {
        ports = same_class(own);
    }
    const std::uint32_t size = std::uint32_t{ports.high} - ports.low + 1;
    const auto try_from = [&](std::uint32_t offset, std::uint32_t times) {
        for (std::uint32_t i = 0; i < times; ++i, ++offset) {
            place = net::Be16::of(static_cast<std::uint16_t>(ports.low + offset % size));
            if (is_free(tuple, now)) {
                return true;
            }
        }
        return false;
    };
    if (size <= kTryAll) {
        return try_from(random() % size, size) ? take() : refuse();
    }
    for (const std::uint32_t times : kTries) {
        if (try_from(random() % size, times)) {
            return take();
        }
    }
    return refuse();
}

Conntrack::Nat Conntrack::translate_destination(NewConnection& connection,
                                                const net::IpAddress& address,
                                                PortRange ports) noexcept {
    ConnTuple& reply = connection.reply;
    if (!address.is_unset()) {
        reply.source = address;
    }
    if (!ports.is_any() && can_change_ports(reply.protocol) &&
        !ports.has(reply.source_port.value())) {
        const std::uint32_t size = std::uint32_t{ports.high} - ports.low + 1;
        reply.source_port = net::Be16::of(static_cast<std::uint16_t>(ports.low + random() % size));
    }
    const bool same =
        reply.source == connection.original.destination &&
        (reply.is_icmp() || reply.source_port == connection.original.destination_port);
    if (!same) {
        connection.flags |= Connection::kDestinationNat;
    }
    return Nat::done;
}

}  // namespace vxplane::table
