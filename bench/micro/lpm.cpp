// What one lookup in a routing table costs, by family and number of routes; and what the table
// weighs. Routes are random in the lengths that the Internet's tables mostly have (IPv4 /16 to /24,
// IPv6 /32 to /48 within 2000::/12), addresses are random ones inside of them.
#include <array>
#include <random>
#include <vector>

#include "bench/micro/rounds.hpp"
#include "dataplane/table/lpm.hpp"

namespace vxplane::bench {
namespace {

constexpr std::size_t kLookups = 1 << 16;

template <unsigned Bytes>
void look_up(benchmark::State& state, std::uint32_t routes) {
    using Table = table::Lpm<Bytes>;
    using Bits = typename Table::Bits;
    Table table{routes};
    std::mt19937_64 random{routes};
    std::vector<Bits> prefixes;
    while (prefixes.size() < routes) {
        Bits prefix{};
        const auto bytes = routes == 1 ? 0 : Bytes == 4 ? 2 + random() % 2 : 4 + random() % 3;
        for (unsigned i = 0; i < bytes; ++i) {
            prefix[i] = static_cast<std::uint8_t>(random());
        }
        if (Bytes == 16 && bytes != 0) {
            prefix[0] = 0x20;
            prefix[1] &= 0x0F;
        }
        if (table.find(prefix.data(), static_cast<std::uint8_t>(bytes * 8)) != 0) {
            continue;
        }
        if (!table.add(prefix.data(), static_cast<std::uint8_t>(bytes * 8), 1)) {
            state.SkipWithError("a route was refused");
            return;
        }
        table.begin_grace();
        table.end_grace();
        prefixes.push_back(prefix);
    }
    std::vector<Bits> addresses(kLookups);
    for (Bits& address : addresses) {
        address = prefixes[random() % prefixes.size()];
        address.back() = static_cast<std::uint8_t>(random());
    }
    std::uint64_t found = 0;
    count_cycles(state, kLookups, [&] {
        for (const Bits& address : addresses) {
            found += table.lookup(address.data());
        }
    });
    if (found == 0) {
        state.SkipWithError("nothing was found");
    }
    state.counters["KiB"] = static_cast<double>(table.memory_bytes()) / 1024;
}

}  // namespace
}  // namespace vxplane::bench

int main(int argc, char** argv) {
    using namespace vxplane::bench;
    for (const std::uint32_t routes : {1U, 1'000U, 1'000'000U}) {
        const std::string count = std::to_string(routes);
        benchmark::RegisterBenchmark(("lpm/v4/" + count).c_str(), look_up<4>, routes)
            ->UseManualTime();
        benchmark::RegisterBenchmark(("lpm/v6/" + count).c_str(), look_up<16>, routes)
            ->UseManualTime();
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
