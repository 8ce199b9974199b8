#include "tests/bench/histogram.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < (1u << HISTOGRAM_STEP_BITS))
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    return ((shift + 1) << HISTOGRAM_STEP_BITS) +
           (unsigned)((value >> shift) & ((1u << HISTOGRAM_STEP_BITS) - 1));
}

static uint64_t top_of(unsigned bucket)
{
    unsigned row = bucket >> HISTOGRAM_STEP_BITS, step = bucket & ((1u << HISTOGRAM_STEP_BITS) - 1);
    if (row == 0)
        return step;
    uint64_t base = ((uint64_t)(1u << HISTOGRAM_STEP_BITS) + step) << (row - 1);
    return base + (UINT64_C(1) << (row - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t want = (uint64_t)(share * (double)h->count + 0.5), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->count; i++) {
        seen += h->buckets[i];
        if (seen >= want && seen > 0) {
            uint64_t top = top_of(i);
            return top < h->max ? top : h->max;
        }
    }
    return h->max;
}
