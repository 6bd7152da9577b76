// What one lookup in the forwarding database costs, beside DPDK's rte_hash and beside variants of
// our own. Prints Google Benchmark's lines, then one table: cycles per lookup, least of all rounds.
// Arguments of its own: --huge lets the EAL (hence rte_hash) use huge pages, as our table does.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_malloc.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/micro/fdb_branching.hpp"
#include "dataplane/table/fdb.hpp"

namespace vxplane::bench {
namespace {

using table::Fdb;
using table::FdbKey;
using table::FdbKind;
using table::FdbState;
using table::FdbValue;

constexpr std::uint32_t burst = 32;
constexpr std::uint32_t bursts_per_round = 256;
constexpr std::array<std::uint32_t, 5> sizes{16, 1'000, 16'000, 100'000, 1'000'000};
using Keys = std::array<std::uint64_t, burst>;
/// What was measured: row -> column (a size) -> figure.
std::map<std::string, std::map<std::uint32_t, double>> cycles;
std::vector<std::string> row_order;
std::map<std::string, std::string> remarks;

/// Entries in random places of 16 segments, and a stream of lookups in an order of its own.
struct Workload {
    std::vector<std::uint64_t> keys;
    std::vector<Keys> stream;

    explicit Workload(std::uint32_t count) {
        std::mt19937_64 random{count};
        keys.resize(count);
        for (std::uint32_t i = 0; i < count; ++i) {
            // Unicast, locally administered.
            const std::uint64_t mac = (random() & 0xfcff'ffff'ffffULL) | 0x0200'0000'0000ULL;
            keys[i] = FdbKey::make(mac, static_cast<std::uint16_t>(i % 16)).raw;
        }
        stream.resize(std::max<std::size_t>(std::size_t{2} * count / burst, 64 * bursts_per_round) /
                      bursts_per_round * bursts_per_round);
        for (auto& some : stream) {
            for (auto& key : some) {
                key = keys[random() % count];
            }
        }
    }
};

Workload& workload(std::uint32_t count) {
    static std::map<std::uint32_t, Workload> made;
    return made.try_emplace(count, count).first->second;
}

Fdb& filled_fdb(std::uint32_t count) {
    static std::map<std::uint32_t, Fdb> made;
    const auto [at, is_new] = made.try_emplace(count, count);
    if (is_new) {
        for (const auto key : workload(count).keys) {
            at->second.put(FdbKey{key},
                           FdbValue::make(FdbKind::tunnel, key % 4096, FdbState::dynamic, 0));
        }
    }
    return at->second;
}

/// Runs `lookup(const Keys&)` over the stream; the least and the middle round go to the report.
template <class Lookup>
void measure(benchmark::State& state, const std::string& row, std::uint32_t column,
             const std::vector<Keys>& stream, Lookup&& lookup) {
    std::vector<double> rounds;
    std::size_t at = 0;
    for (auto _ : state) {
        const std::uint64_t start = rte_rdtsc_precise();
        for (std::uint32_t i = 0; i < bursts_per_round; ++i) {
            lookup(stream[at + i]);
        }
        const std::uint64_t stop = rte_rdtsc_precise();
        rounds.push_back(static_cast<double>(stop - start) / (bursts_per_round * burst));
        at = (at + bursts_per_round) % stream.size();
    }
    std::sort(rounds.begin(), rounds.end());
    state.counters["cycles_min"] = rounds.front();
    state.counters["cycles_median"] = rounds[rounds.size() / 2];
    if (!cycles.contains(row)) {
        row_order.push_back(row);
    }
    cycles[row][column] = rounds.front();
}

enum class Prefetch : std::uint8_t { none, home, home_and_next };

template <class Isa, Prefetch prefetch>
void fdb_lookup(benchmark::State& state, const std::string& row, std::uint32_t count) {
    const Fdb& fdb = filled_fdb(count);
    const std::uint32_t last = fdb.bucket_count() - 1;
    measure(state, row, count, workload(count).stream, [&](const Keys& keys) {
        std::array<std::uint32_t, burst> buckets;
        std::array<FdbValue, burst> values;
        for (std::uint32_t i = 0; i < burst; ++i) {
            buckets[i] = fdb.bucket_of(FdbKey{keys[i]});
            if constexpr (prefetch != Prefetch::none) {
                fdb.prefetch(buckets[i]);
            }
            if constexpr (prefetch == Prefetch::home_and_next) {
                fdb.prefetch((buckets[i] + 1) & last);
            }
        }
        for (std::uint32_t i = 0; i < burst; ++i) {
            values[i] = fdb.find_by<Isa>(FdbKey{keys[i]}, buckets[i]).value;
        }
        benchmark::DoNotOptimize(values);
        benchmark::ClobberMemory();
    });
}

/// The stream with every second lookup a miss, as unknown senders cause.
std::vector<Keys> half_misses(std::uint32_t count) {
    auto stream = workload(count).stream;
    std::mt19937_64 random{5};
    for (auto& keys : stream) {
        for (auto& key : keys) {
            key ^= (random() & 1) << 56;  // the group bit: no such address is stored
        }
    }
    return stream;
}

template <class Table>
void look_up_all(benchmark::State& state, const std::string& row, std::uint32_t count,
                 const Table& fdb, const std::vector<Keys>& stream) {
    measure(state, row, count, stream, [&](const Keys& keys) {
        std::array<std::uint32_t, burst> buckets;
        std::array<FdbValue, burst> values;
        for (std::uint32_t i = 0; i < burst; ++i) {
            buckets[i] = fdb.bucket_of(FdbKey{keys[i]});
            fdb.prefetch(buckets[i]);
        }
        for (std::uint32_t i = 0; i < burst; ++i) {
            values[i] = fdb.find(FdbKey{keys[i]}, buckets[i]).value;
        }
        benchmark::DoNotOptimize(values);
        benchmark::ClobberMemory();
    });
}

void fdb_half_misses(benchmark::State& state, const std::string& row, std::uint32_t count) {
    look_up_all(state, row, count, filled_fdb(count), half_misses(count));
}

void branching_hits(benchmark::State& state, const std::string& row, std::uint32_t count) {
    look_up_all(state, row, count, BranchingFdb{filled_fdb(count)}, workload(count).stream);
}

void branching_half_misses(benchmark::State& state, const std::string& row, std::uint32_t count) {
    look_up_all(state, row, count, BranchingFdb{filled_fdb(count)}, half_misses(count));
}

using HashPointer =
    std::unique_ptr<rte_hash, decltype([](rte_hash* hash) { rte_hash_free(hash); })>;

HashPointer new_hash(std::uint32_t count) {
    static unsigned number = 0;
    const std::string name = "bench" + std::to_string(number++);
    rte_hash_parameters parameters{};
    parameters.name = name.c_str();
    parameters.entries = std::max(count + count / 4, 16U);  // a cuckoo table fills no further
    parameters.key_len = sizeof(std::uint64_t);
    parameters.hash_func = rte_hash_crc;
    parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF;
    rte_hash* hash = rte_hash_create(&parameters);
    if (hash == nullptr) {
        std::fprintf(stderr, "rte_hash of %u entries: %s\n", count, rte_strerror(rte_errno));
        std::exit(1);
    }
    return HashPointer{hash};
}

std::size_t add_all(rte_hash* hash, const std::vector<std::uint64_t>& keys) {
    std::size_t refused = 0;
    for (const auto key : keys) {
        auto* data = reinterpret_cast<void*>(std::uintptr_t{key % 4096 + 1});
        refused += rte_hash_add_key_data(hash, &key, data) != 0 ? 1 : 0;
    }
    return refused;
}

void rte_hash_lookup(benchmark::State& state, const std::string& row, std::uint32_t count) {
    const HashPointer hash = new_hash(count);
    if (const auto refused = add_all(hash.get(), workload(count).keys); refused != 0) {
        state.SkipWithError("rte_hash refused entries");
        return;
    }
    measure(state, row, count, workload(count).stream, [&](const Keys& keys) {
        std::array<const void*, burst> places;
        std::array<void*, burst> values;
        std::uint64_t found = 0;
        for (std::uint32_t i = 0; i < burst; ++i) {
            places[i] = &keys[i];
        }
        rte_hash_lookup_bulk_data(hash.get(), places.data(), burst, &found, values.data());
        benchmark::DoNotOptimize(found);
        benchmark::DoNotOptimize(values);
        benchmark::ClobberMemory();
    });
}

/// The hash alone, beside the cheaper one it replaced.
template <class Hash>
void hash_only(benchmark::State& state, const std::string& row, Hash&& hash) {
    measure(state, row, 1'000, workload(1'000).stream, [&](const Keys& keys) {
        std::array<std::uint32_t, burst> buckets;
        for (std::uint32_t i = 0; i < burst; ++i) {
            buckets[i] = hash(keys[i]);
        }
        benchmark::DoNotOptimize(buckets);
        benchmark::ClobberMemory();
    });
}

void remember(const char* row, double rate, double bytes) {
    std::array<char, 160> line;
    std::snprintf(line.data(), line.size(), "%-22s %5.1f M inserts/s, %5.1f bytes an entry", row,
                  rate, bytes);
    remarks[row] = line.data();
}

/// Time this thread has run, so that others on the core do not count.
double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void fdb_insert(benchmark::State& state) {
    const auto& keys = workload(1'000'000).keys;
    double best = 0;
    double bytes = 0;
    for (auto _ : state) {
        Fdb fdb{static_cast<std::uint32_t>(keys.size())};
        const double start = cpu_seconds();
        for (const auto key : keys) {
            fdb.put(FdbKey{key}, FdbValue::make(FdbKind::tunnel, 1, FdbState::dynamic, 0));
        }
        best = std::max(best, static_cast<double>(keys.size()) / (cpu_seconds() - start) / 1e6);
        bytes = static_cast<double>(fdb.memory_bytes()) / fdb.used();
    }
    state.counters["M_inserts/s"] = best;
    state.counters["bytes/entry"] = bytes;
    remember("fdb, 1 M entries:", best, bytes);
}

double rte_bytes() {
    rte_malloc_socket_stats stats{};
    rte_malloc_get_socket_stats(0, &stats);
    return static_cast<double>(stats.heap_allocsz_bytes);
}

void rte_hash_insert(benchmark::State& state) {
    const auto& keys = workload(1'000'000).keys;
    double best = 0;
    double bytes = 0;
    for (auto _ : state) {
        const double before = rte_bytes();
        const HashPointer hash = new_hash(static_cast<std::uint32_t>(keys.size()));
        const double start = cpu_seconds();
        add_all(hash.get(), keys);
        best = std::max(best, static_cast<double>(keys.size()) / (cpu_seconds() - start) / 1e6);
        bytes = (rte_bytes() - before) / static_cast<double>(keys.size());
    }
    state.counters["M_inserts/s"] = best;
    state.counters["bytes/entry"] = bytes;
    remember("rte_hash, 1 M entries:", best, bytes);
}

using Run = void (*)(benchmark::State&, const std::string&, std::uint32_t);

void register_lookup(const std::string& row, Run run) {
    for (const auto count : sizes) {
        benchmark::RegisterBenchmark((row + "/" + std::to_string(count)).c_str(),
                                     [=](benchmark::State& state) { run(state, row, count); });
    }
}

void register_all() {
    using table::IsaAvx2, table::IsaAvx512, table::IsaOfBuild, table::IsaScalar, table::IsaSse41;
    register_lookup("fdb", fdb_lookup<IsaOfBuild, Prefetch::home>);
    register_lookup("rte_hash", rte_hash_lookup);
    register_lookup("fdb_half_misses", fdb_half_misses);
    register_lookup("branching", branching_hits);
    register_lookup("branching_half_misses", branching_half_misses);
    if (__builtin_cpu_supports("avx512f")) {
        register_lookup("fdb_avx512", fdb_lookup<IsaAvx512, Prefetch::home>);
    }
    if (__builtin_cpu_supports("avx2")) {
        register_lookup("fdb_avx2", fdb_lookup<IsaAvx2, Prefetch::home>);
    }
    if (__builtin_cpu_supports("sse4.1")) {
        register_lookup("fdb_sse41", fdb_lookup<IsaSse41, Prefetch::home>);
    }
    register_lookup("fdb_scalar", fdb_lookup<IsaScalar, Prefetch::home>);
    register_lookup("fdb_no_prefetch", fdb_lookup<IsaOfBuild, Prefetch::none>);
    register_lookup("fdb_prefetch_two_lines", fdb_lookup<IsaOfBuild, Prefetch::home_and_next>);

    const auto add_hash = [](const char* row, auto hash) {
        benchmark::RegisterBenchmark(row,
                                     [=](benchmark::State& state) { hash_only(state, row, hash); });
    };
    add_hash("hash_of_fdb", [](std::uint64_t key) {
        static const Fdb& fdb = filled_fdb(1'000);
        return fdb.bucket_of(FdbKey{key});
    });
    add_hash("hash_one_product", [](std::uint64_t key) {
        __extension__ using Wide = unsigned __int128;
        const Wide product =
            static_cast<Wide>(key ^ 0x1234'5678'9abc'def1U) * 0xd6e8'feb8'6659'fd93U;
        return static_cast<std::uint32_t>((product >> 64) ^ product) & 511U;
    });
    benchmark::RegisterBenchmark("fdb_insert", fdb_insert)->Iterations(5);
    benchmark::RegisterBenchmark("rte_hash_insert", rte_hash_insert)->Iterations(5);
}

void print_table() {
    std::printf("\ncycles per lookup, least round  |");
    for (const auto count : sizes) {
        std::printf(" %8u", count);
    }
    std::printf("\n--------------------------------+%s\n",
                std::string(9 * sizes.size(), '-').c_str());
    for (const auto& row : row_order) {
        std::printf("%-31s |", row.c_str());
        for (const auto count : sizes) {
            const auto found = cycles[row].find(count);
            found == cycles[row].end() ? std::printf(" %8s", "")
                                       : std::printf(" %8.1f", found->second);
        }
        std::printf("\n");
    }
    for (const auto& [row, line] : remarks) {
        std::printf("%s\n", line.c_str());
    }
}

void start_eal(bool huge) {
    std::vector<const char*> words{"bench-fdb",      "-l", "0",  "--no-pci", "--log-level=error",
                                   "--no-telemetry", "-m", "256"};
    if (huge) {
        words.push_back("--in-memory");
    } else {
        words.insert(words.end(), {"--no-huge", "--no-shconf"});
    }
    std::vector<char*> arguments;
    for (const char* word : words) {
        arguments.push_back(strdup(word));
    }
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
        std::fprintf(stderr, "the EAL does not start: %s\n", rte_strerror(rte_errno));
        std::exit(1);
    }
}

}  // namespace
}  // namespace vxplane::bench
int main(int argc, char** argv) {
    bool huge = false;
    const auto end = std::remove_if(argv + 1, argv + argc, [&huge](const char* word) {
        const bool is_ours = std::strcmp(word, "--huge") == 0;
        huge = huge || is_ours;
        return is_ours;
    });
    argc = static_cast<int>(end - argv);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    vxplane::bench::start_eal(huge);
    vxplane::bench::register_all();
    benchmark::RunSpecifiedBenchmarks();
    vxplane::bench::print_table();
    rte_eal_cleanup();
    return 0;
}
