// Any bytes between a tenant and a tunnel whose segment clamps MSS: nothing but the MSS of a SYN
// and its checksum changes, and the MSS only downwards. Bit 4 of the first byte: out of the tunnel.
#include "fuzz.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::fuzz;

constexpr std::uint8_t kFromTunnel = 0x10;
constexpr std::size_t kChanged = 2 * 10 + 2;  ///< ten options of four bytes fill a TCP header

support::Scene& clamping() {
    static support::Scene& made = *[] {
        support::SceneWords words;
        words.tunnel.clamp_mss = true;
        words.red.inner_vlan = true;
        words.red.mtu = 600;
        auto* scene = new support::Scene(words);  // NOLINT(cppcoreguidelines-owning-memory)
        scene->lab.segment_entry(scene->red).watch = table::watch::kClampMss;
        scene->lab.segment_entry(scene->red).learning = false;
        scene->lab.count_by_name = false;
        return scene;
    }();
    return made;
}

void compare(const Bytes& before, const Bytes& after) {
    require(before.size() == after.size(), "another length", after);
    std::size_t changed = 0;
    for (std::size_t i = 0; i < after.size(); ++i) changed += before[i] != after[i] ? 1U : 0U;
    require(changed <= kChanged, "more than an MSS and a checksum", after);
    // What one field lost the other gained: 0 and 0xFFFF are the same.
    require(support::rfc1071(before) % 0xFFFFU == support::rfc1071(after) % 0xFFFFU,
            "the checksum does not follow", after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 15 || size > kLongest) return 0;
    support::Scene& s = clamping();
    Bytes frame(data + 1, data + size);
    if ((data[0] & kRepair) != 0) repair(frame);
    const auto memory = static_cast<support::Memory>((data[0] & kMemory) % 3);
    if ((data[0] & kFromTunnel) != 0) {
        const support::Frame outer = s.from_remote(support::raw_frame(frame));
        for (const support::SentFrame& sent : s.lab.receive(s.up, outer, memory).sent)
            if (frame.size() <= 614) compare(frame, sent.bytes);
        return 0;
    }
    for (const support::SentFrame& sent : s.lab.receive(s.vm1, {frame}, memory).sent) {
        if (sent.port != s.up) {
            require(sent.bytes == frame, "changed on its way to a local port", sent.bytes);
            continue;
        }
        const support::Outer outer = support::take_apart(sent.bytes);
        require(outer.whole && outer.ip_checksum_right, "not a right outer header", sent.bytes);
        compare(frame, outer.inner);
    }
    return 0;
}
