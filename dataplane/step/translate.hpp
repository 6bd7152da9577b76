// Changes the addresses and ports of a packet and what depends on them, without reading its
// payload (RFC 1624). Met by the hooks.
#pragma once

#include "dataplane/net/big_endian.hpp"
#include "dataplane/net/ip_address.hpp"
#include "dataplane/step/l3_packet.hpp"

namespace vxplane::step {

/// Which half of a packet's ends changes.
enum class Half : std::uint8_t { source, destination };

/// One end of a connection as one side sees it.
struct End3 {
    net::IpAddress address;
    net::Be16 port;  ///< of ICMP queries: the identifier
};

/// Puts `to` in place of the source or the destination. `with_port` false: ports, or the
/// identifier, stay. A UDP checksum of zero stays zero; later fragments have no ports to change.
void translate(const L3Packet& packet, Half half, const End3& to, bool with_port) noexcept;

/// The same for UDP and TCP over IPv4, with has_l4: always with port.
void translate_plain(const L3Packet& packet, Half half, const net::IpAddress& address,
                     net::Be16 port) noexcept;

/// What an ICMP error quotes.
struct Quoted {
    std::uint32_t l3_offset = 0;  ///< from the start of the frame
    std::uint32_t l4_offset = 0;
    std::uint32_t end = 0;  ///< bytes that can be read and written end here
    std::uint8_t protocol = 0;
    bool found = false;  ///< false: no first part of a packet of a known kind
};
bool is_icmp_error(const L3Packet& packet) noexcept;
/// A redirect: useless to somebody who sees other addresses.
bool is_icmp_redirect(const L3Packet& packet) noexcept;
/// Of an ICMP error with has_l4.
Quoted read_quoted(const L3Packet& packet) noexcept;

/// Changes half of the ends of the quoted packet and all checksums that cover them: those of the
/// quoted headers, as far as they are quoted, and that of the error.
void translate_quoted(const L3Packet& packet, const Quoted& quoted, Half half, const End3& to,
                      bool with_port) noexcept;

}  // namespace vxplane::step
