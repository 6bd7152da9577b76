// Any bytes from a tenant that are too long for their tunnel: what leaves fits, is right by itself,
// and no buffer is lost. Bit 4 of the first byte: fragments outside, else inside.
#include "fuzz.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::fuzz;

constexpr std::uint8_t kOutside = 0x10;
constexpr std::uint16_t kMtu = 300;

support::Scene& cutting(bool outside) {
    static const auto make = [](bool outer) {
        support::SceneWords words;
        words.tunnel.fragments = outer;
        words.red.inner_vlan = true;
        words.red.mtu = outer ? 1400 : 200;
        auto* scene = new support::Scene(words);  // NOLINT(cppcoreguidelines-owning-memory)
        for (const unsigned last : {2U, 3U, 4U}) {
            table::TunnelSpec spec = scene->spec(last);
            spec.underlay_mtu = kMtu;
            scene->lab.replace_tunnel(last == 2   ? scene->t2
                                      : last == 3 ? scene->t3
                                                  : scene->t4,
                                      spec);
        }
        if (!outer) scene->lab.segment_entry(scene->red).watch = table::watch::kFragmentInner;
        scene->lab.count_by_name = false;
        return scene;
    };
    static support::Scene* const outer = make(true);
    static support::Scene* const inner = make(false);
    return outside ? *outer : *inner;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 15 || size > kLongest) return 0;
    support::Scene& s = cutting((data[0] & kOutside) != 0);
    Bytes frame(data + 1, data + size);
    if ((data[0] & kRepair) != 0) repair(frame);
    const auto memory = static_cast<support::Memory>((data[0] & kMemory) % 3);
    const support::Seen seen = s.lab.receive(s.vm1, {frame}, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    for (const support::SentFrame& sent : seen.sent) {
        if (sent.port != s.up) continue;
        require(sent.bytes.size() <= 14U + kMtu, "longer than the underlay takes", sent.bytes);
        require(sent.bytes.size() == 14U + (sent.bytes[16] << 8 | sent.bytes[17]), "length",
                sent.bytes);
        require(support::rfc1071(Bytes(sent.bytes.begin() + 14, sent.bytes.begin() + 34)) == 0,
                "header checksum", sent.bytes);
    }
    return 0;
}
