// The counters of the gateway. One set per thread, written by that thread alone; the exporter reads all sets
// and sums them (process/metrics.c), so counting costs one plain add and no shared cache line. What there is to count
// stands in metric_list.h.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "gateway/fanout/histogram.h"
#include "gateway/fanout/loop_lag.h"
#include "gateway/fanout/metric_list.h"

#define SKIP(...)
// In the order of the list.
enum counter {
#define SYMBOL(symbol, ...) COUNTER_##symbol,
    METRICS(SKIP, SKIP, SYMBOL, SYMBOL, SKIP, SKIP, SKIP)
#undef SYMBOL
        COUNTER_COUNT
};

enum histogram_of {
#define SYMBOL(symbol, ...) HISTOGRAM_##symbol,
    METRICS(SKIP, SKIP, SKIP, SKIP, SYMBOL, SKIP, SKIP)
#undef SYMBOL
        HISTOGRAM_COUNT
};
#undef SKIP

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
    struct histogram histograms[HISTOGRAM_COUNT];
    struct loop_lag lag; // of the thread's loop
};

// By the owning thread only. A gauge goes down by adding a negative number (the sum over threads stays
// right).
static inline void counter_add(struct counters *c, enum counter which, int64_t n)
{
    uint64_t now = atomic_load_explicit(&c->value[which], memory_order_relaxed);
    atomic_store_explicit(&c->value[which], now + (uint64_t)n, memory_order_relaxed);
}

static inline void counter_set(struct counters *c, enum counter which, uint64_t n)
{
    atomic_store_explicit(&c->value[which], n, memory_order_relaxed);
}

// Any thread.
static inline uint64_t counter_read(const struct counters *c, enum counter which)
{
    return atomic_load_explicit(&c->value[which], memory_order_relaxed);
}
