// Any bytes at a trunk: what leaves is the tenant's frame, less the tag that tells its VNI, and
// with the tag of that VNI on another trunk.
#include <algorithm>

#include "fuzz.hpp"

namespace {

using namespace vxplane;
using fuzz::Bytes;

/// VLAN 10 is red and 20 is blue on both trunks; on `native` red has no tag.
struct TrunkScene : support::Scene {
    static support::SceneWords all() {
        support::SceneWords words;
        words.red.inner_vlan = true;
        return words;
    }
    TrunkScene() : Scene(all()) {
        trunk = lab.access("trunk");
        native = lab.access("native");
        lab.trunk(trunk, red, 10);
        lab.trunk(trunk, blue, 20);
        lab.trunk(native, red, 10, true);
        lab.trunk(native, blue, 20);
        lab.count_by_name = false;
    }
    support::PortId trunk = 0, native = 0;
};

Bytes without_tag(const Bytes& frame) {
    Bytes out(frame.begin(), frame.begin() + 12);
    out.insert(out.end(), frame.begin() + 16, frame.end());
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    static TrunkScene* const s = new TrunkScene;
    const Bytes frame(data + 1, data + std::min(size, fuzz::kLongest));
    const auto memory = static_cast<support::Memory>((data[0] & 3U) % 3);
    const support::Seen seen = s->lab.receive(s->trunk, {frame}, memory);
    fuzz::require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    if (seen.sent.empty() && seen.punted.empty()) return 0;
    fuzz::require(frame.size() >= 18 && frame[12] == 0x81 && frame[13] == 0, "left without a tag",
                  frame);
    const unsigned vid = (frame[14] << 8 | frame[15]) & 0xFFFU;
    fuzz::require(vid == 10 || vid == 20, "of no VLAN", frame);
    const Bytes plain = without_tag(frame);
    for (const support::SentFrame& sent : seen.sent) {
        if (sent.port == s->up) {
            const support::Outer outer = support::take_apart(sent.bytes);
            fuzz::require(
                outer.whole && outer.inner == plain && outer.vni_word >> 8 == (vid == 10 ? 7U : 8U),
                "changed on its way into a tunnel", sent.bytes);
        } else if (sent.port == s->native && vid == 20) {
            Bytes again = frame;
            again[14] = 0;
            fuzz::require(sent.bytes == again, "another tag than that of the VNI", sent.bytes);
        } else {
            fuzz::require(sent.port != s->trunk && sent.bytes == plain,
                          "changed on its way to a local port", sent.bytes);
        }
    }
    return 0;
}
