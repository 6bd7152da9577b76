// Arithmetic on frames, apart from tables: reading a tenant's frame, checksums, and the small map
// that holds VNIs, own addresses and peers. Everything lies in the first-level cache.
#include <rte_ip.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/micro/rounds.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/table/flat_map.hpp"

namespace vxplane::bench {
namespace {

constexpr std::size_t kFrames = 128;
using Frame = std::array<std::byte, 128>;

enum class Kind : std::uint8_t { arp, ipv4_udp, ipv6_udp };

std::vector<Frame> frames_of(Kind kind) {
    std::mt19937 random{3};
    std::vector<Frame> frames(kFrames);
    for (Frame& frame : frames) {
        for (auto& byte : frame) {
            byte = static_cast<std::byte>(random());
        }
        auto* ethernet = reinterpret_cast<net::EthernetHeader*>(frame.data());
        auto* l3 = frame.data() + sizeof *ethernet;
        if (kind == Kind::ipv4_udp) {
            auto* ip = reinterpret_cast<net::Ipv4Header*>(l3);
            ethernet->type = net::ether_type::kIpv4;
            ip->version_ihl = 0x45;
            ip->fragment = {};
            ip->protocol = net::ip_protocol::kUdp;
        } else if (kind == Kind::ipv6_udp) {
            auto* ip = reinterpret_cast<net::Ipv6Header*>(l3);
            ethernet->type = net::ether_type::kIpv6;
            ip->version_class_label =
                net::Be32::of((static_cast<std::uint32_t>(random()) & 0x0FFFFFFFU) | 0x60000000U);
            ip->next_header = net::ip_protocol::kUdp;
        } else {
            ethernet->type = net::ether_type::kArp;
        }
    }
    return frames;
}

void parse(benchmark::State& state, Kind kind) {
    const auto frames = frames_of(kind);
    count_cycles(state, kFrames, [&] {
        for (const Frame& frame : frames) {
            auto facts = net::facts_of(frame.data(), frame.size());
            benchmark::DoNotOptimize(facts);
        }
    });
}

constexpr unsigned kSums = 64;

void checksum_ours(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    std::vector<unsigned char> data(size, 0x5A);
    count_cycles(state, kSums, [&] {
        for (unsigned i = 0; i < kSums; ++i) {
            benchmark::DoNotOptimize(data.data());
            auto sum = net::fold(net::add_bytes(0, data.data(), size));
            benchmark::DoNotOptimize(sum);
        }
    });
    state.SetLabel("fold(add_bytes())");
}

void checksum_dpdk(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    std::vector<unsigned char> data(size, 0x5A);
    count_cycles(state, kSums, [&] {
        for (unsigned i = 0; i < kSums; ++i) {
            benchmark::DoNotOptimize(data.data());
            auto sum = rte_raw_cksum(data.data(), size);
            benchmark::DoNotOptimize(sum);
        }
    });
    state.SetLabel("rte_raw_cksum()");
}

void checksum_header(benchmark::State& state) {
    auto frames = frames_of(Kind::ipv4_udp);
    count_cycles(state, kFrames, [&] {
        for (const Frame& frame : frames) {
            auto right = net::ipv4_checksum_is_right(
                net::view<net::Ipv4Header>(frame.data() + sizeof(net::EthernetHeader)));
            benchmark::DoNotOptimize(right);
        }
    });
}

void flat_map(benchmark::State& state) {
    const auto count = static_cast<std::uint32_t>(state.range(0));
    constexpr std::uint32_t kLookups = 4096;
    std::mt19937_64 random{9};
    std::vector<std::pair<std::uint64_t, std::uint32_t>> pairs;
    for (std::uint32_t i = 0; i < count; ++i) {
        pairs.emplace_back(random() >> 24, i);
    }
    const table::FlatMap map(pairs);
    std::vector<std::uint64_t> keys(kLookups);
    for (auto& key : keys) {
        key = pairs[random() % count].first;
    }
    count_cycles(state, kLookups, [&] {
        for (const auto key : keys) {
            auto value = map.find(key);
            benchmark::DoNotOptimize(value);
        }
    });
}

}  // namespace
}  // namespace vxplane::bench

int main(int argc, char** argv) {
    using namespace vxplane::bench;
    const auto add = [](const std::string& name, auto function) {
        return benchmark::RegisterBenchmark(name.c_str(), function)->UseManualTime();
    };
    add("parse/arp", [](auto& state) { parse(state, Kind::arp); });
    add("parse/ipv4_udp", [](auto& state) { parse(state, Kind::ipv4_udp); });
    add("parse/ipv6_udp", [](auto& state) { parse(state, Kind::ipv6_udp); });
    add("checksum/ipv4_header", checksum_header);
    for (const int size : {20, 64, 128, 512, 1400, 8900}) {
        add("checksum/ours", checksum_ours)->Arg(size);
        add("checksum/dpdk", checksum_dpdk)->Arg(size);
    }
    for (const int count : {1, 16, 1000, 16000}) {
        add("flat_map", flat_map)->Arg(count);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
