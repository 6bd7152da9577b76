// Builds EAL's argument list and starts it. The list is made apart from the start, so that what is
// refused can be tested without starting anything.
#include "dataplane/port/eal.hpp"

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include <algorithm>
#include <set>

#include "dataplane/port/hugepages.hpp"
#include "dataplane/port/log_stream.hpp"

namespace vxplane::port {
namespace {

constexpr std::uint64_t megabyte = 1ULL << 20;

bool running = false;
bool used_up = false;

std::string joined(const std::vector<std::string>& words, const char* between) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
    return text;
}

std::vector<std::string> texts(const std::vector<unsigned>& numbers) {
    std::vector<std::string> words;
    for (const unsigned number : numbers) words.push_back(std::to_string(number));
    return words;
}

Outcome check_cpus(const EalOptions& options) {
    if (options.worker_cpus.size() + 1 > RTE_MAX_LCORE)
        return Failure{std::to_string(options.worker_cpus.size()) +
                       " workers are asked for, but DPDK was built for " +
                       std::to_string(RTE_MAX_LCORE - 1)};
    const std::vector<unsigned> usable = usable_cpus();
    std::vector<std::string> refused;
    const auto check = [&](unsigned cpu, const std::string& whose) {
        if (!std::ranges::binary_search(usable, cpu))
            refused.push_back(std::string{"CPU "} + std::to_string(cpu) + " for " + whose);
    };
    check(options.control_cpu, "control");
    for (std::size_t i = 0; i < options.worker_cpus.size(); ++i)
        check(options.worker_cpus[i], std::string{"worker "} + std::to_string(i));
    if (refused.empty()) return Done{};
    return Failure{joined(refused, ", ") +
                   " does not exist or is outside the affinity mask of this process (accepted: " +
                   joined(texts(usable), ", ") + ")"};
}

std::string lcores(const EalOptions& options) {
    std::string text{"0@"};
    text += std::to_string(options.control_cpu);
    for (std::size_t i = 0; i < options.worker_cpus.size(); ++i)
        text.append(",")
            .append(std::to_string(i + 1))
            .append("@")
            .append(std::to_string(options.worker_cpus[i]));
    return text;
}

bool has_any(const std::vector<std::string>& words, std::initializer_list<const char*> options) {
    return std::ranges::any_of(words, [&](const std::string& word) {
        return std::ranges::any_of(options, [&](const std::string& option) {
            return word == option || word.starts_with(option + "=");
        });
    });
}

/// What keeps hugepages from being used, or nothing.
std::string hugepage_obstacle(const EalOptions& options, const std::vector<HugepageStock>& stock,
                              const std::set<int>& nodes, std::uint64_t bytes_per_node) {
    if (stock.empty()) return "this kernel offers no hugepages";
    for (const int node : nodes) {
        const std::uint64_t have = free_hugepage_bytes(stock, node);
        if (have >= bytes_per_node) continue;
        const std::uint64_t pages = (bytes_per_node + 2 * megabyte - 1) / (2 * megabyte);
        return std::string{"NUMA node "} + std::to_string(node) + " has " +
               std::to_string(have / megabyte) + " MB in free hugepages and " +
               std::to_string(bytes_per_node / megabyte) + " MB are needed: reserve " +
               std::to_string(pages) +
               " free pages of 2 MB per node, for example with `sysctl -w vm.nr_hugepages=" +
               std::to_string(pages * nodes.size()) + "`, or ask for less memory";
    }
    if (!options.system_root.empty()) return {};
    const bool mappable = std::ranges::any_of(stock, [](const HugepageStock& one) {
        return one.free_pages != 0 && hugepages_can_be_mapped(one.page_bytes);
    });
    if (!mappable) return "the kernel does not let this process map hugepages (memfd_create)";
    return {};
}

Outcome choose_memory(const EalOptions& options, EalInfo& info) {
    std::set<int> nodes{node_of_cpu(options.system_root, options.control_cpu)};
    if (!options.worker_cpus.empty()) nodes.clear();
    for (const unsigned cpu : options.worker_cpus)
        nodes.insert(node_of_cpu(options.system_root, cpu));

    const std::uint64_t total =
        std::max<std::uint64_t>((options.memory_bytes + megabyte - 1) / megabyte, 1);
    const std::uint64_t per_node = (total + nodes.size() - 1) / nodes.size();
    const bool wanted = options.hugepages != EalOptions::Hugepages::off;
    const auto stock = wanted ? hugepage_stock(options.system_root) : std::vector<HugepageStock>{};
    const std::string obstacle =
        wanted ? hugepage_obstacle(options, stock, nodes, per_node * megabyte) : std::string{};
    if (options.hugepages == EalOptions::Hugepages::require && !obstacle.empty())
        return Failure{"hugepages are required, but " + obstacle};

    info.hugepages = wanted && obstacle.empty();
    if (!info.hugepages) {
        if (!obstacle.empty()) info.notes.push_back("working without hugepages: " + obstacle);
        info.memory_bytes = total * megabyte;
        info.page_bytes = 4096;
        info.arguments.insert(info.arguments.end(),
                              {"--no-huge", "--no-shconf", "-m", std::to_string(total)});
        return Done{};
    }
    for (const HugepageStock& one : stock)
        if (one.free_pages != 0) info.page_bytes = std::max(info.page_bytes, one.page_bytes);
    info.memory_bytes = per_node * nodes.size() * megabyte;
    info.arguments.emplace_back("--in-memory");
    if (nodes.size() == 1 && *nodes.begin() == 0) {
        info.arguments.insert(info.arguments.end(), {"-m", std::to_string(per_node)});
        return Done{};
    }
    std::vector<std::string> shares;
    for (int node = 0; node <= *nodes.rbegin(); ++node)
        shares.push_back(nodes.contains(node) ? std::to_string(per_node) : "0");
    info.arguments.insert(info.arguments.end(), {"--socket-mem", joined(shares, ",")});
    return Done{};
}

int largest_page(const rte_memseg_list* list, void* into) {
    auto& page_bytes = *static_cast<std::uint64_t*>(into);
    if (list->external == 0 && list->memseg_arr.count != 0)
        page_bytes = std::max(page_bytes, list->page_sz);
    return 0;
}

}  // namespace

Expected<EalInfo> plan_eal(const EalOptions& options) noexcept {
    if (const Outcome cpus = check_cpus(options); !cpus) return cpus.failure();
    EalInfo info;
    info.arguments = {options.program, "--lcores", lcores(options), "--main-lcore", "0"};
    if (const Outcome memory = choose_memory(options, info); !memory) return memory.failure();
    if (!options.file_prefix.empty())
        info.arguments.insert(info.arguments.end(), {"--file-prefix", options.file_prefix});
    if (!options.pci) {
        info.arguments.insert(info.arguments.end(), {"--no-pci", "--iova-mode=va"});
    } else if (!has_any(options.extra, {"-a", "--allow", "-b", "--block"})) {
        // An address that cannot exist: EAL then takes no device by itself, and each port is
        // attached when it is opened.
        info.arguments.insert(info.arguments.end(), {"-a", "0000:00:00.0"});
    }
    info.arguments.insert(info.arguments.end(), options.extra.begin(), options.extra.end());
    info.text = joined(info.arguments, " ");
    return info;
}

Expected<EalInfo> start_eal(const EalOptions& options) noexcept {
    if (used_up)
        return Failure{running ? "DPDK is running already in this process"
                               : "DPDK cannot be started again in the same process"};
    Expected<EalInfo> plan = plan_eal(options);
    if (!plan) return plan;

    // DPDK keeps pointers into its arguments for the life of the process.
    static std::vector<std::string> kept;
    static std::vector<char*> pointers;
    kept = plan->arguments;
    for (std::string& argument : kept) pointers.push_back(argument.data());
    pointers.push_back(nullptr);

    open_log_stream(options.log_line);
    used_up = true;
    const LogCapture log;
    if (rte_eal_init(static_cast<int>(kept.size()), pointers.data()) < 0) {
        std::string text = "DPDK did not start: " + std::string{rte_strerror(rte_errno)};
        if (const std::string said = log.text(); !said.empty()) text += " (" + said + ")";
        return Failure{text + ". Tried: " + plan->text};
    }
    running = true;
    plan->hugepages = rte_eal_has_hugepages() != 0;
    std::uint64_t page_bytes = 0;
    rte_memseg_list_walk(largest_page, &page_bytes);
    if (page_bytes != 0) plan->page_bytes = page_bytes;
    return plan;
}

void stop_eal() noexcept {
    if (!running) return;
    running = false;
    rte_eal_cleanup();
}

}  // namespace vxplane::port
