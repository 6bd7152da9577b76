// Reads frames by itself, without the parsers of the data plane.
#include "ip_layer.hpp"

#include <algorithm>
#include <optional>

namespace vxplane::oracle {
namespace {

constexpr std::size_t kEthernet = 14;

unsigned be16(const Bytes& bytes, std::size_t at) {
    return at + 2 <= bytes.size() ? unsigned{bytes[at]} << 8 | bytes[at + 1] : 0U;
}

net::IpAddress v4_at(const Bytes& bytes, std::size_t at) {
    return net::Ipv4Address::of(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}
net::IpAddress v6_at(const Bytes& bytes, std::size_t at) {
    net::IpAddress address;
    std::copy_n(bytes.begin() + long(at), 16, address.bytes.begin());
    return address;
}

Bytes part(const Bytes& bytes, std::size_t from, std::size_t to) {
    return {bytes.begin() + long(from), bytes.begin() + long(to)};
}

std::string text_of(const net::IpAddress& address) {
    return support::hex({address.bytes.begin(), address.bytes.end()});
}

/// Fragments of one datagram.
struct Pieces {
    Bytes header{};  ///< of the first fragment
    unsigned protocol = 0;
    Bytes payload{};
    std::vector<bool> there{};
    std::size_t end = 0;  ///< 0: the last fragment has not come

    void put(std::size_t offset, const Bytes& bytes, bool more) {
        payload.resize(std::max(payload.size(), offset + bytes.size()));
        there.resize(payload.size());
        std::copy(bytes.begin(), bytes.end(), payload.begin() + long(offset));
        std::fill_n(there.begin() + long(offset), bytes.size(), true);
        if (!more) end = offset + bytes.size();
    }
    [[nodiscard]] bool whole() const {
        return end != 0 && !header.empty() && payload.size() == end &&
               std::find(there.begin(), there.end(), false) == there.end();
    }
};

class Layer {
  public:
    explicit Layer(const Network& network) : network_{network} {}

    std::optional<std::string> take(const Bytes& frame) {
        if (frame.size() < kEthernet) return {};
        const Bytes to = part(frame, 0, 6);
        const bool own = std::equal(to.begin(), to.end(), network_.mac.bytes.begin());
        if (!own && (to[0] & 1U) == 0) return {};
        std::size_t at = kEthernet;
        unsigned type = be16(frame, 12);
        // A priority tag is taken off; others are for a VLAN device, which nobody has.
        if (type == 0x8100 && (be16(frame, 14) & 0xFFFU) == 0) {
            type = be16(frame, 16);
            at += 4;
        }
        if (frame.size() < at) return {};
        if (type == 0x0800) return ipv4(part(frame, at, frame.size()));
        if (type == 0x86DD) return ipv6(part(frame, at, frame.size()));
        return {};
    }

  private:
    [[nodiscard]] bool takes4(const net::IpAddress& source, const net::IpAddress& to,
                              unsigned protocol) const {
        const std::uint32_t from = source.v4().number();
        const std::uint32_t goal = to.v4().number();
        if (from >> 28 == 0xE || from == ~0U || from >> 24 == 127 || goal >> 24 == 127)
            return false;
        if (goal == ~0U || (from == 0 && goal == 0)) return true;
        const bool local_group = goal >> 8 == 0xE00000;
        if (from >> 24 == 0 && !(goal >> 28 == 0xE && (local_group || protocol == 2))) return false;
        if (goal >> 28 == 0xE) return network_.hears(to);
        if (goal >> 24 == 0 || network_.owns(source)) return false;
        return network_.owns(to) || network_.is_broadcast(to);
    }

    /// False: an option that makes the packet be dropped, or none that can be read.
    static bool options_are_fine(const Bytes& header) {
        for (std::size_t at = 20; at < header.size();) {
            const unsigned kind = header[at];
            if (kind == 0) return true;
            if (kind == 1) {
                ++at;
                continue;
            }
            if (at + 1 >= header.size()) return false;
            const std::size_t length = header[at + 1];
            if (length < 2 || at + length > header.size()) return false;
            if (kind == 131 || kind == 137) return false;  // source routes
            at += length;
        }
        return true;
    }

    std::optional<std::string> ipv4(Bytes packet) {
        if (packet.size() < 20 || packet[0] >> 4 != 4) return {};
        const std::size_t header = (packet[0] & 0xFU) * 4U;
        const std::size_t total = be16(packet, 2);
        if (header < 20 || total < header || packet.size() < total) return {};
        packet.resize(total);
        const Bytes head = part(packet, 0, header);
        if (support::rfc1071(head) != 0 || !options_are_fine(head)) return {};
        const net::IpAddress to = v4_at(packet, 16);
        if (!takes4(v4_at(packet, 12), to, packet[9])) return {};
        const unsigned fragment = be16(packet, 6) & 0x3FFFU;
        if (fragment == 0) return datagram_of(packet);
        const std::string key =
            support::hex(part(packet, 12, 20)) + support::hex({packet[4], packet[5], packet[9]});
        Pieces& pieces = pieces_[key];
        const unsigned offset = (fragment & 0x1FFFU) * 8;
        if (offset == 0) pieces.header = head;
        pieces.put(offset, part(packet, header, total), (fragment & 0x2000U) != 0);
        if (!pieces.whole()) return {};
        Bytes whole = pieces.header;
        whole.insert(whole.end(), pieces.payload.begin(), pieces.payload.end());
        whole[2] = static_cast<std::uint8_t>(whole.size() >> 8);
        whole[3] = static_cast<std::uint8_t>(whole.size());
        pieces_.erase(key);
        return datagram_of(whole);
    }

    [[nodiscard]] bool takes6(const net::IpAddress& source, const net::IpAddress& to) const {
        static const net::IpAddress kLoopback = ip_address("::1");
        if (source.bytes[0] == 0xFF || source == kLoopback || to == kLoopback) return false;
        if (source.is_v4() || to.is_v4()) return false;
        if (to.bytes[0] == 0xFF) return (to.bytes[1] & 0xFU) > 1 && network_.hears(to);
        return network_.owns(to);
    }

    std::optional<std::string> ipv6(Bytes packet) {
        if (packet.size() < 40 || packet[0] >> 4 != 6) return {};
        const std::size_t length = be16(packet, 4);
        if (packet.size() < 40 + length) return {};
        packet.resize(40 + length);
        const net::IpAddress source = v6_at(packet, 8);
        const net::IpAddress to = v6_at(packet, 24);
        if (!takes6(source, to)) return {};
        unsigned next = packet[6];
        std::size_t at = 40;
        while (next == 0 || next == 43 || next == 44 || next == 60) {
            if (packet.size() < at + 8) return {};
            const unsigned behind = packet[at];
            if (next == 44) {
                const std::string key =
                    text_of(source) + text_of(to) + support::hex(part(packet, at + 4, at + 8));
                const unsigned fragment = be16(packet, at + 2);
                Pieces& pieces = pieces_[key];
                if ((fragment & 0xFFF8U) == 0) {
                    pieces.header = part(packet, 0, 40);
                    pieces.protocol = behind;
                }
                pieces.put(fragment & 0xFFF8U, part(packet, at + 8, packet.size()),
                           (fragment & 1U) != 0);
                if (!pieces.whole()) return {};
                Bytes whole = pieces.header;
                whole[6] = static_cast<std::uint8_t>(pieces.protocol);
                whole[4] = static_cast<std::uint8_t>(pieces.payload.size() >> 8);
                whole[5] = static_cast<std::uint8_t>(pieces.payload.size());
                whole.insert(whole.end(), pieces.payload.begin(), pieces.payload.end());
                pieces_.erase(key);
                return ipv6(whole);
            }
            if (next == 43 && packet[at + 3] != 0) return {};
            at += (packet[at + 1] + 1U) * 8U;
            if (packet.size() < at) return {};
            next = behind;
        }
        const unsigned traffic_class = (packet[0] & 0xFU) << 4 | packet[1] >> 4;
        return "v6 " + text_of(source) + " " + text_of(to) + " " + std::to_string(next) + " " +
               std::to_string(packet[7]) + " " + std::to_string(traffic_class) + " " +
               support::hex(part(packet, at, packet.size()));
    }

    const Network& network_;
    std::map<std::string, Pieces> pieces_{};
};

}  // namespace

std::string datagram_of(const Bytes& packet) {
    const std::size_t header = packet.empty() ? 0 : (packet[0] & 0xFU) * 4U;
    if (packet.size() < std::max<std::size_t>(header, 20)) return "v4 " + support::hex(packet);
    return "v4 tos " + std::to_string(packet[1]) + " id " + std::to_string(be16(packet, 4)) +
           " ttl " + std::to_string(packet[8]) + " protocol " + std::to_string(packet[9]) + " " +
           support::hex(part(packet, 12, 20)) + " " +
           support::hex(part(packet, header, packet.size()));
}

std::string datagram6(const std::string& source, const std::string& destination, unsigned protocol,
                      unsigned hop_limit, unsigned traffic_class, const Bytes& payload) {
    return "v6 " + text_of(ip_address(source)) + " " + text_of(ip_address(destination)) + " " +
           std::to_string(protocol) + " " + std::to_string(hop_limit) + " " +
           std::to_string(traffic_class) + " " + support::hex(payload);
}

std::vector<std::string> accepted_by(const Network& network, const std::vector<Bytes>& frames) {
    Layer layer{network};
    std::vector<std::string> all;
    for (const Bytes& frame : frames)
        if (std::optional<std::string> datagram = layer.take(frame)) all.push_back(*datagram);
    return all;
}

}  // namespace vxplane::oracle
