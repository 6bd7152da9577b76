// Any place of a missing checksum and any frame, out of a tunnel; with bit 4 of the first byte a
// guest's frame into one, whose checksums its device has made. Byte 1 is the last one of the VXLAN
// header.
#include "fuzz.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::fuzz;

constexpr std::uint8_t kFromGuest = 0x10;
constexpr std::uint32_t kOption = 0x200000;

support::Scene& offloading() {
    static support::Scene& made = *[] {
        support::SceneWords words;
        words.tunnel.remote_sum = true;
        words.tunnel.udp_checksum = true;
        words.access.from_guest = true;
        words.red.inner_vlan = true;
        auto* scene = new support::Scene(words);  // NOLINT(cppcoreguidelines-owning-memory)
        scene->lab.segment_entry(scene->red).watch = table::watch::kRemoteSum;
        scene->lab.segment_entry(scene->red).learning = false;
        scene->lab.count_by_name = false;
        return scene;
    }();
    return made;
}

std::size_t differences(const Bytes& one, const Bytes& other) {
    std::size_t changed = 0;
    for (std::size_t i = 0; i < one.size(); ++i) changed += one[i] != other[i] ? 1U : 0U;
    return changed;
}

void from_guest(support::Scene& s, const Bytes& frame, support::Memory memory) {
    s.lab.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    const support::Seen seen = s.lab.receive(s.vm1, {frame}, memory);
    s.lab.rx_flags = 0;
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    for (const support::SentFrame& sent : seen.sent) {
        if (sent.port != s.up) {
            require(sent.bytes == frame, "changed on its way to a local port", sent.bytes);
            continue;
        }
        const support::Outer outer = support::take_apart(sent.bytes);
        require(outer.whole && outer.ip_checksum_right && outer.udp_checksum_right,
                "not a right outer header", sent.bytes);
        require(outer.inner.size() == frame.size(), "another length", sent.bytes);
        const bool left = (outer.flags_word & kOption) != 0;
        require((outer.flags_word & ~kOption) == 0x08000000 && (left || outer.vni_word == 0x700),
                "another VXLAN header", sent.bytes);
        require(differences(outer.inner, frame) <= (left ? 2U : 0U), "changed inside", sent.bytes);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 + 14 || size > kLongest) return 0;
    support::Scene& s = offloading();
    const auto memory = static_cast<support::Memory>((data[0] & kMemory) % 3);
    const Bytes frame(data + 2, data + size);
    if ((data[0] & kFromGuest) != 0) {
        from_guest(s, frame, memory);
        return 0;
    }
    const support::Frame outer =
        s.from_remote(support::raw_frame(frame), 2, {.reserved = kOption, .last = data[1]});
    const support::Seen seen = s.lab.receive(s.up, outer, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    const std::size_t field = (data[1] & 0x7FU) * 2 + ((data[1] & 0x80) != 0 ? 6 : 16);
    require(seen.sent.empty() || field + 2 <= frame.size(), "with a field behind its end", frame);
    for (const support::SentFrame& sent : seen.sent) {
        require(sent.bytes.size() == frame.size(), "another length", sent.bytes);
        require(differences(sent.bytes, frame) <= 2, "more than a checksum", sent.bytes);
    }
    return 0;
}
