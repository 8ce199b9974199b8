#include "gateway/client/drain_pace.h"

#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.timeout_s = 10);

TEST(a_window_of_zero_ends_all_at_once)
{
    const struct drain_pace p = {.streams = 12345, .parts = 1};
    ck_assert_uint_eq(drain_pace_due(&p, 0), 12345);
}

TEST(all_have_ended_when_the_window_is_over_and_before_it_never_more)
{
    for (size_t n = 0; n < 200; n++)
        for (unsigned part = 0; part < 3; part++) {
            const struct drain_pace p = {.streams = n, .window_ms = 997, .part = part, .parts = 3};
            ck_assert_uint_eq(drain_pace_due(&p, 997), n);
            ck_assert_uint_eq(drain_pace_due(&p, UINT64_MAX), n);
            for (uint64_t t = 1, before = 0; t <= 997; t++) {
                size_t due = drain_pace_due(&p, t);
                ck_assert_uint_ge(due, before);
                ck_assert_uint_le(due, n);
                before = due;
            }
        }
}

TEST(a_stream_alone_ends_in_the_middle)
{
    const struct drain_pace p = {.streams = 1, .window_ms = 1000, .parts = 1};
    ck_assert_uint_eq(drain_pace_due(&p, 499), 0);
    ck_assert_uint_eq(drain_pace_due(&p, 500), 1);
}

// Within half a stream of the straight line.
TEST(streams_end_evenly)
{
    const struct drain_pace p = {.streams = 6000, .window_ms = 10000, .parts = 1};
    for (uint64_t t = 0; t < 10000; t++) {
        double line = 6000.0 * (double)t / 10000.0, due = (double)drain_pace_due(&p, t);
        ck_assert_double_le(due, line + 0.5);
        ck_assert_double_ge(due, line - 0.5);
    }
}

TEST(loops_with_as_many_streams_take_turns)
{
    for (uint64_t t = 0; t < 3000; t++) {
        size_t sum = 0;
        for (unsigned part = 0; part < 5; part++) {
            const struct drain_pace p = {.streams = 3, .window_ms = 3000, .part = part, .parts = 5};
            sum += drain_pace_due(&p, t);
        }
        ck_assert_double_le((double)sum, 15.0 * (double)t / 3000.0 + 0.5);
        ck_assert_double_ge((double)sum, 15.0 * (double)t / 3000.0 - 0.5);
    }
}

TEST(the_largest_numbers_do_not_overflow)
{
    const uint64_t day = 86400000;
    const struct drain_pace p = {.streams = (1u << 24) - 1, .window_ms = day, .part = 62, .parts = 63};
    ck_assert_uint_eq(drain_pace_due(&p, day / 2), (p.streams + 1) / 2 - 1);
    ck_assert_uint_eq(drain_pace_due(&p, day - 1), p.streams - 1);
}
