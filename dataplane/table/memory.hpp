// The memory that large tables lie in. Taken by control when a table is made; a table that fills
// later takes nothing any more.
#pragma once

#include <cstddef>

namespace vxplane::table {

/// Zeroed and touched memory, on huge pages where there are any: at a million entries every lookup
/// would else miss the TLB as well as the cache. `bytes` is rounded up to what was mapped. Throws
/// std::bad_alloc.
void* take_memory(std::size_t& bytes);
/// `bytes` as take_memory() left it; null is let be.
void give_memory(void* memory, std::size_t bytes) noexcept;

}  // namespace vxplane::table
