// Token buckets of addresses, in a table of a fixed size.
#include "gateway/client/connect_rate.h"

#include "common/map.h"
#include "tests/unit/lib/unit_main.h"

#define NOW 1000000u // milliseconds

static struct connect_rate *rate;

static void setup(void)
{
    ck_assert(map_seed());
    rate = connect_rate_create(10, 5);
    ck_assert_ptr_nonnull(rate);
}

static void teardown(void)
{
    connect_rate_destroy(rate);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 20);

// How many of `tries` streams of `key` are let in at once.
static unsigned let_in(uint64_t key, uint64_t now_ms, unsigned tries)
{
    unsigned count = 0;
    while (tries-- > 0)
        count += connect_rate_take(rate, key, now_ms);
    return count;
}

TEST(a_burst_comes_at_once_and_then_as_many_as_the_rate_says)
{
    ck_assert_uint_eq(let_in(1, NOW, 100), 5);
    ck_assert_uint_eq(let_in(1, NOW + 99, 100), 0);
    ck_assert_uint_eq(let_in(1, NOW + 100, 100), 1);
    ck_assert_uint_eq(let_in(1, NOW + 400, 100), 3);
    ck_assert_uint_eq(let_in(1, NOW + 900, 100), 5);
    ck_assert_uint_eq(let_in(1, NOW + 3600000, 100), 5);
}

TEST(a_refused_stream_takes_nothing)
{
    ck_assert_uint_eq(let_in(1, NOW, 5), 5);
    for (unsigned ms = 0; ms < 100; ms++)
        ck_assert_uint_eq(let_in(1, NOW + ms, 10), 0);
    ck_assert_uint_eq(let_in(1, NOW + 100, 10), 1);
}

TEST(addresses_do_not_share)
{
    for (uint64_t key = 1; key <= 1000; key++)
        ck_assert_uint_eq(let_in(key, NOW, 6), 5);
    for (uint64_t key = 1; key <= 1000; key++)
        ck_assert_uint_eq(let_in(key, NOW + 100, 6), 1);
}

TEST(a_flood_from_many_addresses_locks_nobody_out)
{
    for (uint64_t key = 1; key <= 1000000; key++)
        ck_assert(connect_rate_take(rate, key, NOW));
    ck_assert_uint_eq(let_in(UINT64_MAX, NOW, 6), 5);
}

TEST(among_many_addresses_those_that_come_too_fast_are_the_last_to_be_forgotten)
{
    unsigned held = 0;
    for (uint64_t key = 1; key <= 100; key++)
        ck_assert_uint_eq(let_in(key, NOW, 5), 5);
    for (uint64_t key = 1000; key < 1000 + 60000; key++) // one each: fuller than the hundred
        ck_assert(connect_rate_take(rate, key, NOW));
    for (uint64_t key = 1; key <= 100; key++)
        held += let_in(key, NOW, 1) == 0;
    ck_assert_uint_ge(held, 95);
}

TEST(the_largest_rate_counts_rightly_after_a_long_time)
{
    connect_rate_destroy(rate);
    rate = connect_rate_create(CONNECT_RATE_MAX, CONNECT_RATE_MAX);
    uint64_t year_100 = UINT64_C(3155760000000);
    ck_assert_uint_eq(let_in(1, year_100, CONNECT_RATE_MAX + 10), CONNECT_RATE_MAX);
    ck_assert_uint_eq(let_in(1, year_100 + 1, 2000), 1000);
}
