// Starts EAL for the test program and builds frames.
#include "lab.hpp"

#include <rte_ethdev.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <thread>

#include "dataplane/port/hugepages.hpp"

/// libxdp keeps the description of a closed socket's memory when net_af_xdp closes it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
    return "leak:xsk_umem__create\n";
}

namespace vxplane::port::test {
namespace {

std::atomic<std::size_t> lines{0};
EalInfo info;

class Environment : public ::testing::Environment {
  public:
    void SetUp() override {
        const unsigned cpu = usable_cpus().front();
        EalOptions options;
        options.program = "port-test";
        options.control_cpu = cpu;
        options.worker_cpus = {cpu, cpu};
        options.memory_bytes = 256ULL << 20;
        options.hugepages = EalOptions::Hugepages::off;
        options.file_prefix = "port-test-" + std::to_string(::getpid());
        options.log_line = [](int, std::string_view) { ++lines; };
        auto started = start_eal(options);
        if (!started) {
            std::fprintf(stderr, "%s\n", started.failure().text.c_str());
            std::exit(1);
        }
        info = *started;
    }
    void TearDown() override {
        stop_eal();
        std::filesystem::remove_all("/var/run/dpdk/port-test-" + std::to_string(::getpid()));
    }
};

[[maybe_unused]] const auto* const environment =
    ::testing::AddGlobalTestEnvironment(new Environment);

}  // namespace

const EalInfo& eal() {
    return info;
}
std::size_t logged_lines() {
    return lines;
}

Frame a_frame(std::size_t size, std::uint8_t seed) {
    Frame frame(size);
    std::iota(frame.begin(), frame.end(), seed);
    const std::uint8_t header[14] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02,
                                     0x00, 0x00, 0x00, 0x00, 0x07, 0x88, 0xB5};
    std::copy(std::begin(header), std::end(header), frame.begin());
    return frame;
}

Frame bytes_of(const rte_mbuf* mbuf) {
    Frame frame;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
        frame.insert(frame.end(), data, data + mbuf->data_len);
    }
    return frame;
}

rte_mbuf* whole(const Pools& pools, const Frame& frame) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pools.packets);
    std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size())), frame.data(),
                frame.size());
    return mbuf;
}

rte_mbuf* chained(const Pools& pools, const Frame& frame) {
    constexpr std::uint16_t header_bytes = 50;
    rte_mbuf* payload = whole(pools, Frame(frame.begin() + header_bytes, frame.end()));
    rte_mbuf* shared = rte_pktmbuf_clone(payload, pools.headers);
    rte_pktmbuf_free(payload);
    rte_mbuf* header = rte_pktmbuf_alloc(pools.headers);
    std::memcpy(rte_pktmbuf_append(header, header_bytes), frame.data(), header_bytes);
    rte_pktmbuf_chain(header, shared);
    return header;
}

bool send(const Port& port, rte_mbuf* mbuf) {
    if (rte_eth_tx_burst(port.id(), 0, &mbuf, 1) == 1) return true;
    rte_pktmbuf_free(mbuf);
    return false;
}

Frame receive(const Port& port) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    while (std::chrono::steady_clock::now() < end) {
        for (std::uint16_t queue = 0; queue < port.rx_queues(); ++queue) {
            rte_mbuf* mbuf = nullptr;
            if (rte_eth_rx_burst(port.id(), queue, &mbuf, 1) != 1) continue;
            Frame frame = bytes_of(mbuf);
            rte_pktmbuf_free(mbuf);
            if (frame.size() > 14 && frame[12] == 0x88 && frame[13] == 0xB5) return frame;
        }
        std::this_thread::sleep_for(std::chrono::microseconds{200});
    }
    return {};
}

void write_capture(const std::string& path, const std::vector<Frame>& frames) {
    std::ofstream file{path, std::ios::binary};
    const auto put = [&](std::initializer_list<std::uint32_t> words) {
        for (const std::uint32_t word : words)
            file.write(reinterpret_cast<const char*>(&word), sizeof word);
    };
    put({0xA1B2C3D4, 0x00040002, 0, 0, 65535, 1});
    for (const Frame& frame : frames) {
        const auto size = static_cast<std::uint32_t>(frame.size());
        put({0, 0, size, size});
        file.write(reinterpret_cast<const char*>(frame.data()), size);
    }
}

std::vector<Frame> read_capture(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    std::vector<Frame> frames;
    file.seekg(24);
    std::uint32_t record[4];
    while (file.read(reinterpret_cast<char*>(record), sizeof record)) {
        Frame frame(record[2]);
        file.read(reinterpret_cast<char*>(frame.data()), record[2]);
        frames.push_back(frame);
    }
    return frames;
}

void PortTest::SetUp() {
    PoolSizes sizes;
    sizes.packets = 8191;
    sizes.headers = 1023;
    auto set = PoolSet::make(sizes, {});
    ASSERT_TRUE(set.ok()) << set.failure().text;
    set_ = std::move(*set);
    std::string pattern = (std::filesystem::temp_directory_path() / "port-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    scratch_ = pattern;
}

void PortTest::TearDown() {
    if (set_) {
        EXPECT_LE(set_->in_use(), lost_) << "buffers were not given back";
    }
    if (!scratch_.empty()) std::filesystem::remove_all(scratch_);
}

PortOptions PortTest::options(const std::string& device) const {
    PortOptions made;
    made.name = std::string{"p"};
    made.device = device;
    made.rx_descriptors = 256;
    made.tx_descriptors = 256;
    made.lock_directory = file("lock");
    return made;
}

std::unique_ptr<Port> PortTest::started(const PortOptions& wanted) const {
    auto port = open_port(wanted, *set_);
    if (!port) {
        ADD_FAILURE() << port.failure().text;
        return nullptr;
    }
    const Outcome start = (*port)->start();
    if (!start) {
        ADD_FAILURE() << start.failure().text;
        return nullptr;
    }
    return std::move(*port);
}

std::string PortTest::refusal(const std::string& device) const {
    const auto port = open_port(options(device), *set_);
    if (!port) return port.failure().text;
    ADD_FAILURE() << device << " opened";
    return {};
}

std::string interface_name(const std::string& end) {
    return "vx" + std::to_string(::getpid() % 1000000) + end;
}

}  // namespace vxplane::port::test
