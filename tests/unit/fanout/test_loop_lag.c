// The worst lag of a loop is there for the next one to two windows, and so is that of a loop that stands still now.
#include "gateway/fanout/loop_lag.h"

#include "tests/unit/lib/unit_main.h"

#define MS UINT64_C(1000000)
#define PERIOD (250 * MS)

static struct loop_lag lag;
static uint64_t now = 1000 * MS;

// One more tick, that long after it was due.
static void tick(uint64_t late)
{
    now += PERIOD + late;
    loop_lag_tick(&lag, PERIOD, now);
    now -= late; // the ticks keep their times
}

static void setup(void)
{
    loop_lag_tick(&lag, PERIOD, now);
}

TESTS_WITH(.setup = setup);

TEST(a_loop_in_time_has_no_lag)
{
    for (int i = 0; i < 200; i++)
        tick(0);
    ck_assert_uint_eq(loop_lag_read(&lag, now), 0);
}

TEST(the_worst_lag_is_kept_for_one_to_two_windows)
{
    tick(40 * MS);
    tick(30 * MS);
    for (uint64_t passed = 0; passed < LOOP_LAG_WINDOW_NS; passed += PERIOD) {
        ck_assert_uint_eq(loop_lag_read(&lag, now), 40 * MS);
        tick(MS);
    }
    for (uint64_t passed = 0; passed < LOOP_LAG_WINDOW_NS; passed += PERIOD)
        tick(MS);
    ck_assert_uint_eq(loop_lag_read(&lag, now), MS);
}

TEST(a_loop_that_stands_still_now_is_late_by_the_time_since_its_tick_was_due)
{
    tick(2 * MS);
    ck_assert_uint_eq(loop_lag_read(&lag, now + PERIOD), 2 * MS);
    ck_assert_uint_eq(loop_lag_read(&lag, now + PERIOD + 700 * MS), 700 * MS);
}

TEST(a_long_delay_counts_once)
{
    now += 10 * PERIOD;
    loop_lag_tick(&lag, PERIOD, now);
    ck_assert_uint_eq(loop_lag_read(&lag, now), 9 * PERIOD);
    loop_lag_tick(&lag, PERIOD, now); // libev calls the timer again at once
    for (int i = 0; i < 200; i++)
        tick(0);
    ck_assert_uint_eq(loop_lag_read(&lag, now), 0); // and at none of the ticks that were left out
}

TEST(a_tick_that_is_early_moves_the_next_ones)
{
    now += 100 * MS;
    loop_lag_tick(&lag, PERIOD, now);
    tick(5 * MS);
    ck_assert_uint_eq(loop_lag_read(&lag, now), 5 * MS);
}

TEST(without_a_tick_there_is_no_lag)
{
    static const struct loop_lag none;
    ck_assert_uint_eq(loop_lag_read(&none, now), 0);
}
