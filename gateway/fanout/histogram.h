// Durations, counted by length. A histogram is part of the counters of one thread: that thread alone adds to it, with
// plain adds, and any thread reads it. Pure.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 17 // the last has all that is longer than the other bounds

struct histogram_bound {
    uint64_t ns;      // the longest duration of the bucket
    const char *text; // the same in seconds, as Prometheus writes it
};
extern const struct histogram_bound histogram_bounds[HISTOGRAM_BUCKETS];

struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS]; // each without those before it
    _Atomic uint64_t sum_ns;
};

// Of several threads.
struct histogram_sum {
    uint64_t buckets[HISTOGRAM_BUCKETS], count, sum_ns;
};

// Counts `times` events, each of which took `ns`. By the owning thread only.
void histogram_observe(struct histogram *h, uint64_t ns, uint64_t times);
// Adds `h` to `sum`, which begins as all zero. Any thread.
void histogram_add(const struct histogram *h, struct histogram_sum *sum);
// The duration that a part `q` (0 to 1) of all events did not exceed, evenly between the bounds of its bucket, as
// histogram_quantile of Prometheus has it; the largest bound where it is longer than that. 0 without any event.
uint64_t histogram_quantile_ns(const struct histogram_sum *sum, double q);
