// What the steps of encapsulation and decapsulation cost alone, on frames in the first-level cache:
// without loop, tables that miss, drivers or metadata of a burst. The difference to vxbench is what
// those cost. Needs no EAL: buffers are plain memory.
#include "bench/micro/rounds.hpp"
#include "bench/micro/scene.hpp"
#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/check_inner.hpp"
#include "dataplane/step/check_udp.hpp"
#include "dataplane/step/classify_underlay.hpp"
#include "dataplane/step/find_segment.hpp"
#include "dataplane/step/read_flow.hpp"
#include "dataplane/step/strip_tunnel.hpp"

namespace vxplane::bench {
namespace {

enum class Sum : std::uint8_t { none, read, verified };

void encapsulate(benchmark::State& state, Sum sum, std::uint32_t inner = kInner) {
    Scene scene(sum != Sum::none, inner);
    bool good = true;
    const auto prepare = [&] {
        scene.buffers.make_inner();
        scene.begin(0);
        for (std::uint32_t i = 0; sum == Sum::verified && i < kPackets; ++i) {
            scene.buffers[i]->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
            scene.meta[i].inner_is_ip = true;
            scene.meta[i].l3_offset = sizeof(net::EthernetHeader);
        }
    };
    count_cycles(state, kPackets, prepare, [&] { good = good && scene.run<step::AddTunnel>(); });
    const auto* ip =
        packet::Packet(scene.buffers[0]).at<net::Ipv4Header>(sizeof(net::EthernetHeader));
    if (!good || !net::ipv4_checksum_is_right(*ip) || !(ip->destination == kRemote)) {
        state.SkipWithError("the frames did not get a right outer header");
    }
}

void read_flow(benchmark::State& state) {
    Scene scene(false);
    scene.buffers.make_inner();
    scene.begin(0);
    count_cycles(state, kPackets, [&] { scene.run<step::ReadFlow>(); });
}

template <class... Steps>
void decapsulate(benchmark::State& state, std::uint32_t size_after) {
    Scene scene(false);
    scene.buffers.make_outer();
    write_outer(scene);
    bool good = true;
    const auto prepare = [&] {
        scene.buffers.make_outer();
        scene.begin(1);
    };
    count_cycles(state, kPackets, prepare, [&] { good = good && scene.run<Steps...>(); });
    if (!good || packet::Packet(scene.buffers[0]).length() != size_after) {
        state.SkipWithError("the packets did not go all the way");
    }
}

}  // namespace
}  // namespace vxplane::bench

int main(int argc, char** argv) {
    using namespace vxplane::bench;
    using namespace vxplane::step;
    const auto add = [](const char* name, auto function) {
        benchmark::RegisterBenchmark(name, function)->UseManualTime();
    };
    constexpr std::uint32_t kOuter = kInner + vxplane::net::kVxlanIpv4Overhead;
    add("encap/AddTunnel", [](auto& state) { encapsulate(state, Sum::none); });
    add("encap/AddTunnel_udp_checksum", [](auto& state) { encapsulate(state, Sum::read); });
    add("encap/AddTunnel_udp_checksum_verified",
        [](auto& state) { encapsulate(state, Sum::verified); });
    constexpr std::uint32_t kLong = 1450;
    add("encap/AddTunnel_udp_checksum_1450",
        [](auto& state) { encapsulate(state, Sum::read, kLong); });
    add("encap/AddTunnel_udp_checksum_1450_verified",
        [](auto& state) { encapsulate(state, Sum::verified, kLong); });
    add("encap/ReadFlow", read_flow);
    add("decap/ClassifyUnderlay",
        [](auto& state) { decapsulate<ClassifyUnderlay>(state, kOuter); });
    add("decap/ClassifyUnderlay+CheckUdp+FindSegment",
        [](auto& state) { decapsulate<ClassifyUnderlay, CheckUdp, FindSegment>(state, kOuter); });
    add("decap/all", [](auto& state) {
        decapsulate<ClassifyUnderlay, CheckUdp, FindSegment, CheckInner, StripTunnel>(state,
                                                                                      kInner);
    });
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
