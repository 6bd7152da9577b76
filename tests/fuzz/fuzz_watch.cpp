// Any frame into a segment that asks for more than forwarding: neighbours are answered for and
// snooped, ways cut short, misses told, peers guarded, VXLAN of tenants refused, groups of tenants
// have listeners, and a group of the underlay is joined.
// Bits of the first byte beyond those of fuzz.hpp: kFromTunnel, then bytes 1 to 3 are the source
// port of the packet around the frame, and its sender 10.0.0.x, and kToGroup that it is for a
// group, which is joined unless kOtherGroup. Of a tenant's frame kToGroup means that nobody is
// answered for, kLocal that what is not answered stays here.
#include <algorithm>
#include <array>

#include "dataplane/net/icmpv6.hpp"
#include "fuzz.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::fuzz;
namespace watch = table::watch;

constexpr std::uint8_t kFromTunnel = 0x10;
constexpr std::uint8_t kToGroup = 0x20;
constexpr std::uint8_t kOtherGroup = 0x40;
constexpr std::uint8_t kLocal = 0x40;
constexpr std::uint16_t kLowest = 40000, kHighest = 50000;
constexpr std::uint16_t kAsks = watch::kProxy | watch::kSnoop | watch::kRsc | watch::kL2Miss |
                                watch::kL3Miss | watch::kRefuseVxlan | watch::kMulticast;

/// Neighbours: 12 behind 10.0.0.2, 2 at vm2, 40 unknown, 13 a router behind 10.0.0.3. Group
/// 239.9.9.9 is for 10.0.0.3 and vm2, of 192.0.2.7 for nobody here; ff05::9 for vm2.
void fill(table::Tables& tables, const support::Scene& s) {
    using table::ScopedAddress;
    const auto at = [&s](const char* address, std::uint32_t number) {
        return std::pair{ScopedAddress{support::address(address), s.red}, number};
    };
    tables.segment_neighbours = std::make_shared<const table::AddressMap>(
        std::vector<std::pair<ScopedAddress, std::uint32_t>>{
            at("192.0.2.12", 0), at("2001:db8::c", 0), at("192.0.2.2", 1), at("2001:db8::2", 1),
            at("192.0.2.40", 2), at("2001:db8::d", 3)});
    tables.known_neighbours =
        table::Shared{std::vector<table::SegmentNeighbour>{{support::host(12), false},
                                                           {support::host(2), false},
                                                           {support::host(40), false},
                                                           {support::host(13), true}}};
    tables.routers =
        std::make_shared<const table::FlatMap>(std::vector<std::pair<std::uint64_t, std::uint32_t>>{
            {table::FdbKey::make(support::host(13).number(), s.red).raw, 0}});
    table::Guard guard;
    guard.source_port_lo = kLowest;
    guard.source_port_hi = kHighest;
    guard.listed = true;
    guard.count = 1;
    tables.guards = table::Shared{std::vector<table::Guard>{{}, guard}};
    tables.peer_prefixes =
        table::Shared{std::vector<table::PeerPrefix>{{support::ip("10.0.0.8"), 30}}};
    tables.allowed_peers = std::make_shared<const table::AddressMap>(
        std::vector<std::pair<ScopedAddress, std::uint32_t>>{{{support::ip("10.0.0.2"), 1}, 0}});
    tables.joined = std::make_shared<const table::AddressMap>(
        std::vector<std::pair<ScopedAddress, std::uint32_t>>{
            {{support::address("239.1.1.1"), s.up}, 0}});
    tables.group_segments =
        std::make_shared<const table::FlatMap>(std::vector<std::pair<std::uint64_t, std::uint32_t>>{
            {table::group_segment_key(0, s.red), 0}});
    tables.mdb = table::Shared{std::vector<table::MdbEntry>{
        {{0, 0}, {0, 1}, false, true}, {{0, 1}, {0, 1}, true, true}, {{0, 1}, {0, 0}, true, true}}};
    tables.mdb_tunnels = table::Shared{std::vector<std::uint32_t>{s.t3}};
    tables.mdb_ports = table::Shared{std::vector<std::uint16_t>{s.vm2}};
    tables.mdb_groups = std::make_shared<const table::AddressMap>(
        std::vector<std::pair<ScopedAddress, std::uint32_t>>{
            {{net::IpAddress{}, s.red}, 0}, at("239.9.9.9", 1), at("ff05::9", 1)});
    tables.mdb_sources = std::make_shared<const table::AddressMap>(
        std::vector<std::pair<ScopedAddress, std::uint32_t>>{
            {{support::address("192.0.2.7"), 1}, 2}});
}

support::Scene* watched(std::uint16_t bits) {
    support::SceneWords words;
    words.red.inner_vlan = true;
    auto* s = new support::Scene(words);  // NOLINT(cppcoreguidelines-owning-memory)
    s->lab.fdb(s->red, support::host(13), table::FdbKind::tunnel, s->t3,
               table::FdbState::permanent);
    s->lab.segment_entry(s->red).watch = bits;
    s->lab.segment_entry(s->red).guard = 1;
    s->lab.complete = [s](table::Tables& tables) { fill(tables, *s); };
    s->lab.count_by_name = false;
    return s;
}

bool answers(std::uint8_t head) {
    return (head & (kFromTunnel | kToGroup)) != kToGroup;
}

support::Scene& scene_of(std::uint8_t head) {
    static const std::array<support::Scene*, 3> made{
        watched(kAsks), watched(kAsks | watch::kProxyLocal),
        watched(kAsks & static_cast<std::uint16_t>(~watch::kProxy))};
    if ((head & kFromTunnel) != 0) return *made[0];
    return *made[!answers(head) ? 2 : (head & kLocal) != 0 ? 1 : 0];
}

/// The same but for the two Ethernet addresses, which a way cut short has of its own.
bool is_same(const Bytes& sent, const Bytes& frame) {
    return sent.size() == frame.size() &&
           std::equal(sent.begin() + 12, sent.end(), frame.begin() + 12);
}

/// For the sender of `frame`, from one whom we know, with a right checksum.
void check_answer(const Bytes& sent, const Bytes& frame) {
    require(sent.size() == 42 || sent.size() == 86, "an answer of another length", sent);
    const std::uint8_t who = sent[11];
    require(std::equal(sent.begin() + 6, sent.begin() + 11, support::host(0).bytes.begin()) &&
                (who == 12 || who == 13),
            "an answer of nobody behind a tunnel", sent);
    if (sent.size() == 42) {
        require(frame[12] == 0x08 && frame[13] == 0x06 && sent[12] == 0x08 && sent[13] == 0x06 &&
                    sent[20] == 0 && sent[21] == 2,
                "no answer of ARP", sent);
        require(std::equal(sent.begin() + 22, sent.begin() + 28, sent.begin() + 6) &&
                    std::equal(sent.begin() + 28, sent.begin() + 32, frame.begin() + 38) &&
                    std::equal(sent.begin() + 38, sent.begin() + 42, frame.begin() + 28),
                "an answer to another question", sent);
        return;
    }
    require(frame[12] == 0x86 && sent[12] == 0x86 && sent[20] == 58 && sent[21] == 255 &&
                sent[54] == 136 && ((sent[58] & 0x80) != 0) == (who == 13),
            "no answer of neighbour discovery", sent);
    Bytes pseudo(sent.begin() + 22, sent.begin() + 54);
    pseudo.insert(pseudo.end(), {0, 0, 0, 32, 0, 0, 0, 58});
    pseudo.insert(pseudo.end(), sent.begin() + 54, sent.end());
    require(support::rfc1071(pseudo) == 0, "an answer with a wrong checksum", sent);
}

/// Plain enough to be told from here: UDP over IPv4 to the port of VXLAN.
bool is_plain_vxlan(const Bytes& frame) {
    return frame.size() >= 42 && frame[12] == 0x08 && frame[13] == 0 && (frame[14] & 0xF) == 5 &&
           frame[14] >> 4 == 4 && frame[23] == 17 && (frame[20] & 0x1F) == 0 && frame[21] == 0 &&
           frame[36] == 0x12 && frame[37] == 0xB5;
}

void from_tenant(support::Scene& s, const Bytes& frame, std::uint8_t head) {
    const auto memory = static_cast<support::Memory>((head & kMemory) % 3);
    const support::Seen seen = s.lab.receive(s.vm1, {frame}, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    require(seen.sent.empty() || !is_plain_vxlan(frame), "VXLAN of a tenant passes", frame);
    for (const support::SentFrame& sent : seen.sent) {
        if (sent.port == s.vm1) {
            require(answers(head) && seen.sent.size() == 1, "answered, and went on or should not",
                    frame);
            check_answer(sent.bytes, frame);
        } else if (sent.port == s.vm2) {
            require(is_same(sent.bytes, frame), "changed on its way to a port", sent.bytes);
        } else {
            require(sent.port == s.up, "left by a wrong port", frame);
            const support::Outer outer = support::take_apart(sent.bytes);
            require(outer.whole && outer.ip_checksum_right && is_same(outer.inner, frame),
                    "changed on its way into a tunnel", sent.bytes);
        }
    }
    for (const support::PuntedFrame& punted : seen.punted)
        require(is_same(punted.bytes, frame), "changed on its way to control", punted.bytes);
}

void from_tunnel(support::Scene& s, const Bytes& frame, const std::uint8_t* data) {
    const std::uint8_t head = data[0];
    const auto port = static_cast<std::uint16_t>(data[1] << 8 | data[2]);
    const std::string sender = "10.0.0." + std::to_string(data[3]);
    const bool to_group = (head & kToGroup) != 0;
    const bool joined = to_group && (head & kOtherGroup) == 0;
    support::Ip4 ip;
    ip.source = sender;
    ip.destination = !to_group ? support::Scene::kLocal : joined ? "239.1.1.1" : "239.1.1.2";
    const net::MacAddress to =
        to_group ? net::group_mac(support::address(ip.destination)) : s.local_mac;
    const support::Frame outer = support::a_frame()
                                     .to(to)
                                     .from(support::Scene::remote_mac(2))
                                     .ipv4(ip)
                                     .udp(port, 4789, {.checksum = 0})
                                     .vxlan({}, frame);
    const auto memory = static_cast<support::Memory>((head & kMemory) % 3);
    const support::Seen seen = s.lab.receive(s.up, outer, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    const bool listed = data[3] == 2 || (data[3] >> 2) == 2;
    const bool heard = listed && port >= kLowest && port <= kHighest && (joined || !to_group);
    for (const support::SentFrame& sent : seen.sent) {
        require(heard, "a peer that is not trusted is heard", frame);
        require(sent.port == s.vm1 || sent.port == s.vm2, "to another port", sent.bytes);
        require(sent.bytes == frame, "changed on its way out of the tunnel", sent.bytes);
    }
    require(heard || seen.learned.empty(), "a peer that is not trusted teaches", frame);
    const Bytes all = outer.bytes();
    // Listeners are read behind the tunnel, who speaks before its end.
    for (const support::PuntedFrame& punted : seen.punted)
        require(heard && punted.bytes == (punted.why == packet::Punt::listeners ? frame : all),
                "another frame goes to control", punted.bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4 + 14 || size > kLongest) return 0;
    support::Scene& s = scene_of(data[0]);
    Bytes frame(data + 4, data + size);
    if ((data[0] & kRepair) != 0) repair(frame);
    if ((data[0] & kAge) != 0) s.lab.pass_time(1100);
    if ((data[0] & kFromTunnel) != 0)
        from_tunnel(s, frame, data);
    else
        from_tenant(s, frame, data[0]);
    return 0;
}
