// The busiest channels are found by samples, in a table of a fixed size, and nothing is kept while nobody watches.
#include "gateway/bus/busy_channels.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static struct busy_channels busy;
static struct busy_channel rows[BUSY_CHANNELS];

static void setup(void)
{
    ck_assert(map_seed());
    ck_assert(busy_channels_init(&busy));
}

static void teardown(void)
{
    busy_channels_deinit(&busy);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static void note(const char *name, unsigned messages)
{
    for (unsigned i = 0; i < messages; i++)
        busy_channels_note(&busy, channel_ref(name, strlen(name)), 10);
}

static void is_row(size_t i, const char *name, double messages)
{
    ck_assert_uint_eq(rows[i].len, strlen(name));
    ck_assert_mem_eq(rows[i].name, name, rows[i].len);
    ck_assert_double_eq_tol(rows[i].messages, messages, 0.001);
}

TEST(nothing_is_kept_while_nobody_watches)
{
    note("a", 100);
    ck_assert_uint_eq(busy_channels_take(&busy, rows), 0);
    busy_channels_watch(&busy, 1);
    note("a", 100);
    busy_channels_watch(&busy, 0);
    ck_assert_uint_eq(busy_channels_take(&busy, rows), 0);
}

TEST(rows_are_messages_and_bytes_between_two_takes_the_busiest_first)
{
    busy_channels_watch(&busy, 1);
    for (int second = 0; second < 20; second++) {
        note("few", 2);
        note("many", 50);
        note("some", 7);
        ck_assert_uint_eq(busy_channels_take(&busy, rows), 3);
        is_row(0, "many", 50);
        is_row(1, "some", 7);
        is_row(2, "few", 2);
        ck_assert_double_eq_tol(rows[0].bytes, 500, 0.001);
    }
}

TEST(a_channel_without_messages_fades_away)
{
    busy_channels_watch(&busy, 1);
    note("a", 100);
    ck_assert_uint_eq(busy_channels_take(&busy, rows), 1);
    double before = rows[0].messages;
    int takes = 0;
    for (; busy_channels_take(&busy, rows) > 0; takes++) {
        ck_assert_double_lt(rows[0].messages, before);
        before = rows[0].messages;
    }
    ck_assert_int_ge(takes, 5);
    ck_assert_int_lt(takes, 60);
}

TEST(busy_channels_stand_out_of_ever_so_many_others)
{
    char name[32];
    busy_channels_watch(&busy, 1);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "user:%u", i);
        note(name, 1);
        if (i % 10 == 0)
            note("busiest", 1);
        if (i % 20 == 0)
            note("busy", 1);
    }
    size_t count = busy_channels_take(&busy, rows);
    ck_assert_uint_ge(count, 2);
    ck_assert_uint_le(count, BUSY_CHANNELS);
    is_row(0, "busiest", 10000);
    is_row(1, "busy", 5000);
    // What a row has inherited from others is not shown as its own.
    if (count > 2)
        ck_assert_double_le(rows[2].messages, 2);
}

TEST(samples_stand_for_all_messages)
{
    busy_channels_watch(&busy, 100);
    for (int i = 0; i < 200000; i++) { // a pattern that repeats
        note("a", 3);
        note("b", 1);
    }
    ck_assert_uint_eq(busy_channels_take(&busy, rows), 2);
    ck_assert_double_eq_tol(rows[0].messages, 600000, 60000);
    ck_assert_double_eq_tol(rows[1].messages, 200000, 40000);
}

TEST(a_finer_rate_holds_at_once)
{
    busy_channels_watch(&busy, 1000000);
    note("a", 5);
    busy_channels_watch(&busy, 0);
    busy_channels_watch(&busy, 1);
    note("a", 5);
    ck_assert_uint_eq(busy_channels_take(&busy, rows), 1);
    ck_assert_double_ge(rows[0].messages, 4);
}
