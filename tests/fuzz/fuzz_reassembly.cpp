// Fragments of three tunnel packets, each a slice of one of them or something near, in any order:
// what leaves is what was cut, nothing waits for ever, and no buffer is lost. Bit 4 of the first
// byte: over IPv6.
#include "tests/support/fragments.hpp"

#include <algorithm>

#include "fuzz.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::fuzz;

constexpr std::uint8_t kOverIpv6 = 0x10;
constexpr const char* kOwn6 = "2001:db8::1";

struct World {
    support::Scene scene{[] {
        support::SceneWords words;
        words.underlay.reassembles = true;
        words.red.ipv6 = true;
        words.red.learning = false;
        words.twin = true;
        return words;
    }()};
    std::vector<Bytes> inner{};
    std::vector<Bytes> whole{}, whole6{};

    World() {
        scene.lab.own(support::address(kOwn6), scene.up);
        scene.lab.count_by_name = false;
        for (std::uint16_t i = 0; i < 3; ++i) {
            Bytes payload(200U + 150U * i);
            for (std::size_t at = 0; at < payload.size(); ++at)
                payload[at] = static_cast<std::uint8_t>(at * 7 + i * 31);
            const support::Frame frame = support::a_frame()
                                             .to(support::host(1))
                                             .from(support::host(12))
                                             .ipv4()
                                             .udp(1, 2)
                                             .payload(payload);
            inner.push_back(frame.bytes());
            const auto from = support::a_frame().to(scene.local_mac).from(scene.remote_mac(2));
            // The third is no tunnel packet: all of it is the host's.
            const std::uint16_t port = i == 2 ? 53 : 4789;
            whole.push_back(support::Frame(from)
                                .ipv4({.source = "10.0.0.2",
                                       .destination = support::Scene::kLocal,
                                       .id = std::uint16_t(i + 1)})
                                .udp(40000, port)
                                .vxlan({}, frame)
                                .bytes());
            whole6.push_back(support::Frame(from)
                                 .ipv6({.source = "2001:db8::2", .destination = kOwn6})
                                 .udp(40000, port)
                                 .vxlan({}, frame)
                                 .bytes());
        }
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4 || size > 400) return 0;
    static World& w = *new World;  // NOLINT(cppcoreguidelines-owning-memory)
    const bool ipv6 = (data[0] & kOverIpv6) != 0;
    const auto memory = static_cast<support::Memory>((data[0] & kMemory) % 3);
    bool all_true = true;
    std::vector<Bytes> fragments;
    // Four bytes each: which one and what is changed, offset, size in eights, what to.
    for (std::size_t at = 1; at + 4 <= size && fragments.size() < packet::kBurstSize; at += 4) {
        const std::size_t which = (data[at] & 3U) % 3;
        const Bytes& whole = (ipv6 ? w.whole6 : w.whole)[which];
        const std::size_t total = support::payload_of(whole);
        const std::size_t from = std::min<std::size_t>(data[at + 1] * 8U, (total - 1) / 8 * 8);
        const std::size_t some = std::min<std::size_t>(data[at + 2] * 8U + 8U, total - from);
        Bytes one = support::fragment(whole, from, some, from + some != total);
        // The number of the datagram: the packets over IPv6 have none before they are cut.
        if (ipv6) one[61] = static_cast<std::uint8_t>(which);
        if ((data[at] & 0x80U) != 0) {
            one[14 + data[at + 3] % 48U] ^= static_cast<std::uint8_t>(data[at] & 0x7CU) | 1U;
            if (!ipv6) repair(one);
            all_true = false;
        }
        fragments.push_back(std::move(one));
    }
    support::Seen seen = w.scene.lab.receive(w.scene.up, fragments, memory);
    const path::WorkerCounters& counters = w.scene.lab.worker().counters();
    require(seen.broken_law.empty(), seen.broken_law.c_str(), Bytes(data, data + size));
    for (const support::SentFrame& sent : seen.sent) {
        if (sent.port == w.scene.host_twin) {
            require(!all_true || std::ranges::count(fragments, sent.bytes) != 0,
                    "changed on its way to the host", sent.bytes);
        } else if (all_true) {
            require(std::ranges::count(w.inner, sent.bytes) == 1, "not what was cut", sent.bytes);
        }
    }
    w.scene.lab.pass_time(path::Reassembly::kPatience);
    w.scene.lab.poll();
    require(counters.held_fragments.get() == 0, "waits for ever", Bytes(data, data + size));
    seen = w.scene.lab.collect();
    require(seen.broken_law.empty(), seen.broken_law.c_str(), Bytes(data, data + size));
    return 0;
}
