// A DHCP message, read (RFC 2131, RFC 2132). Met by control, which reads what clients ask and
// servers lease.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/dhcp.hpp"
#include "dataplane/net/ipv4_address.hpp"

namespace vxplane::net {

/// Option 53, RFC 2132 section 9.6.
enum class DhcpType : std::uint8_t {
    discover = 1,
    offer,
    request,
    decline,
    ack,
    nak,
    release,
    inform
};

struct DhcpMessage {
    DhcpType type = DhcpType::discover;
    bool from_server = false;  ///< BOOTREPLY
    std::uint32_t transaction = 0;
    Ipv4Address client;                          ///< ciaddr: that the client has
    Ipv4Address yours;                           ///< yiaddr: that the server gives
    std::array<std::uint8_t, 16> hardware{};     ///< chaddr, zero behind its length
    Ipv4Address requested;                       ///< option 50; zero = none
    std::optional<std::uint32_t> lease_seconds;  ///< option 51; all ones = for ever
};

/// The fixed part of RFC 2131 section 2, and the magic cookie.
struct DhcpHeader {
    std::uint8_t operation, hardware_type, hardware_length, hops;
    Be32 transaction;
    Be16 seconds, flags;
    Ipv4Address client, yours, server, relay;
    std::array<std::uint8_t, 16> hardware;
    std::array<std::uint8_t, 64> server_name;
    std::array<std::uint8_t, 128> file;
    Be32 cookie;

    static constexpr std::uint8_t kRequest = 1;
    static constexpr std::uint8_t kReply = 2;
    static constexpr Be32 kCookie = Be32::of(0x63825363);
};
static_assert(sizeof(DhcpHeader) == 240);

/// What options say; each is taken where it stands first.
class DhcpOptions {
  public:
    static constexpr std::uint8_t kPad = 0, kRequested = 50, kLease = 51, kOverload = 52,
                                  kType = 53, kEnd = 255;

    /// False when an option does not end within `field`, or has another length than it must.
    /// Nothing behind the end mark is read; a field without one ends with its last byte.
    bool read(std::span<const std::byte> field) noexcept {
        for (std::size_t at = 0; at < field.size();) {
            const auto code = static_cast<std::uint8_t>(field[at++]);
            if (code == kPad) {
                continue;
            }
            if (code == kEnd) {
                return true;
            }
            if (at == field.size()) {
                return false;
            }
            const auto length = static_cast<std::size_t>(field[at++]);
            if (length > field.size() - at || !take(code, field.subspan(at, length))) {
                return false;
            }
            at += length;
        }
        return true;
    }

    std::optional<std::uint8_t> type;
    std::uint8_t overload = 0;  ///< 1: `file` has options, 2: `server_name`, 3: both
    Ipv4Address requested;
    std::optional<std::uint32_t> lease_seconds;

  private:
    bool take(std::uint8_t code, std::span<const std::byte> value) noexcept {
        switch (code) {
            case kType:
                if (value.size() != 1) {
                    return false;
                }
                type = type.value_or(static_cast<std::uint8_t>(value[0]));
                return true;
            case kOverload:
                if (value.size() != 1) {
                    return false;
                }
                overload = overload == 0 ? static_cast<std::uint8_t>(value[0]) : overload;
                return true;
            case kRequested:
                if (value.size() != sizeof(Ipv4Address)) {
                    return false;
                }
                requested = requested.is_zero() ? load<Ipv4Address>(value.data()) : requested;
                return true;
            case kLease:
                if (value.size() != sizeof(Be32)) {
                    return false;
                }
                lease_seconds = lease_seconds.value_or(load<Be32>(value.data()).value());
                return true;
            default:
                return true;
        }
    }
};

/// `packet` begins with the IPv4 header and may have Ethernet padding behind its end. None when
/// anything is malformed, or it is BOOTP without DHCP. A request's UDP checksum is not looked at:
/// a host may have left it to hardware that is not there.
inline std::optional<DhcpMessage> read_dhcp(std::span<const std::byte> packet) noexcept {
    if (packet.size() < sizeof(Ipv4Header)) {
        return std::nullopt;
    }
    const auto& ip = view<Ipv4Header>(packet.data());
    const std::size_t header = ip.header_length();
    const std::size_t total = ip.total_length.value();
    if (ip.version() != 4 || header < sizeof ip || ip.protocol != ip_protocol::kUdp ||
        ip.is_fragment() || total > packet.size() ||
        total < header + sizeof(UdpHeader) + sizeof(DhcpHeader) || !ipv4_checksum_is_right(ip)) {
        return std::nullopt;
    }
    const auto& udp = view<UdpHeader>(packet.data() + header);
    const std::size_t length = udp.length.value();
    if (length < sizeof udp + sizeof(DhcpHeader) || length > total - header) {
        return std::nullopt;
    }
    const auto& fixed = view<DhcpHeader>(packet.data() + header + sizeof udp);
    DhcpMessage out;
    out.from_server = fixed.operation == DhcpHeader::kReply;
    const bool ports = out.from_server
                           ? udp.source == kDhcpServerPort && udp.destination == kDhcpClientPort
                           : udp.source == kDhcpClientPort && udp.destination == kDhcpServerPort;
    if ((!out.from_server && fixed.operation != DhcpHeader::kRequest) || !ports ||
        fixed.cookie != DhcpHeader::kCookie || fixed.hardware_length > fixed.hardware.size()) {
        return std::nullopt;
    }
    if (out.from_server && udp.checksum.wire() != 0) {
        const Sum pseudo = pseudo_header(ip.source, ip.destination, ip_protocol::kUdp,
                                         static_cast<std::uint16_t>(length));
        if (fold(add_bytes(pseudo, packet.data() + header, length)) != 0xFFFF) {
            return std::nullopt;
        }
    }
    DhcpOptions options;
    const std::size_t before = sizeof udp + sizeof fixed;
    bool whole = options.read(packet.subspan(header + before, length - before));
    const std::uint8_t overload = options.overload;
    if (whole && (overload & 1U) != 0) {
        whole = options.read(std::as_bytes(std::span(fixed.file)));
    }
    if (whole && (overload & 2U) != 0) {
        whole = options.read(std::as_bytes(std::span(fixed.server_name)));
    }
    if (!whole || overload > 3 || !options.type ||
        *options.type < static_cast<std::uint8_t>(DhcpType::discover) ||
        *options.type > static_cast<std::uint8_t>(DhcpType::inform)) {
        return std::nullopt;
    }
    out.type = static_cast<DhcpType>(*options.type);
    out.transaction = fixed.transaction.value();
    out.client = fixed.client;
    out.yours = fixed.yours;
    std::memcpy(out.hardware.data(), fixed.hardware.data(), fixed.hardware_length);
    out.requested = options.requested;
    out.lease_seconds = options.lease_seconds;
    return out;
}

}  // namespace vxplane::net
