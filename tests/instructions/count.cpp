// What valgrind's callgrind counts for the gate on instructions per packet: the real worker loop on
// ports in memory, and single steps. Each part is collected alone and dumped under its name; stdout
// says how many packets it was. Run by gate.py.
#include <valgrind/callgrind.h>

#include <rte_version.h>
#include <cstdio>
#include <memory>

#include "bench/micro/scene.hpp"
#include "bench/vxbench/rig.hpp"
#include "bench/vxbench/slave_stand.hpp"
#include "dataplane/port/eal.hpp"
#include "dataplane/step/add_tunnel.hpp"
#include "dataplane/step/check_inner.hpp"
#include "dataplane/step/check_udp.hpp"
#include "dataplane/step/classify_underlay.hpp"
#include "dataplane/step/find_segment.hpp"
#include "dataplane/step/read_flow.hpp"
#include "dataplane/step/strip_tunnel.hpp"

namespace vxplane::bench {
namespace {

template <class Work>
void collect(Work&& work) {
    CALLGRIND_START_INSTRUMENTATION;
    work();
    CALLGRIND_STOP_INSTRUMENTATION;
}

/// Ends a part: callgrind writes what it collected since the last one.
void end_part(const char* name, std::uint32_t packets) {
    CALLGRIND_DUMP_STATS_AT(name);
    std::printf("part %s %u\n", name, packets);
}

struct LoopPart {
    const char* name;
    Case what;
};

const LoopPart loop_parts[] = {
    {"loop.encap.1_mac", {Direction::encap, false, 1, 1, 64}},
    {"loop.encap", {Direction::encap, false, 1'000, 1, 64}},
    {"loop.encap.learning", {Direction::encap, true, 1'000, 1, 64}},
    {"loop.encap.100_vnis", {Direction::encap, false, 1'000, 100, 64}},
    {"loop.decap.1_mac", {Direction::decap, false, 1, 1, 64}},
    {"loop.decap", {Direction::decap, false, 1'000, 1, 64}},
    {"loop.decap.learning", {Direction::decap, true, 1'000, 1, 64}},
    {"loop.decap.100_vnis", {Direction::decap, false, 1'000, 100, 64}},
};

void count_loop() {
    Options options;
    options.batch = 1024;
    Bench bench(options);
    const PortIds ports{bench.access().port().id(), bench.underlay().port().id()};
    for (const LoopPart& part : loop_parts) {
        Stand stand(bench, part.what, std::make_shared<const Network>(part.what, options, ports),
                    options);
        // The first batches stamp addresses as seen and fill the caches of pools.
        constexpr std::uint32_t kWarm = 2;
        constexpr std::uint32_t kCounted = 2;
        for (std::uint32_t i = 0; i < kWarm + kCounted; ++i) {
            stand.prepare();
            if (i < kWarm) {
                stand.poll_all();
            } else {
                collect([&] { stand.poll_all(); });
            }
            stand.check();
        }
        end_part(part.name, kCounted * options.batch);
    }
}

struct SlavePart {
    const char* name;
    SlaveCase what;
};

const SlavePart slave_parts[] = {
    {"slave.to_wire", {SlaveWay::to_wire, 100, 1'000, 0}},
    {"slave.to_wire.connected", {SlaveWay::to_wire, 100, 1'000, 1'000}},
    {"slave.to_wire.tcp", {SlaveWay::to_wire, 100, 1'000, 1'000, false, true}},
    {"slave.to_wire.translated", {SlaveWay::to_wire, 100, 1'000, 1'000, true}},
    {"slave.from_wire", {SlaveWay::from_wire, 100, 1, 0}},
    {"slave.from_wire.connected", {SlaveWay::from_wire, 100, 1, 1'000}},
    {"slave.from_wire.translated", {SlaveWay::from_wire, 100, 1, 1'000, true}},
    {"slave.to_sibling", {SlaveWay::to_sibling, 100, 1, 0}},
    {"slave.to_segment", {SlaveWay::to_segment, 100, 1'000, 0}},
};

void count_slaves() {
    Options options;
    options.batch = 1024;
    Bench bench(options);
    for (const SlavePart& part : slave_parts) {
        SlaveStand stand(bench, part.what, options.batch);
        constexpr std::uint32_t kWarm = 8;  // confirms connections, and settles what is replied
        constexpr std::uint32_t kCounted = 2;
        for (std::uint32_t i = 0; i < kWarm + kCounted; ++i) {
            stand.fill();
            if (i < kWarm) {
                stand.poll_all();
            } else {
                collect([&] { stand.poll_all(); });
            }
            stand.drain();
        }
        end_part(part.name, kCounted * options.batch);
    }
}

template <class... Steps>
void count_steps(const char* name, bool tunnelled, bool udp_checksum = false) {
    Scene scene(udp_checksum);
    if (tunnelled) {
        scene.buffers.make_outer();
        write_outer(scene);
        scene.begin(1);
    } else {
        scene.buffers.make_inner();
        scene.begin(0);
    }
    bool good = true;
    collect([&] { good = scene.run<Steps...>(); });
    if (!good) {
        give_up(std::string{name} + ": the packets did not go all the way");
    }
    end_part(name, kPackets);
}

void count_lookups() {
    // Many, for the hash has another seed each time.
    constexpr std::uint32_t kEntries = 20'000;
    table::Fdb fdb(kEntries);
    const auto key = [](std::uint32_t i) {
        return table::FdbKey::make(0x0200'0000'0000ULL | i * 2'654'435'761U, 0);
    };
    for (std::uint32_t i = 0; i < kEntries; ++i) {
        fdb.put(key(i),
                table::FdbValue::make(table::FdbKind::tunnel, i, table::FdbState::dynamic, 0));
    }
    std::vector<table::FdbKey> keys;
    for (std::uint32_t i = 0; i < kEntries; ++i) {
        keys.push_back(key(i));
    }
    std::uint32_t found = 0;
    const auto lookup_all = [&] {
        for (const table::FdbKey one : keys) {
            found += fdb.find(one, fdb.bucket_of(one)) ? 1U : 0U;
        }
    };
    collect(lookup_all);
    if (found != kEntries) {
        give_up("step.fdb_lookup: entries are missing");
    }
    end_part("step.fdb_lookup", kEntries);
}

void start() {
    port::EalOptions eal;
    eal.program = "count-instructions";
    eal.memory_bytes = 32ULL << 20;
    eal.hugepages = port::EalOptions::Hugepages::off;
    eal.extra = {"--no-telemetry", "--log-level=error"};
    if (const auto started = port::start_eal(eal); !started) {
        give_up(started.failure().text);
    }
}

}  // namespace
}  // namespace vxplane::bench

int main() {
    using namespace vxplane::bench;
    using namespace vxplane::step;
    std::printf("compiler g++ %d\ndpdk %s\n", __GNUC__, rte_version());
    // What was collected before the first part is nobody's.
    CALLGRIND_STOP_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    count_steps<ReadFlow>("step.read_flow", false);
    count_steps<AddTunnel>("step.add_tunnel", false);
    count_steps<AddTunnel>("step.add_tunnel.udp_checksum", false, true);
    count_steps<ClassifyUnderlay, CheckUdp, FindSegment>("steps.outer", true);
    count_steps<ClassifyUnderlay, CheckUdp, FindSegment, CheckInner, StripTunnel>("steps.decap",
                                                                                  true);
    count_lookups();
    start();
    count_loop();
    count_slaves();
    vxplane::port::stop_eal();
    return 0;
}
