// What a live IP stack has to do with a frame: checksums left to a device, and whether the host's
// stack may have sent what was seen on the wire.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ipvlan_setup.hpp"

namespace vxplane::oracle {

/// With the TCP or UDP checksum completed where only the pseudo header was summed up, as a stack
/// leaves it to a device; any other packet (frame) as it is.
Bytes completed_packet(Bytes packet);
Bytes completed_frame(const Bytes& frame);

/// Unset for what is neither IP nor ARP. Frames must be untagged.
net::IpAddress sender_of(const Bytes& frame);
net::IpAddress packet_sender(const Bytes& packet);
/// Without addresses, ports and checksums of IP.
Bytes without_addresses(Bytes frame);
bool is_fragment(const Bytes& frame);
/// As support::hex, without line ends.
std::string one_line(const Bytes& bytes);
/// As accepted_by() words it; IPv6 without extension headers.
std::string datagram_text(const Bytes& packet);

/// True for an ICMP error or a TCP RST because of `cause`, an IP packet.
bool tells_of(const Bytes& frame, const Bytes& cause);

/// The address that an ARP request or a neighbour solicitation asks for; unset: it asks for none.
net::IpAddress asked_for(const Bytes& frame);

/// The host's own stack, which the recording shows on the wire only: what it sends must have its
/// cause in what it was given or told, and right checksums. Each cause is good for one frame.
class HostStack {
  public:
    explicit HostStack(const Network& host) : host_{host} {}
    /// A frame that came to the host's device.
    void give(const Bytes& frame) { given_.push_back(frame); }
    /// A program of the host sends to an address.
    void tell(const net::IpAddress& to) { told_.push_back(to); }
    /// From here on it may ask again for a neighbour.
    void time_passes();
    bool may_have_sent(const Bytes& frame);

  private:
    bool asks(const Bytes& frame);
    bool follows(const Bytes& frame, std::size_t number);
    bool once(const std::string& use) { return used_.insert(use).second; }
    [[nodiscard]] net::IpAddress next_hop(const net::IpAddress& to) const;

    const Network& host_;
    std::vector<Bytes> given_{};
    std::vector<net::IpAddress> told_{};
    std::set<std::string> used_{};
};

}  // namespace vxplane::oracle
