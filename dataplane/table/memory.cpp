// Large tables' memory: huge pages that were reserved, else transparent ones.
#include "dataplane/table/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

namespace vxplane::table {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

void* map(std::size_t bytes, int flags) noexcept {
    void* at =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

}  // namespace

void* take_memory(std::size_t& bytes) {
    if (bytes < huge_page) {
        bytes = std::max<std::size_t>(bytes, 4096);
        void* small = map(bytes, MAP_POPULATE);
        if (small == nullptr) {
            throw std::bad_alloc{};
        }
        return small;
    }
    bytes = (bytes + huge_page - 1) & ~(huge_page - 1);
    if (void* reserved = map(bytes, MAP_HUGETLB); reserved != nullptr) {
        // Populating by madvise reports what a first write would answer with SIGBUS.
        if (madvise(reserved, bytes, MADV_POPULATE_WRITE) == 0) {
            return reserved;
        }
        munmap(reserved, bytes);
    }
    auto* wide = static_cast<std::byte*>(map(bytes + huge_page, MAP_NORESERVE));
    if (wide == nullptr) {
        throw std::bad_alloc{};
    }
    const std::size_t before =
        (huge_page - reinterpret_cast<std::uintptr_t>(wide) % huge_page) % huge_page;
    if (before != 0) {
        munmap(wide, before);
    }
    std::byte* aligned = wide + before;
    if (huge_page - before != 0) {
        munmap(aligned + bytes, huge_page - before);
    }
    madvise(aligned, bytes, MADV_HUGEPAGE);
    std::memset(aligned, 0, bytes);
    return aligned;
}

void give_memory(void* memory, std::size_t bytes) noexcept {
    if (memory != nullptr) {
        munmap(memory, bytes);
    }
}

}  // namespace vxplane::table
