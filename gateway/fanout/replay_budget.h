// How much of histories a process may hold for lagging streams: what its hubs remember, and what they have
// asked Redis for and not got yet. One for all hubs; any thread.
#pragma once

#include <stdatomic.h>
#include <stddef.h>

struct replay_budget {
    size_t limit; // bytes
    _Atomic size_t used;
};

static inline void replay_budget_add(struct replay_budget *b, size_t bytes)
{
    atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);
}

static inline void replay_budget_remove(struct replay_budget *b, size_t bytes)
{
    atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);
}

// Bytes that are left; other threads may take them meanwhile.
static inline size_t replay_budget_left(const struct replay_budget *b)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    return used < b->limit ? b->limit - used : 0;
}
