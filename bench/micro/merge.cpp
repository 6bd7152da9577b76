// What merging TCP segments costs, and what cutting them again does, in cycles per byte: beside
// rte_gro for the part that it covers (IPv4 in IPv4, checksums not looked at).
#include <rte_gro.h>
#include <rte_net.h>
#include <sched.h>

#include "bench/micro/rounds.hpp"
#include "dataplane/path/segment.hpp"
#include "dataplane/port/eal.hpp"
#include "dataplane/step/merge_tcp.hpp"

namespace vxplane::bench {
namespace {

constexpr std::uint16_t kFrames = 44;  // 64,240 bytes of payload
constexpr std::uint16_t kPayload = 1460;

struct Memory {
    Memory() {
        port::EalOptions options;
        options.program = "bench-merge";
        options.control_cpu = static_cast<unsigned>(sched_getcpu());
        options.memory_bytes = 256ULL << 20;
        options.hugepages = port::EalOptions::Hugepages::off;
        options.extra = {"--no-telemetry"};
        options.log_line = [](int, std::string_view) {};
        if (!port::start_eal(options)) std::exit(1);
        port::PoolSizes sizes;
        sizes.packets = 4095;
        sizes.headers = 1023;
        auto made = port::PoolSet::make(sizes, {0});
        if (!made) std::exit(1);
        set = *std::move(made);
        pools = port::WorkerPools{*set, 0};
    }
    std::unique_ptr<port::PoolSet> set;
    port::WorkerPools pools;
};

Memory& memory() {
    static Memory one;
    return one;
}

/// Segments of one flow, plain or in VXLAN over IPv4.
class Burst {
  public:
    explicit Burst(bool tunnel) : tunnel_(tunnel) {}

    void make() {
        for (std::uint16_t i = 0; i < kFrames; ++i) {
            rte_mbuf* mbuf = memory().pools.packet();
            frames[i] = mbuf;
            const std::uint16_t size =
                static_cast<std::uint16_t>((tunnel_ ? 50 : 0) + 54 + kPayload);
            auto* to = reinterpret_cast<std::byte*>(rte_pktmbuf_append(mbuf, size));
            std::memset(to, 0, size);
            at = {};
            std::byte* inner = to;
            if (tunnel_) {
                ip(to + 14, size - 14U, net::ip_protocol::kUdp, i);
                auto* udp = reinterpret_cast<net::UdpHeader*>(to + 34);
                udp->source = net::Be16::of(50000);
                udp->destination = net::Be16::of(4789);
                udp->length = net::Be16::of(static_cast<std::uint16_t>(size - 34));
                *reinterpret_cast<net::VxlanHeader*>(to + 42) = net::VxlanHeader::of({7});
                reinterpret_cast<net::EthernetHeader*>(to)->type = net::ether_type::kIpv4;
                inner += 50;
                at.outer_l3 = 14;
                at.udp = 34;
                at.inner = 50;
            }
            at.l3 = static_cast<std::uint16_t>(at.inner + 14);
            at.l4 = static_cast<std::uint16_t>(at.l3 + 20);
            at.payload = static_cast<std::uint16_t>(at.l4 + 20);
            reinterpret_cast<net::EthernetHeader*>(inner)->type = net::ether_type::kIpv4;
            ip(inner + 14, 40U + kPayload, net::ip_protocol::kTcp, i);
            auto* tcp = reinterpret_cast<net::TcpHeader*>(inner + 34);
            tcp->source = net::Be16::of(1);
            tcp->destination = net::Be16::of(2);
            tcp->sequence = net::Be32::of(1U + std::uint32_t{i} * kPayload);
            tcp->offset_reserved = 0x50;
            tcp->flags = net::TcpHeader::kAck;
            for (std::uint16_t b = 0; b < kPayload; ++b)
                inner[54 + b] = static_cast<std::byte>(b * 7 + i);
            step::finish_headers(to, at, size, net::fold(net::add_bytes(0, inner + 54, kPayload)),
                                 net::Be16::of(i), net::Be16::of(i));
            mbuf->packet_type = tunnel_
                                    ? RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP |
                                          RTE_PTYPE_TUNNEL_VXLAN | RTE_PTYPE_INNER_L2_ETHER |
                                          RTE_PTYPE_INNER_L3_IPV4 | RTE_PTYPE_INNER_L4_TCP
                                    : RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
            mbuf->l2_len = tunnel_ ? 30 : 14;
            mbuf->l3_len = 20;
            mbuf->l4_len = 20;
            mbuf->outer_l2_len = tunnel_ ? 14 : 0;
            mbuf->outer_l3_len = tunnel_ ? 20 : 0;
        }
    }
    std::array<rte_mbuf*, step::TcpMerger::kRoom> frames{};
    std::uint16_t left = 0;
    step::TcpFrame at;

  private:
    static void ip(std::byte* to, std::uint32_t size, std::uint8_t protocol, std::uint16_t id) {
        auto* header = reinterpret_cast<net::Ipv4Header*>(to);
        header->version_ihl = 0x45;
        header->total_length = net::Be16::of(static_cast<std::uint16_t>(size));
        header->id = net::Be16::of(id);
        header->ttl = 64;
        header->protocol = protocol;
        header->source = net::Ipv4Address::of(10, 0, 0, 2);
        header->destination = net::Ipv4Address::of(10, 0, 0, 1);
    }
    bool tunnel_;
};

constexpr double kBytes = double{kFrames} * kPayload;

enum class What : std::uint8_t { merge, merge_trusted, rte, cut };

void run(benchmark::State& state, What what, bool tunnel) {
    table::Tables tables;
    table::PortEntry entry;
    entry.role = table::PortRole::underlay;
    entry.max_frame = 1614;
    entry.trusted_sums = what == What::merge_trusted ? packet::kAllRxSums : packet::RxSums{0};
    tables.ports = table::Shared{std::vector<table::PortEntry>{entry}};
    tables.dstports = std::make_shared<const table::FlatMap>(
        std::vector<std::pair<std::uint64_t, std::uint32_t>>{{4789, 0}});
    auto merger = std::make_unique<step::TcpMerger>();
    Burst burst(tunnel);
    rte_gro_param param{};
    param.gro_types = RTE_GRO_TCP_IPV4 | RTE_GRO_IPV4_VXLAN_TCP_IPV4;
    param.max_flow_num = 8;
    param.max_item_per_flow = 64;
    std::array<rte_mbuf*, step::TcpMerger::kRoom> pieces{};
    std::uint16_t count = 0;
    bool good = true;
    const auto merge = [&] {
        step::MergeTally tally;
        burst.left = merger->run(burst.frames.data(), kFrames, tables, 0, memory().pools, tally);
    };
    const auto prepare = [&] {
        rte_pktmbuf_free_bulk(burst.frames.data(), burst.left);
        rte_pktmbuf_free_bulk(pieces.data(), count);
        count = burst.left = 0;
        burst.make();
        if (what == What::merge_trusted)
            for (std::uint16_t i = 0; i < kFrames; ++i)
                burst.frames[i]->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
        if (what == What::cut) merge();
    };
    count_cycles(state, kBytes, prepare, [&] {
        switch (what) {
            case What::merge:
            case What::merge_trusted:
                merge();
                break;
            case What::rte:
                burst.left = rte_gro_reassemble_burst(burst.frames.data(), kFrames, &param);
                break;
            case What::cut: {
                path::Segmenter segmenter(burst.frames[0], memory().pools);
                while (rte_mbuf* one = segmenter.next()) pieces[count++] = one;
                burst.left = 0;
                break;
            }
        }
        good = good && (what == What::cut ? count == kFrames : burst.left == 1);
    });
    rte_pktmbuf_free_bulk(burst.frames.data(), burst.left);
    rte_pktmbuf_free_bulk(pieces.data(), count);
    if (!good) state.SkipWithError("not merged into one, or not cut into all");
}

}  // namespace
}  // namespace vxplane::bench

int main(int argc, char** argv) {
    using namespace vxplane::bench;
    const auto add = [](const char* name, What what, bool tunnel) {
        benchmark::RegisterBenchmark(name, [what, tunnel](benchmark::State& state) {
            run(state, what, tunnel);
        })->UseManualTime();
    };
    add("merge/plain", What::merge, false);
    add("merge/plain/trusted", What::merge_trusted, false);
    add("merge/vxlan", What::merge, true);
    add("rte_gro/plain", What::rte, false);
    add("rte_gro/vxlan", What::rte, true);
    add("cut/plain", What::cut, false);
    add("cut/vxlan", What::cut, true);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
