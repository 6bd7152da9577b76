// What a packet does to its connection: the states of TCP, and how long an entry lives on. States
// and times are those of Linux (net/netfilter/nf_conntrack_proto_*.c); sequence numbers are judged
// liberally: no packet is refused for its place in the window, as with the kernel's
// nf_conntrack_tcp_be_liberal=1.
#include "dataplane/table/conntrack.hpp"

namespace vxplane::table {
namespace {

/// What of the flags the states look at, in this order of precedence.
enum class TcpKind : std::uint8_t { syn, syn_ack, fin, ack, rst, count };
constexpr std::size_t kTcpKinds = static_cast<std::size_t>(TcpKind::count);

constexpr std::uint8_t kInvalid = 0xFE;
constexpr std::uint8_t kIgnored = 0xFF;

// One row a kind of segment, one column an old state, in the order of TcpState; a cell is the state
// after it.
constexpr auto kSs = static_cast<std::uint8_t>(TcpState::syn_sent);
constexpr auto kSr = static_cast<std::uint8_t>(TcpState::syn_recv);
constexpr auto kEs = static_cast<std::uint8_t>(TcpState::established);
constexpr auto kFw = static_cast<std::uint8_t>(TcpState::fin_wait);
constexpr auto kCw = static_cast<std::uint8_t>(TcpState::close_wait);
constexpr auto kLa = static_cast<std::uint8_t>(TcpState::last_ack);
constexpr auto kTw = static_cast<std::uint8_t>(TcpState::time_wait);
constexpr auto kCl = static_cast<std::uint8_t>(TcpState::close);
constexpr auto kS2 = static_cast<std::uint8_t>(TcpState::syn_sent2);
constexpr std::uint8_t kIv = kInvalid;
constexpr std::uint8_t kIg = kIgnored;

using Row = std::array<std::uint8_t, kTcpStates>;
constexpr std::array<std::array<Row, kTcpKinds>, 2> kNext{{
    // from the end that opened
    {{{kSs, kSs, kIg, kIg, kIg, kIg, kIg, kSs, kSs, kS2},    // SYN
      {kIv, kIv, kSr, kIv, kIv, kIv, kIv, kIv, kIv, kSr},    // SYN ACK
      {kIv, kIv, kFw, kFw, kLa, kLa, kLa, kTw, kCl, kIv},    // FIN
      {kEs, kIv, kEs, kEs, kCw, kCw, kTw, kTw, kCl, kIv},    // ACK
      {kIv, kCl, kCl, kCl, kCl, kCl, kCl, kCl, kCl, kCl}}},  // RST
    // from the other end
    {{{kIv, kS2, kIv, kIv, kIv, kIv, kIv, kSs, kIv, kS2},
      {kIv, kSr, kIg, kIg, kIg, kIg, kIg, kIg, kIg, kSr},
      {kIv, kIv, kFw, kFw, kLa, kLa, kLa, kTw, kCl, kIv},
      {kIv, kIg, kSr, kEs, kCw, kCw, kTw, kTw, kCl, kIg},
      {kIv, kCl, kCl, kCl, kCl, kCl, kCl, kCl, kCl, kCl}}},
}};

using Tcp = net::TcpHeader;

/// Flag combinations that a TCP can send; PSH, ECE and CWR do not matter.
constexpr bool is_possible(std::uint8_t flags) noexcept {
    switch (flags & ~(Tcp::kPsh | Tcp::kEce | Tcp::kCwr)) {
        case Tcp::kSyn:
        case Tcp::kSyn | Tcp::kUrg:
        case Tcp::kSyn | Tcp::kAck:
        case Tcp::kRst:
        case Tcp::kRst | Tcp::kAck:
        case Tcp::kFin | Tcp::kAck:
        case Tcp::kFin | Tcp::kAck | Tcp::kUrg:
        case Tcp::kAck:
        case Tcp::kAck | Tcp::kUrg:
            return true;
        default:
            return false;
    }
}

constexpr TcpKind kind_of(std::uint8_t flags) noexcept {
    if ((flags & Tcp::kRst) != 0) {
        return TcpKind::rst;
    }
    if ((flags & Tcp::kSyn) != 0) {
        return (flags & Tcp::kAck) != 0 ? TcpKind::syn_ack : TcpKind::syn;
    }
    return (flags & Tcp::kFin) != 0 ? TcpKind::fin : TcpKind::ack;
}

constexpr std::uint8_t next_state(Direction d, std::uint8_t flags, TcpState state) noexcept {
    return kNext[static_cast<std::size_t>(d)][static_cast<std::size_t>(kind_of(flags))]
                [static_cast<std::size_t>(state)];
}

template <class T>
void store(T& place, T value) noexcept {
    std::atomic_ref<T>{place}.store(value, std::memory_order_relaxed);
}

/// A reset that nobody who cannot see the connection hits by chance: one sequence number in 4,096.
constexpr std::uint32_t kResetWindow = 1U << 20;

}  // namespace

bool Conntrack::begins(const ConnTuple& tuple, const ConnPacket& packet) noexcept {
    if (tuple.protocol == net::ip_protocol::kTcp) {
        // An ACK does: connections are picked up midway (nf_conntrack_tcp_loose=1).
        return is_possible(packet.tcp_flags) &&
               next_state(Direction::original, packet.tcp_flags, TcpState::none) != kInvalid;
    }
    return !tuple.is_icmp() || icmp_asks(tuple.protocol, static_cast<std::uint8_t>(
                                                             tuple.destination_port.value() >> 8));
}

std::uint32_t Conntrack::timeout_of(const Connection& c) const noexcept {
    switch (c.original.tuple.protocol) {
        case net::ip_protocol::kTcp:
            return timeouts_.tcp[static_cast<std::size_t>(c.tcp)];
        case net::ip_protocol::kUdp:
            return c.has(Connection::kAssured) ? timeouts_.udp_stream : timeouts_.udp;
        case net::ip_protocol::kIcmp:
        case net::ip_protocol::kIcmpv6:
            return timeouts_.icmp;
        default:
            return timeouts_.generic;
    }
}

Conntrack::Seen Conntrack::note_tcp(Connection& c, Direction d, const ConnPacket& packet) noexcept {
    if (!is_possible(packet.tcp_flags)) [[unlikely]] {
        return Seen::invalid;
    }
    const Direction local = c.original_slave != kNoSlave ? Direction::original : Direction::reply;
    if (d == local && (packet.tcp_flags & Tcp::kAck) != 0) {
        store(c.mark, packet.tcp_acknowledgement);
    }
    const std::uint8_t next = next_state(d, packet.tcp_flags, c.tcp);
    if (next == static_cast<std::uint8_t>(c.tcp) && c.has(Connection::kAssured)) [[likely]] {
        return Seen::fine;
    }
    if (next == kInvalid) {
        return Seen::invalid;
    }
    if (next == kIgnored) {
        return Seen::fine;
    }
    if (next == kSs && c.tcp >= TcpState::time_wait) {
        return Seen::reopens;
    }
    if (next == kCl && kind_of(packet.tcp_flags) == TcpKind::rst && c.has(Connection::kAssured) &&
        d != local && packet.tcp_sequence - c.mark >= kResetWindow) {
        return Seen::fine;  // perhaps a stranger's: the end itself knows better, and says so
    }
    const auto before = c.tcp;
    store(c.tcp, static_cast<TcpState>(next));
    if (c.has(Connection::kSeenReply) && !c.has(Connection::kAssured) && next == kEs &&
        (before == TcpState::syn_recv || before == TcpState::established)) {
        assure(static_cast<std::uint32_t>(&c - places_));
    }
    return Seen::fine;
}

Conntrack::Seen Conntrack::note_further(ConnRef ref, const ConnPacket& packet,
                                        std::uint32_t now) noexcept {
    Connection& c = at(ref);
    const Direction d = ref.direction();
    const std::uint8_t protocol = c.original.tuple.protocol;
    bool refused = false;
    if (protocol == net::ip_protocol::kTcp) {
        const Seen seen = note_tcp(c, d, packet);
        if (seen == Seen::invalid) [[unlikely]] {
            return seen;
        }
        if (seen == Seen::reopens) [[unlikely]] {
            counters_.closed.store(counters_.closed.load(std::memory_order_relaxed) + 1,
                                   std::memory_order_relaxed);
            remove(ref.place());
            return seen;
        }
        // An answer that is nothing but a refusal: there is nothing left to track.
        refused = d == Direction::reply && !c.has(Connection::kSeenReply) &&
                  (packet.tcp_flags & Tcp::kRst) != 0;
    }
    Connection::Side& side = c.side(d);
    store(side.packets, side.packets + 1);
    store(side.bytes, side.bytes + packet.bytes);
    if (d == Direction::reply && !c.has(Connection::kSeenReply)) [[unlikely]] {
        store(c.flags, static_cast<std::uint8_t>(c.flags | Connection::kSeenReply));
    }
    if (protocol == net::ip_protocol::kUdp && !c.has(Connection::kAssured) &&
        c.has(Connection::kSeenReply) && now - c.mark > ConnTimeouts::kStreamAge) [[unlikely]] {
        assure(ref.place());
    }
    store(c.expires, now + (refused ? 0 : timeout_of(c)));
    return Seen::fine;
}

}  // namespace vxplane::table
