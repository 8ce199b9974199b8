#include "gateway/fanout/histogram.h"

#include <assert.h>

#define US 1000u
#define MS 1000000u
#define S 1000000000u

const struct histogram_bound histogram_bounds[HISTOGRAM_BUCKETS] = {
    {100 * US, "0.0001"}, {250 * US, "0.00025"}, {500 * US, "0.0005"},
    {MS, "0.001"},        {2500 * US, "0.0025"}, {5 * MS, "0.005"},
    {10 * MS, "0.01"},    {25 * MS, "0.025"},    {50 * MS, "0.05"},
    {100 * MS, "0.1"},    {250 * MS, "0.25"},    {500 * MS, "0.5"},
    {S, "1.0"},           {2500ull * MS, "2.5"}, {5ull * S, "5.0"},
    {10ull * S, "10.0"},  {UINT64_MAX, "+Inf"},
};

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

void histogram_observe(struct histogram *h, uint64_t ns, uint64_t times)
{
    unsigned i = 0;
    while (ns > histogram_bounds[i].ns) // ends at the last bound
        i++;
    add(&h->buckets[i], times);
    add(&h->sum_ns, ns * times);
}

void histogram_add(const struct histogram *h, struct histogram_sum *sum)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t n = atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        sum->buckets[i] += n;
        sum->count += n;
    }
    sum->sum_ns += atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
}

uint64_t histogram_quantile_ns(const struct histogram_sum *sum, double q)
{
    assert(q >= 0 && q <= 1);
    double rank = q * (double)sum->count, below = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        double here = (double)sum->buckets[i];
        double from = i ? (double)histogram_bounds[i - 1].ns : 0, to = (double)histogram_bounds[i].ns;
        if (here > 0 && below + here >= rank)
            return (uint64_t)(from + (to - from) * (rank - below) / here);
        below += here;
    }
    return sum->count ? histogram_bounds[HISTOGRAM_BUCKETS - 2].ns : 0;
}
