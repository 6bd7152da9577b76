// Readings of /sys for the start of EAL.
#include "dataplane/port/hugepages.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

namespace vxplane::port {
namespace {

namespace fs = std::filesystem;

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return std::nullopt;
    text.remove_prefix(prefix.size());
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return std::nullopt;
    return value;
}

void read_sizes(const fs::path& folder, int node, std::vector<HugepageStock>& into) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator{folder, none}) {
        const auto kilobytes = number_after(entry.path().filename().string(), "hugepages-");
        if (!kilobytes) continue;
        std::uint64_t free_pages = 0;
        std::ifstream{entry.path() / "free_hugepages"} >> free_pages;
        into.push_back({*kilobytes << 10, node, free_pages});
    }
}

}  // namespace

std::vector<HugepageStock> hugepage_stock(const std::string& root) {
    std::vector<HugepageStock> stock;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator{root + "/sys/devices/system/node", none}) {
        const auto node = number_after(entry.path().filename().string(), "node");
        if (node) read_sizes(entry.path() / "hugepages", static_cast<int>(*node), stock);
    }
    if (stock.empty()) read_sizes(root + "/sys/kernel/mm/hugepages", 0, stock);
    return stock;
}

std::uint64_t free_hugepage_bytes(const std::vector<HugepageStock>& stock, int node) {
    std::uint64_t bytes = 0;
    for (const HugepageStock& one : stock)
        if (one.node == node) bytes += one.page_bytes * one.free_pages;
    return bytes;
}

bool hugepages_can_be_mapped(std::uint64_t page_bytes) {
    const auto size_flag = static_cast<unsigned>(std::countr_zero(page_bytes)) << MAP_HUGE_SHIFT;
    const int fd = ::memfd_create("vxplane-probe", MFD_CLOEXEC | MFD_HUGETLB | size_flag);
    if (fd < 0) return false;
    bool mapped = false;
    if (::ftruncate(fd, static_cast<off_t>(page_bytes)) == 0) {
        void* at = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        mapped = at != MAP_FAILED;
        if (mapped) ::munmap(at, page_bytes);
    }
    ::close(fd);
    return mapped;
}

int node_of_cpu(const std::string& root, unsigned cpu) {
    std::error_code none;
    const fs::path folder = root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    for (const auto& entry : fs::directory_iterator{folder, none})
        if (const auto node = number_after(entry.path().filename().string(), "node"))
            return static_cast<int>(*node);
    return 0;
}

std::vector<unsigned> usable_cpus() {
    std::vector<unsigned> cpus;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

}  // namespace vxplane::port
