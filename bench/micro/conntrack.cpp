// What connections cost a packet: the lookup alone, all hooks of an established connection with and
// without translation, and a new connection from first packet to entry. Cycles per packet.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/micro/rounds.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/step/hooks.hpp"

namespace vxplane::bench {
namespace {

constexpr std::uint32_t kBurst = 64;
constexpr std::uint32_t kBursts = 256;
constexpr std::uint32_t kNow = 1000;

/// Frames of UDP, 64 bytes each, of `count` flows; flow n is from 10.x.y.z, n below 2^24.
struct Frame {
    alignas(64) std::array<std::byte, 64> bytes{};
    rte_mbuf mbuf{};

    void make(std::uint32_t flow) {
        auto& ethernet = *reinterpret_cast<net::EthernetHeader*>(bytes.data());
        ethernet.type = net::ether_type::kIpv4;
        auto& ip = *reinterpret_cast<net::Ipv4Header*>(bytes.data() + 14);
        ip = {};
        ip.version_ihl = net::Ipv4Header::kPlain;
        ip.total_length = net::Be16::of(50);
        ip.ttl = 64;
        ip.protocol = net::ip_protocol::kUdp;
        ip.source = net::Ipv4Address::of(0x0A000000U + flow);
        ip.destination = net::Ipv4Address::of(198, 51, 100, 9);
        ip.checksum = net::ipv4_checksum(ip);
        auto& udp = *reinterpret_cast<net::UdpHeader*>(bytes.data() + 34);
        udp.source = net::Be16::of(static_cast<std::uint16_t>(1024 + flow % 60'000));
        udp.destination = net::Be16::of(static_cast<std::uint16_t>(flow / 60'000 + 1));
        udp.length = net::Be16::of(30);
        udp.checksum = net::Be16::of(0x1234);
        mbuf.buf_addr = bytes.data();
        mbuf.data_off = 0;
        mbuf.data_len = 64;
        mbuf.pkt_len = 64;
        mbuf.nb_segs = 1;
        rte_mbuf_refcnt_set(&mbuf, 1);
    }
};

table::HookSet masquerade() {
    table::HookRule rule;
    rule.hook = table::Hook::postrouting;
    rule.priority = table::hook_priority::kSourceNat;
    rule.verdict = table::RuleVerdict::masquerade;
    return table::HookSet({rule});
}

struct Scene {
    explicit Scene(std::uint32_t connections, bool nat)
        : conntrack(connections + connections / 8 + 64),
          rules(nat ? masquerade() : table::HookSet{}) {
        for (std::uint32_t flow = 0; flow < connections; ++flow) {
            Frame frame;
            frame.make(flow);
            pass(frame);
        }
    }
    void prepare(step::HookContext& ctx) {
        std::construct_at(&ctx);
        ctx.hooks = &rules;
        ctx.conntrack = &conntrack;
        ctx.now = kNow;
        ctx.masquerade4 = net::Ipv4Address::of(203, 0, 113, 1);
    }
    void pass(Frame& frame) {
        packet::Packet p(&frame.mbuf);
        step::L3Packet l3;
        packet::PacketMeta meta;
        step::HookContext ctx;
        prepare(ctx);
        packet::Verdict verdict = step::parse(p, 14, l3);
        if (verdict.goes_on()) verdict = step::output(l3, ctx, meta);
        if (verdict.goes_on()) verdict = step::postrouting(l3, ctx, meta);
        benchmark::DoNotOptimize(verdict);
    }
    table::Conntrack conntrack;
    table::HookSet rules;
};

/// Which flows a round asks for; frames are made anew before it, for translation changes them.
std::vector<std::uint32_t> stream(std::uint32_t connections) {
    std::mt19937 random{7};
    std::vector<std::uint32_t> flows(kBurst * kBursts);
    for (std::uint32_t& flow : flows) flow = random() % connections;
    return flows;
}

void lookup(benchmark::State& state) {
    const auto connections = static_cast<std::uint32_t>(state.range(0));
    Scene scene(connections, false);
    std::vector<table::ConnTuple> tuples;
    for (const std::uint32_t flow : stream(connections)) {
        table::ConnTuple t;
        t.source = net::Ipv4Address::of(0x0A000000U + flow);
        t.destination = net::Ipv4Address::of(198, 51, 100, 9);
        t.source_port = net::Be16::of(static_cast<std::uint16_t>(1024 + flow % 60'000));
        t.destination_port = net::Be16::of(static_cast<std::uint16_t>(flow / 60'000 + 1));
        t.protocol = net::ip_protocol::kUdp;
        tuples.push_back(t);
    }
    std::uint32_t missed = 0;
    count_cycles(state, kBurst * kBursts, [&] {
        for (std::uint32_t at = 0; at < tuples.size(); at += kBurst) {
            std::array<std::uint64_t, kBurst> hashes;
            for (std::uint32_t i = 0; i < kBurst; ++i) {
                hashes[i] = scene.conntrack.hash(tuples[at + i]);
                scene.conntrack.prefetch(hashes[i]);
            }
            for (std::uint32_t i = 0; i < kBurst; ++i) scene.conntrack.prefetch_place(hashes[i]);
            for (std::uint32_t i = 0; i < kBurst; ++i)
                missed += scene.conntrack.find(tuples[at + i], hashes[i], kNow) ? 0U : 1U;
        }
    });
    if (missed != 0) state.SkipWithError("a connection was not found");
}

/// All that a path pays for: parse, both stages of prefetching, output and postrouting.
void established(benchmark::State& state, bool nat) {
    const auto connections = static_cast<std::uint32_t>(state.range(0));
    Scene scene(connections, nat);
    const auto flows = stream(connections);
    std::vector<Frame> frames(flows.size());
    std::uint32_t dropped = 0;
    const auto created = scene.conntrack.stats().created;
    count_cycles(
        state, kBurst * kBursts,
        [&] {
            for (std::size_t i = 0; i < flows.size(); ++i) frames[i].make(flows[i]);
        },
        [&] {
            std::array<step::L3Packet, kBurst> l3;
            std::array<step::HookContext, kBurst> ctx;
            packet::PacketMeta meta;
            for (std::uint32_t at = 0; at < flows.size(); at += kBurst) {
                for (std::uint32_t i = 0; i < kBurst; ++i) {
                    packet::Packet p(&frames[at + i].mbuf);
                    dropped += step::parse(p, 14, l3[i]).goes_on() ? 0U : 1U;
                    scene.prepare(ctx[i]);
                    step::begin(l3[i], ctx[i]);
                }
                for (std::uint32_t i = 0; i < kBurst; ++i) step::fetch(ctx[i]);
                for (std::uint32_t i = 0; i < kBurst; ++i) {
                    packet::Packet p(&frames[at + i].mbuf);
                    l3[i].p = &p;
                    dropped += step::output(l3[i], ctx[i], meta).goes_on() ? 0U : 1U;
                    dropped += step::postrouting(l3[i], ctx[i], meta).goes_on() ? 0U : 1U;
                }
            }
        });
    if (dropped != 0 || scene.conntrack.stats().created != created)
        state.SkipWithError("a packet was not of an established connection");
}

void parse_only(benchmark::State& state) {
    std::vector<Frame> frames(kBurst * kBursts);
    for (std::uint32_t i = 0; i < frames.size(); ++i) frames[i].make(i);
    count_cycles(state, kBurst * kBursts, [&] {
        for (Frame& frame : frames) {
            packet::Packet p(&frame.mbuf);
            step::L3Packet l3;
            benchmark::DoNotOptimize(step::parse(p, 14, l3));
            benchmark::DoNotOptimize(l3);
        }
    });
}

/// Every packet begins a connection; the table is full, so that each also ends one.
void begins(benchmark::State& state, bool nat) {
    const auto connections = static_cast<std::uint32_t>(state.range(0));
    Scene scene(connections, nat);
    std::vector<Frame> frames(kBurst * kBursts);
    std::uint32_t next = connections;
    count_cycles(
        state, kBurst * kBursts,
        [&] {
            for (Frame& frame : frames) frame.make(next++ % (1U << 24));
        },
        [&] {
            for (Frame& frame : frames) scene.pass(frame);
        });
    const auto cycles = state.counters["cycles_min"];
    state.counters["M_per_second"] = 2500.0 / cycles.value;  // at 2.5 GHz
}

void sizes(benchmark::internal::Benchmark* benchmark) {
    benchmark->Arg(1)->Arg(10'000)->Arg(1'000'000)->UseManualTime();
}

BENCHMARK(lookup)->Apply(sizes);
BENCHMARK(parse_only)->UseManualTime();
BENCHMARK_CAPTURE(established, plain, false)->Apply(sizes);
BENCHMARK_CAPTURE(established, masquerade, true)->Apply(sizes);
BENCHMARK_CAPTURE(begins, plain, false)->Arg(10'000)->Arg(1'000'000)->UseManualTime();
BENCHMARK_CAPTURE(begins, masquerade, true)->Arg(10'000)->Arg(1'000'000)->UseManualTime();

}  // namespace
}  // namespace vxplane::bench
BENCHMARK_MAIN();
