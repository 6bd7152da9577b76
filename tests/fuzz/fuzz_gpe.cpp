// Any VXLAN-GPE header and anything inside: what leaves is the frame inside, or the IP packet with
// an Ethernet header of ours. Bytes 1 to 4 are the first word of the VXLAN header; bit 4 of the
// first byte: any frame for a peer without Ethernet.
#include <algorithm>

#include "fuzz.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::fuzz;

constexpr std::uint8_t kFromTenant = 0x10;
constexpr std::uint8_t kFlags = 0x0C;
const net::MacAddress kPeer = support::mac("06:76:0a:00:00:02");

support::Scene& extended() {
    static support::Scene& made = *[] {
        support::SceneWords words;
        words.red.inner_vlan = true;
        words.tunnel.gpe = true;
        words.tunnel.udp_checksum = true;
        words.tunnel.clamp_mss = true;
        auto* scene = new support::Scene(words);  // NOLINT(cppcoreguidelines-owning-memory)
        scene->lab.segment_entry(scene->red).watch = table::watch::kGpe;
        scene->lab.complete = [red = scene->red](table::Tables& tables) {
            const std::vector<std::pair<table::ScopedAddress, std::uint32_t>> known{
                {{support::address("192.0.2.2"), red}, 0},
                {{support::address("2001:db8::2"), red}, 0}};
            tables.segment_neighbours = std::make_shared<const table::AddressMap>(known);
            tables.known_neighbours =
                table::Shared(std::vector<table::SegmentNeighbour>{{support::host(1), false}});
        };
        scene->lab.fdb(scene->red, kPeer, support::FdbKind::tunnel, scene->t2,
                       support::FdbState::permanent);
        scene->lab.count_by_name = false;
        return scene;
    }();
    return made;
}

/// The packet inside ends where it says, and the rest of it is as it was, but for an MSS.
void to_peer(support::Scene& s, Bytes frame, support::Memory memory) {
    std::copy(kPeer.bytes.begin(), kPeer.bytes.end(), frame.begin());
    const support::Seen seen = s.lab.receive(s.vm1, {frame}, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    for (const support::SentFrame& sent : seen.sent) {
        require(sent.port == s.up, "to another port", sent.bytes);
        const support::Outer outer = support::take_apart(sent.bytes);
        require(outer.whole && outer.ip_checksum_right && outer.udp_checksum_right &&
                    outer.udp_checksum != 0,
                "a malformed tunnel packet", sent.bytes);
        const bool v4 = frame[12] == 0x08 && frame[13] == 0x00;
        require(outer.flags_word == (v4 ? 0x0C000001U : 0x0C000002U), "another header", sent.bytes);
        const Bytes inner(sent.bytes.begin() + 50, sent.bytes.end());
        require(inner.size() >= (v4 ? 20U : 40U) && inner.size() + 14 <= frame.size(),
                "another length", sent.bytes);
        require(std::equal(inner.begin(), inner.begin() + (v4 ? 20 : 40), frame.begin() + 14),
                "another IP header", sent.bytes);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 5 || size > kLongest) return 0;
    support::Scene& s = extended();
    const auto memory = static_cast<support::Memory>((data[0] & kMemory) % 3);
    const Bytes inner(data + 5, data + size);
    if ((data[0] & kFromTenant) != 0) {
        if (inner.size() >= 14) to_peer(s, inner, memory);
        return 0;
    }
    const std::uint32_t bits = std::uint32_t{data[2]} << 16 | std::uint32_t{data[3]} << 8 | data[4];
    const support::Frame outer = support::a_frame()
                                     .to(s.local_mac)
                                     .from(support::Scene::remote_mac(2))
                                     .ipv4({.source = "10.0.0.2", .destination = s.kLocal})
                                     .udp(40000, 4789, {.checksum = 0})
                                     .vxlan({.flags = data[1], .reserved = bits}, inner);
    const support::Seen seen = s.lab.receive(s.up, outer, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), inner);
    for (const support::SentFrame& sent : seen.sent) {
        require(sent.port == s.vm1 || sent.port == s.vm2, "to another port", sent.bytes);
        require(data[1] == kFlags && bits >= 1 && bits <= 3, "with another header", inner);
        const std::size_t made = bits == 3 ? 0 : 14;
        require(sent.bytes.size() == inner.size() + made, "another length", sent.bytes);
        require(
            made == 0 || std::equal(kPeer.bytes.begin(), kPeer.bytes.end(), sent.bytes.begin() + 6),
            "from another peer", sent.bytes);
        // ECN and the checksum that covers it.
        std::size_t changed = 0;
        for (std::size_t i = 0; i < inner.size(); ++i) changed += sent.bytes[i + made] != inner[i];
        require(changed <= 3, "changed on its way out of the tunnel", sent.bytes);
    }
    return 0;
}
