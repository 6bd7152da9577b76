// What the machine offers: hugepages that are free, NUMA node of a CPU, CPUs that the process may
// use. Read from /sys below a root that tests may replace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vxplane::port {

/// Free hugepages of one size on one node.
struct HugepageStock {
    std::uint64_t page_bytes = 0;
    int node = 0;
    std::uint64_t free_pages = 0;
};

/// All sizes on all nodes; a machine without node folders is node 0.
[[nodiscard]] std::vector<HugepageStock> hugepage_stock(const std::string& root);

/// Bytes in free hugepages on `node`.
[[nodiscard]] std::uint64_t free_hugepage_bytes(const std::vector<HugepageStock>& stock, int node);

/// Whether the kernel maps a hugepage without a hugetlbfs mount, as `--in-memory` does.
[[nodiscard]] bool hugepages_can_be_mapped(std::uint64_t page_bytes);

/// NUMA node of a CPU; 0 when the kernel names none.
[[nodiscard]] int node_of_cpu(const std::string& root, unsigned cpu);

/// CPUs in the affinity mask of the calling thread, ascending.
[[nodiscard]] std::vector<unsigned> usable_cpus();

}  // namespace vxplane::port
