// One tracked connection: how packets of its two directions look where they arrive, and what is
// known of it. Met by the tracker, by the hooks, and by control when it shows connections.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/net/headers.hpp"
#include "dataplane/net/ip_address.hpp"

namespace vxplane::table {

/// What tells the packets of one direction from all others: 40 bytes without gaps, compared and
/// hashed as words.
struct alignas(8) ConnTuple {
    net::IpAddress source;
    net::IpAddress destination;
    net::Be16 source_port;       ///< of ICMP queries: the identifier
    net::Be16 destination_port;  ///< of ICMP queries: type and code
    std::uint8_t protocol = 0;
    std::uint8_t reserved = 0;
    std::uint16_t zone = 0;  ///< of the side where the packet arrives: a tenant's vrf, or 0

    bool operator==(const ConnTuple& other) const noexcept {
        std::array<std::uint64_t, 5> a, b;
        std::memcpy(a.data(), this, sizeof a);
        std::memcpy(b.data(), &other, sizeof b);
        return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4])) == 0;
    }
    [[nodiscard]] bool is_icmp() const noexcept {
        return protocol == net::ip_protocol::kIcmp || protocol == net::ip_protocol::kIcmpv6;
    }
};
static_assert(sizeof(ConnTuple) == 40);

/// The type of the answer to an ICMP query, 0xFF for what is no query and no answer (RFC 792,
/// RFC 950, RFC 4443, RFC 4620).
std::uint8_t icmp_answer(std::uint8_t protocol, std::uint8_t type) noexcept;
/// True for the types that ask.
bool icmp_asks(std::uint8_t protocol, std::uint8_t type) noexcept;

/// The tuple of packets that answer, arriving in `zone`.
ConnTuple inverse(const ConnTuple& tuple, std::uint16_t zone) noexcept;

/// Of the packet that made the connection, or of the answers to it.
enum class Direction : std::uint8_t { original, reply };
constexpr Direction opposite(Direction d) noexcept {
    return d == Direction::original ? Direction::reply : Direction::original;
}

/// The states of net/netfilter/nf_conntrack_proto_tcp.c, in its order.
enum class TcpState : std::uint8_t {
    none,
    syn_sent,
    syn_recv,
    established,
    fin_wait,
    close_wait,
    last_ack,
    time_wait,
    close,
    syn_sent2,  ///< both ends have opened
    count
};
constexpr std::size_t kTcpStates = static_cast<std::size_t>(TcpState::count);

/// Milliseconds after the last packet. The values are the kernel's (nf_conntrack-sysctl).
struct ConnTimeouts {
    static constexpr std::uint32_t kLongest = 1'000'000'000;  ///< what a 32-bit clock can tell
    std::array<std::uint32_t, kTcpStates> tcp{120'000, 120'000, 60'000,  432'000'000, 120'000,
                                              60'000,  30'000,  120'000, 10'000,      120'000};
    std::uint32_t udp = 30'000;
    std::uint32_t udp_stream = 120'000;  ///< answered, and older than kStreamAge
    std::uint32_t icmp = 30'000;
    std::uint32_t generic = 600'000;
    std::uint32_t fragment = 30'000;
    static constexpr std::uint32_t kStreamAge = 2'000;
};

/// One place of the tracker: three cache lines, of which packets touch the first two at most.
/// Written by one worker; control reads copies, see Conntrack::read().
struct alignas(64) Connection {
    static constexpr std::uint8_t kInUse = 0x01;
    static constexpr std::uint8_t kSeenReply = 0x02;
    static constexpr std::uint8_t kAssured = 0x04;    ///< never dropped early
    static constexpr std::uint8_t kSourceNat = 0x08;  ///< of the original direction
    static constexpr std::uint8_t kDestinationNat = 0x10;

    struct Side {
        ConnTuple tuple;
        std::uint64_t packets = 0;
        std::uint64_t bytes = 0;  ///< of network packets
    };
    // first line
    Side original;
    std::uint32_t expires = 0;  ///< milliseconds of the shared clock
    std::uint8_t flags = 0;
    TcpState tcp = TcpState::none;
    std::uint16_t reply_slave = 0xFFFF;  ///< that answers; kNoSlave: behind the wire
    // second line
    Side reply;
    /// TCP: the last acknowledgement of the end that is ours. Others: `created` once more, where
    /// packets look for it.
    std::uint32_t mark = 0;
    std::uint16_t original_slave = 0xFFFF;  ///< that began it; kNoSlave: from the wire
    std::uint16_t reserved = 0;
    // third line
    std::uint32_t version = 0;     ///< odd while the place changes hands
    std::uint32_t created = 0;     ///< milliseconds of the shared clock
    std::uint32_t previous = ~0U;  ///< of those that are not assured, in order of age
    std::uint32_t next = ~0U;      ///< the same, or the next free place
    std::array<std::uint64_t, 6> spare{};

    [[nodiscard]] const Side& side(Direction d) const noexcept {
        return d == Direction::original ? original : reply;
    }
    [[nodiscard]] Side& side(Direction d) noexcept {
        return d == Direction::original ? original : reply;
    }
    [[nodiscard]] bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
    [[nodiscard]] bool is_translated() const noexcept {
        return (flags & (kSourceNat | kDestinationNat)) != 0;
    }
    [[nodiscard]] bool is_over(std::uint32_t now) const noexcept {
        return static_cast<std::int32_t>(expires - now) <= 0;
    }
    /// Where packets of a direction go.
    [[nodiscard]] std::uint16_t slave_towards(Direction d) const noexcept {
        return d == Direction::original ? reply_slave : original_slave;
    }
    /// Zone where packets of a direction leave.
    [[nodiscard]] std::uint16_t zone_towards(Direction d) const noexcept {
        return side(opposite(d)).tuple.zone;
    }
};
static_assert(sizeof(Connection) == 192);
static_assert(offsetof(Connection, reply) == 64 && offsetof(Connection, version) == 128);

}  // namespace vxplane::table
