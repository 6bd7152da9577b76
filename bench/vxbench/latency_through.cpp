// Latency through another process: the tester holds one end of two vdevs, a VTEP or a bare
// forwarder the other ends.
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "bench/vxbench/latency_report.hpp"
#include "bench/vxbench/rig.hpp"

namespace vxplane::bench {
namespace {

/// The frames of a pcap file in this machine's byte order.
FrameTexts read_frames(const std::string& file) {
    std::ifstream in{file, std::ios::binary};
    const std::string data{std::istreambuf_iterator<char>{in}, {}};
    constexpr std::size_t kFileHeader = 24;
    constexpr std::size_t kRecordHeader = 16;
    constexpr std::size_t kLeast = 60;
    FrameTexts frames;
    for (std::size_t at = kFileHeader; at + kRecordHeader <= data.size();) {
        std::uint32_t length = 0;
        std::memcpy(&length, data.data() + at + 8, sizeof length);
        at += kRecordHeader;
        if (length < kLeast || length > data.size() - at) {
            give_up(file + ": a frame of " + std::to_string(length) + " bytes");
        }
        frames.push_back(data.substr(at, length));
        at += length;
    }
    if (frames.empty()) {
        give_up(file + " has no frames");
    }
    return frames;
}

void start_port(std::uint16_t id, rte_mempool* pool) {
    const rte_eth_conf conf{};
    int code = rte_eth_dev_configure(id, 1, 1, &conf);
    code = code == 0 ? rte_eth_rx_queue_setup(id, 0, 1024, SOCKET_ID_ANY, nullptr, pool) : code;
    code = code == 0 ? rte_eth_tx_queue_setup(id, 0, 1024, SOCKET_ID_ANY, nullptr) : code;
    code = code == 0 ? rte_eth_dev_start(id) : code;
    if (code != 0) {
        give_up("port " + std::to_string(id) + ": " + rte_strerror(-code));
    }
    const std::uint64_t end = rte_rdtsc() + 60 * rte_get_tsc_hz();
    rte_eth_link link{};
    while (rte_eth_link_get_nowait(id, &link) == 0 && link.link_status == RTE_ETH_LINK_DOWN) {
        if (rte_rdtsc() > end) {
            give_up("port " + std::to_string(id) + " has no link: is the other process there?");
        }
        rte_delay_ms(10);
    }
}

}  // namespace

std::vector<Row> measure_through(const LatencyOptions& options, double hz) {
    port::PoolSizes sizes;
    sizes.packets = 16'384;
    sizes.headers = 1024;
    auto pools = port::PoolSet::make(sizes, {});
    if (!pools) {
        give_up(pools.failure().text);
    }
    rte_mempool* pool = (*pools)->of(-1).packets;
    constexpr std::uint16_t kOut = 0;
    constexpr std::uint16_t kIn = 1;
    start_port(kOut, pool);
    start_port(kIn, pool);
    PortWire wire(kOut, kIn);
    Tester tester(wire, pool, read_frames(options.frames));
    const auto cycles_of = [hz](double seconds) {
        return static_cast<std::uint64_t>(seconds * hz);
    };

    // The other process may take its time with the ports.
    Passage first;
    for (int i = 0; i < 50 && first.received == 0; ++i) {
        tester.run_flood(cycles_of(0.1), first);
    }
    if (first.received == 0) {
        give_up("nothing comes back");
    }
    double most = options.most;
    if (most == 0) {
        std::vector<double> rates;
        for (int i = 0; i < 5; ++i) {
            Passage passage;
            tester.run_flood(cycles_of(0.2), passage);
            rates.push_back(static_cast<double>(passage.received) * hz /
                            static_cast<double>(passage.cycles));
        }
        most = std::max(1000.0, middle_of(rates));
    }
    std::vector<Row> rows;
    for (const double load : options.loads) {
        Row row;
        row.who = options.label;
        row.load = load;
        row.offered = most * load / 100;
        rows.push_back(row);
    }
    for (std::uint32_t round = 0; round < options.rounds; ++round) {
        for (Row& row : rows) {
            Passage passage;
            tester.run_paced(hz / row.offered, cycles_of(options.seconds), passage);
            row.add(passage, hz);
        }
    }
    for (const std::uint16_t id : {kOut, kIn}) {
        rte_eth_dev_stop(id);
        rte_eth_dev_close(id);
    }
    return rows;
}

}  // namespace vxplane::bench
