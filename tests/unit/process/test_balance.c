// Decisions one at a time. test_balance_tier.c plays whole tiers.
#include "gateway/process/balance.h"

#include "tests/unit/lib/unit_main.h"

#define SETTLE_MS 10000u
#define RETURN_MS 4000u

static struct balance b;
static struct balance_view v;

static void setup(void)
{
    b = (struct balance){
        .settings = {.tolerance = 0.1, .rate = 50, .settle_ms = SETTLE_MS, .return_ms = RETURN_MS}};
    v = (struct balance_view){.now_ms = 1000000,
                              .is_allowed = true,
                              .own = 2000,
                              .own_capacity = 5000,
                              .others = 4000,
                              .all_capacity = 20000,
                              .members = 7};
}

TESTS_WITH(.setup = setup);

// Steps for `ms`, while the others announce themselves; own streams that are ended go, to the others.
static uint64_t pass(uint64_t ms, enum balance_event *last)
{
    uint64_t ended = 0;
    for (uint64_t end = v.now_ms + ms; v.now_ms < end;) {
        v.now_ms += BALANCE_TICK_MS;
        v.oldest_news_ms = v.now_ms - 1000;
        struct balance_step step = balance_step(&b, &v);
        ended += step.end;
        v.own -= step.end;
        v.others += step.end;
        v.moved += step.end;
        if (last && step.event != BALANCE_NONE)
            *last = step.event;
    }
    return ended;
}

TEST(a_surplus_is_ended_down_to_the_mean_at_the_rate_and_not_below)
{
    enum balance_event last = BALANCE_NONE;
    ck_assert_uint_eq(pass(SETTLE_MS, &last), 0);
    ck_assert_int_eq(last, BALANCE_NONE);
    uint64_t first = pass(5000, &last);
    ck_assert_int_eq(last, BALANCE_BEGUN);
    ck_assert_uint_ge(first, 150);
    ck_assert_uint_le(first, 250);
    (void)pass(30000, &last);
    ck_assert_int_eq(last, BALANCE_DONE);
    ck_assert_uint_eq(v.own, 1500);
    ck_assert_uint_eq(pass(600000, &last), 0);
    ck_assert_int_eq(last, BALANCE_DONE);
}

TEST(the_rate_is_spread_over_the_second)
{
    (void)pass(SETTLE_MS + 1500, NULL);
    for (int i = 0; i < 20; i++) {
        uint64_t ended = pass(BALANCE_TICK_MS, NULL);
        ck_assert_uint_ge(ended, 4);
        ck_assert_uint_le(ended, 6);
    }
}

TEST(twice_the_capacity_has_twice_the_streams)
{
    v.own_capacity = 10000;
    v.all_capacity = 30000;
    v.own = 3000;
    v.others = 3000;
    (void)pass(120000, NULL);
    ck_assert_uint_eq(v.own, 2000);
}

static const struct {
    uint64_t own, others;
    bool moves;
} tolerances[] = {
    {1649, 4351, false}, {1651, 4349, true}, {5, 6, false}, {6, 6, true}, {8, 0, true}, {0, 6000, false},
};

TEST_EACH(what_is_within_the_tolerance_or_only_a_few_streams_is_left_alone, tolerances)
{
    v.own = tolerances[_i].own;
    v.others = tolerances[_i].others;
    ck_assert_int_eq(pass(60000, NULL) > 0, tolerances[_i].moves);
}

TEST(a_gateway_that_is_far_below_the_mean_is_helped_by_those_that_are_a_bit_above)
{
    v.own = 2000;
    v.others = 19 * 2000;
    v.all_capacity = 21 * 5000;
    v.lowest_capacity = 5000;
    v.lowest = 1750;
    ck_assert_uint_eq(pass(60000, NULL), 0);
    v.lowest = 0;
    (void)pass(60000, NULL);
    ck_assert_uint_eq(v.own, 1905);
}

TEST(an_imbalance_that_passes_moves_nothing)
{
    (void)pass(SETTLE_MS, NULL);
    for (int i = 0; i < 10; i++) {
        v.own = 1500;
        ck_assert_uint_eq(pass(5000, NULL), 0);
        v.own = 2000;
        ck_assert_uint_eq(pass(SETTLE_MS - 1000, NULL), 0);
    }
}

TEST(a_round_stops_when_it_is_not_allowed_any_more_and_settles_before_the_next)
{
    enum balance_event last = BALANCE_NONE;
    (void)pass(SETTLE_MS + 3000, &last);
    ck_assert_int_eq(last, BALANCE_BEGUN);
    v.is_allowed = false;
    ck_assert_uint_eq(pass(60000, &last), 0);
    ck_assert_int_eq(last, BALANCE_STOPPED);
    v.is_allowed = true;
    ck_assert_uint_eq(pass(SETTLE_MS - 200, &last), 0);
    ck_assert_uint_gt(pass(5000, &last), 0);
}

TEST(a_round_stops_when_a_gateway_comes_or_goes)
{
    enum balance_event last = BALANCE_NONE;
    (void)pass(SETTLE_MS + 3000, &last);
    v.members++;
    ck_assert_uint_eq(pass(SETTLE_MS, &last), 0);
    ck_assert_int_eq(last, BALANCE_STOPPED);
}

TEST(nothing_is_decided_by_old_news)
{
    for (int i = 0; i < 600; i++) {
        v.now_ms += BALANCE_TICK_MS;
        v.oldest_news_ms = 1000000; // of one that is silent, and has not expired
        ck_assert_uint_eq(balance_step(&b, &v).end, 0);
    }
}

TEST(streams_that_are_away_do_not_lower_the_target)
{
    v.own = v.others = 3000; // for a round of half a minute
    (void)pass(SETTLE_MS + 1500, NULL);
    uint64_t others = v.others;
    for (int i = 0; i < 400; i++) {
        (void)pass(BALANCE_TICK_MS, NULL);
        v.others = others; // nobody has come back
    }
    ck_assert_uint_ge(v.own, 1500);
}

TEST(new_streams_raise_the_target_of_a_round)
{
    (void)pass(SETTLE_MS + 1500, NULL);
    v.others += 2000; // the mean is 2000 now
    uint64_t own = v.own;
    ck_assert_uint_eq(pass(60000, NULL), 0);
    ck_assert_uint_eq(v.own, own);
}

TEST(streams_that_come_back_to_this_gateway_are_ended_less_and_less_often_and_then_no_more)
{
    unsigned rounds = 0, in_vain = 0;
    for (int i = 0; i < 36000; i++) {
        v.now_ms += BALANCE_TICK_MS;
        v.oldest_news_ms = v.now_ms - 1000;
        struct balance_step step = balance_step(&b, &v);
        v.moved += step.end; // and has come back
        rounds += step.event == BALANCE_BEGUN;
        in_vain += step.event == BALANCE_IN_VAIN;
    }
    ck_assert_uint_eq(in_vain, BALANCE_IN_VAIN_MAX);
    ck_assert_uint_eq(rounds, BALANCE_IN_VAIN_MAX); // in an hour, and none after it
    v.members++;
    for (int i = 0; i < 600; i++) {
        v.now_ms += BALANCE_TICK_MS;
        v.oldest_news_ms = v.now_ms - 1000;
        struct balance_step step = balance_step(&b, &v);
        v.moved += step.end;
        rounds += step.event == BALANCE_BEGUN;
    }
    ck_assert_uint_gt(rounds, BALANCE_IN_VAIN_MAX); // another front may have come with them
}

// Connections are counted as ended when they are closed, up to some seconds after their last bytes.
TEST(a_round_is_judged_though_its_streams_were_not_closed_when_it_ended)
{
    unsigned in_vain = 0;
    uint64_t asked = 0;
    for (int i = 0; i < 3000; i++) {
        v.now_ms += BALANCE_TICK_MS;
        v.oldest_news_ms = v.now_ms - 1000;
        struct balance_step step = balance_step(&b, &v);
        asked += step.end;
        if (!b.is_running)
            v.moved = asked;
        in_vain += step.event == BALANCE_IN_VAIN;
    }
    ck_assert_uint_ge(in_vain, 2);
}

TEST(streams_that_are_younger_than_the_imbalance_are_not_moved)
{
    for (int i = 0; i < 150; i++) {
        v.now_ms += BALANCE_TICK_MS;
        v.oldest_news_ms = v.now_ms - 1000;
        struct balance_step step = balance_step(&b, &v);
        if (step.end == 0)
            continue;
        ck_assert_uint_ge(step.min_age_ms, SETTLE_MS);
        ck_assert_uint_ge(step.min_age_ms, (uint64_t)i * BALANCE_TICK_MS);
    }
}

TEST(a_dry_run_says_once_a_minute_what_it_would_do_and_ends_nothing)
{
    b.settings.dry_run = true;
    unsigned said = 0;
    for (int i = 0; i < 6000; i++) {
        v.now_ms += BALANCE_TICK_MS;
        v.oldest_news_ms = v.now_ms - 1000;
        struct balance_step step = balance_step(&b, &v);
        ck_assert_uint_eq(step.end, 0);
        said += step.event == BALANCE_BEGUN;
    }
    ck_assert_uint_ge(said, 8);
    ck_assert_uint_le(said, 10);
}

TEST(one_gateway_alone_ends_nothing)
{
    v.others = 0;
    v.all_capacity = v.own_capacity;
    ck_assert_uint_eq(pass(60000, NULL), 0);
}
