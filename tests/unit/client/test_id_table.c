#include "gateway/client/id_table.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

#define THINGS 100000u

struct thing {
    uint64_t id;
};

static struct thing things[THINGS];
static struct id_table table;

static uint64_t id_of(const void *thing)
{
    return ((const struct thing *)thing)->id;
}

static void setup(void)
{
    id_table_init(&table, id_of);
}

static void teardown(void)
{
    size_t cursor = 0;
    for (struct thing *t; (t = id_table_next(&table, &cursor));)
        id_table_remove(&table, t);
    id_table_deinit(&table);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static void enter(struct thing *t)
{
    t->id = id_table_add(&table, t);
    ck_assert_uint_ne(t->id, 0);
}

TEST(each_thing_is_found_by_its_id_and_by_no_other)
{
    ck_assert_ptr_null(id_table_find(&table, 1)); // before there is any
    for (size_t i = 0; i < THINGS; i++)
        enter(&things[i]);
    for (size_t i = 0; i < THINGS; i++)
        ck_assert_ptr_eq(id_table_find(&table, things[i].id), &things[i]);
    ck_assert_ptr_null(id_table_find(&table, 0));
    ck_assert_ptr_null(id_table_find(&table, table.last + 1));
    ck_assert_ptr_null(id_table_find(&table, things[0].id + ((uint64_t)table.capacity << 20)));
}

TEST(no_id_is_given_twice_however_things_come_and_go)
{
    uint64_t newest = 0;
    unsigned seed = 7;
    for (int round = 0; round < 50000; round++) {
        struct thing *t = &things[(unsigned)rand_r(&seed) % 1000];
        uint64_t old = t->id;
        if (old && id_table_find(&table, old) == t) {
            id_table_remove(&table, t);
            ck_assert_ptr_null(id_table_find(&table, old));
        }
        enter(t);
        ck_assert_uint_gt(t->id, newest);
        newest = t->id;
        ck_assert(!old || !id_table_find(&table, old)); // the id of one that is gone finds nothing
    }
}

TEST(a_walk_meets_each_thing_once_and_may_remove_it)
{
    size_t cursor = 0, met = 0;
    for (size_t i = 0; i < 1000; i++)
        enter(&things[i]);
    for (struct thing *t; (t = id_table_next(&table, &cursor)); met++)
        id_table_remove(&table, t);
    ck_assert_uint_eq(met, 1000);
    ck_assert_uint_eq(table.count, 0);
}

TEST(a_thing_costs_at_most_20_bytes_and_ids_are_not_wasted)
{
    for (size_t i = 0; i < THINGS; i++) {
        enter(&things[i]);
        ck_assert(i < 100 || id_table_bytes(&table) <= 20 * (i + 1));
    }
    // Those who came first stay for good: the ids of the others pass over them.
    for (size_t i = 0; i < 200000; i++) {
        struct thing *t = &things[THINGS / 2 + i % (THINGS / 2)];
        id_table_remove(&table, t);
        enter(t);
    }
    ck_assert_uint_lt(table.last, THINGS + 16u * 200000);
}

// Things drawn in one lap of slots.
static size_t draw_lap(struct id_shuffle *s, uint64_t *random, struct thing **drawn)
{
    size_t n = 0;
    for (size_t i = 0; i < table.capacity; i++)
        if ((drawn[n] = id_table_draw(&table, s, random)))
            n++;
    return n;
}

TEST(a_lap_in_random_order_meets_each_thing_once)
{
    static struct thing *drawn[THINGS];
    struct id_shuffle s = {0};
    uint64_t random = 5;
    ck_assert_ptr_null(id_table_draw(&table, &s, &random)); // before there is any
    for (size_t count = 1; count <= 3000; count += 61) {
        while (table.count < count)
            enter(&things[table.count]);
        for (int lap = 0; lap < 3; lap++) {
            static bool met[THINGS];
            memset(met, 0, sizeof met);
            ck_assert_uint_eq(draw_lap(&s, &random, drawn), count);
            for (size_t i = 0; i < count; i++) {
                ck_assert(!met[drawn[i] - things]);
                met[drawn[i] - things] = true;
            }
        }
    }
}

// By the order of entering, and from lap to lap: neighbours of a lap are as far apart as random numbers are, a third of
// the whole range on average.
TEST(a_lap_has_nothing_of_the_order_of_entering)
{
    enum { COUNT = 1000, LAPS = 50 };
    static struct thing *drawn[THINGS];
    struct id_shuffle s = {0};
    uint64_t random = 99, first_half = 0, distance = 0;
    for (size_t i = 0; i < COUNT; i++)
        enter(&things[i]);
    for (int lap = 0; lap < LAPS; lap++) {
        ck_assert_uint_eq(draw_lap(&s, &random, drawn), COUNT);
        for (size_t i = 0; i < COUNT / 2; i++)
            first_half += (uint64_t)(drawn[i] - things);
        for (size_t i = 1; i < COUNT; i++)
            distance += (uint64_t)labs(drawn[i] - drawn[i - 1]);
    }
    double mean = (double)first_half / (LAPS * COUNT / 2.0),
           apart = (double)distance / (LAPS * (COUNT - 1.0));
    ck_assert_double_ge(mean, 480);
    ck_assert_double_le(mean, 520);
    ck_assert_double_ge(apart, 310);
    ck_assert_double_le(apart, 360);
}
