// A histogram with a bounded relative error (HDR style): 64 linear steps within each power of two, so at
// most 1.6 %.
#pragma once

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

struct histogram {
    uint64_t count, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
// The value that `share` (0..1) of all are not above. 0 where it is empty.
uint64_t histogram_at(const struct histogram *h, double share);
