// The memory that a block on the heap takes, for modules that account for their memory.
#pragma once

#include <stddef.h>

// Bytes that the allocator takes for a block of `size` bytes: glibc puts 8 bytes before it and rounds up to
// 16, with a least block of 32.
static inline size_t memory_block(size_t size)
{
    size_t block = (size + 8 + 15) & ~(size_t)15;
    return block < 32 ? 32 : block;
}
