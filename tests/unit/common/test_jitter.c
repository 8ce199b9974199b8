#include "common/jitter.h"

#include <stdbool.h>

#include "tests/unit/lib/unit_main.h"

TEST(a_delay_is_never_shorter_and_at_most_twice_as_long)
{
    static const uint32_t delays[] = {0, 1, 2, 50, 2000, 86400000, UINT32_MAX / 2};
    uint64_t state = jitter_seed();
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        for (int n = 0; n < 1000; n++) {
            uint32_t ms = jitter_ms(&state, delays[i]);
            ck_assert_uint_ge(ms, delays[i]);
            ck_assert_uint_le(ms, 2 * delays[i]);
        }
    }
}

TEST(both_ends_of_the_range_are_reached)
{
    uint64_t state = 1;
    unsigned reached[4] = {0};
    for (int n = 0; n < 1000; n++)
        reached[jitter_ms(&state, 3) - 3]++;
    for (int i = 0; i < 4; i++)
        ck_assert_uint_gt(reached[i], 150); // 250 each, were it quite even
}

// A thousand tabs that come back within 2 s must not come in clumps: each tenth of the range gets its share.
TEST(delays_are_spread_evenly)
{
    enum { BINS = 10, EACH = 2000 };
    unsigned bins[BINS] = {0};
    uint64_t state = 12345;
    for (int n = 0; n < BINS * EACH; n++)
        bins[(jitter_ms(&state, 1999) - 1999) * BINS / 2000]++;
    for (int i = 0; i < BINS; i++) {
        ck_assert_uint_gt(bins[i], EACH * 85 / 100);
        ck_assert_uint_lt(bins[i], EACH * 115 / 100);
    }
}

TEST(a_state_tells_all_that_follows)
{
    uint64_t a = 99, b = 99, c = 100;
    bool differs = false;
    for (int n = 0; n < 100; n++) {
        uint64_t x = jitter_next(&a);
        ck_assert_uint_eq(x, jitter_next(&b));
        differs |= x != jitter_next(&c);
        ck_assert_uint_ne(a, 0); // from 0 it would never come away
    }
    ck_assert(differs);
}

TEST(seeds_differ_and_are_never_zero)
{
    uint64_t before = 0;
    for (int n = 0; n < 100; n++) {
        uint64_t seed = jitter_seed();
        ck_assert_uint_ne(seed, 0);
        ck_assert_uint_ne(seed, before);
        before = seed;
    }
}
