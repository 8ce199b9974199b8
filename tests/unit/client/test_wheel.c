// Timers fire never early, soon enough, and once, whatever their callbacks do to other timers.
#include <stdbool.h>
#include <string.h>

#include "gateway/client/wheel.h"
#include "tests/unit/lib/unit_main.h"

#define START 1000123u // no multiple of the tick
#define TURN_MS ((uint64_t)WHEEL_SLOTS * WHEEL_TICK_MS)

struct timer {
    struct wheel_entry entry; // first, so that the callback can cast back
    int fired;
    void (*then)(struct timer *self);
    struct timer *other;
};

static struct wheel wheel;
static uint64_t now;
static struct timer *order[64];
static size_t order_len, fired;

static void setup(void)
{
    now = START;
    order_len = 0;
    wheel = (struct wheel){.start_ms = now};
}

TESTS_WITH(.setup = setup);

static void on_due(struct wheel_entry *e, void *ctx)
{
    struct timer *t = (struct timer *)e;
    ck_assert_ptr_eq(ctx, &now);
    ck_assert(!wheel_is_set(e)); // "each is removed, then passed"
    t->fired++;
    fired++;
    if (order_len < sizeof(order) / sizeof(order[0]))
        order[order_len++] = t;
    if (t->then != NULL)
        t->then(t);
}

static size_t advance_to(uint64_t at)
{
    now = at;
    fired = 0;
    wheel_advance(&wheel, now, on_due, &now);
    return fired;
}

TEST(never_early_and_at_most_a_tick_late)
{
    for (uint64_t delay = 0; delay < 3 * WHEEL_TICK_MS; delay += 7) {
        struct timer t = {0};
        uint64_t at = now + delay;
        wheel_set(&wheel, &t.entry, at);
        while (t.fired == 0) {
            advance_to(now);
            ck_assert(t.fired == 0 || now >= at);
            ck_assert_uint_le(now, at + WHEEL_TICK_MS);
            now++;
        }
        ck_assert_int_eq(t.fired, 1);
        ck_assert_uint_eq(wheel.count, 0);
    }
}

TEST(an_entry_further_away_than_a_turn_waits_for_its_own_turn)
{
    struct timer near = {0}, far = {0}, farther = {0};
    wheel_set(&wheel, &near.entry, now + 1000);
    wheel_set(&wheel, &far.entry, now + 1000 + TURN_MS);
    wheel_set(&wheel, &farther.entry, now + 1000 + 5 * TURN_MS);
    ck_assert_uint_eq(wheel.count, 3);
    for (uint64_t at = START; at <= START + 2000 + 5 * TURN_MS; at += 100) {
        advance_to(at);
        ck_assert_int_eq(near.fired, at >= START + 1000);
        ck_assert_int_eq(far.fired, at >= START + 1000 + TURN_MS);
        ck_assert_int_eq(farther.fired, at >= START + 1000 + 5 * TURN_MS);
    }
}

TEST(an_entry_may_be_moved_and_removed_at_any_time)
{
    struct timer t = {0};
    wheel_remove(&wheel, &t.entry); // not set: no effect
    wheel_set(&wheel, &t.entry, now + 1000);
    wheel_set(&wheel, &t.entry, now + 5000);
    ck_assert_uint_eq(wheel.count, 1);
    ck_assert_uint_eq(advance_to(START + 4999), 0);
    wheel_remove(&wheel, &t.entry);
    wheel_remove(&wheel, &t.entry);
    ck_assert_uint_eq(wheel.count, 0);
    ck_assert_uint_eq(advance_to(START + 10000), 0);
    wheel_set(&wheel, &t.entry, now + 300000);
    wheel_set(&wheel, &t.entry, now + 1000); // sooner
    ck_assert_uint_eq(advance_to(now + 1000 + WHEEL_TICK_MS), 1);
}

static void set_in_the_past(struct timer *self)
{
    wheel_set(&wheel, &self->entry, START);
}

static void set_now(struct timer *self)
{
    wheel_set(&wheel, &self->entry, now);
}

static void (*const not_after_now[])(struct timer *) = {set_in_the_past, set_now};

TEST_EACH(an_entry_set_again_for_the_past_fires_in_the_next_call, not_after_now)
{
    struct timer t = {.then = not_after_now[_i]};
    wheel_set(&wheel, &t.entry, now + 1000);
    ck_assert_uint_eq(advance_to(START + 2000), 1); // a tick's begin, START + n * 250
    ck_assert_uint_eq(wheel.count, 1);
    ck_assert_uint_eq(advance_to(START + 2000), 1);
    ck_assert_uint_eq(advance_to(START + 2000), 1);
    ck_assert_int_eq(t.fired, 3);
}

static void set_in_a_second(struct timer *self)
{
    wheel_set(&wheel, &self->entry, now + 1000);
}

TEST(an_entry_that_its_callback_sets_again_fires_once_a_period)
{
    struct timer t = {.then = set_in_a_second};
    wheel_set(&wheel, &t.entry, now + 1000);
    for (uint64_t at = START; at <= START + 60000; at += 250)
        advance_to(at);
    ck_assert_int_eq(t.fired, 60);
}

static void remove_other(struct timer *self)
{
    wheel_remove(&wheel, &self->other->entry);
}

static void put_other_off(struct timer *self)
{
    wheel_set(&wheel, &self->other->entry, now + 1000);
}

TEST(a_callback_removes_another_due_entry)
{
    struct timer a = {.then = remove_other}, b = {.then = remove_other}, c = {0};
    a.other = &b;
    b.other = &a;
    wheel_set(&wheel, &a.entry, now + 500);
    wheel_set(&wheel, &b.entry, now + 500);
    wheel_set(&wheel, &c.entry, now + 750); // in another slot
    ck_assert_uint_eq(advance_to(START + 1000), 2);
    ck_assert_int_eq(a.fired, 1);
    ck_assert_int_eq(b.fired, 0);
    ck_assert_int_eq(c.fired, 1);
    ck_assert_uint_eq(wheel.count, 0);
}

TEST(a_callback_puts_another_due_entry_off)
{
    struct timer a = {.then = put_other_off}, b = {0};
    a.other = &b;
    wheel_set(&wheel, &a.entry, now + 500);
    wheel_set(&wheel, &b.entry, now + 500);
    ck_assert_uint_eq(advance_to(START + 1000), 1);
    ck_assert_int_eq(b.fired, 0);
    ck_assert_uint_eq(advance_to(START + 2000), 1);
    ck_assert_int_eq(b.fired, 1);
}

TEST(a_clock_that_jumps_ahead_fires_all_that_is_due_and_no_more)
{
    enum { N = 1000 };
    static struct timer timers[N];
    memset(timers, 0, sizeof(timers));
    for (uint64_t i = 0; i < N; i++)
        wheel_set(&wheel, &timers[i].entry, now + i * 1000); // many turns
    ck_assert_uint_eq(advance_to(START + 700000), 701);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(timers[i].fired, i <= 700);
    ck_assert_uint_eq(advance_to(START + (uint64_t)WHEEL_TICK_MS * UINT32_MAX * 3), N - 701);
    ck_assert_uint_eq(wheel.count, 0);
}

TEST(a_clock_that_goes_back_fires_nothing_early)
{
    struct timer t = {0};
    ck_assert_uint_eq(advance_to(START + 10000), 0);
    wheel_set(&wheel, &t.entry, START + 11000);
    ck_assert_uint_eq(advance_to(0), 0);
    ck_assert_uint_eq(advance_to(START + 5000), 0);
    ck_assert_uint_eq(advance_to(START), 0);
    ck_assert_uint_eq(advance_to(START + 10999), 0);
    ck_assert_uint_eq(advance_to(START + 11000), 1);
}

TEST(ticks_wrap_at_32_bits)
{
    uint64_t wrap = START + ((uint64_t)UINT32_MAX + 1) * WHEEL_TICK_MS;
    advance_to(wrap - 4 * WHEEL_TICK_MS);
    struct timer before = {0}, at = {0}, after = {0}, turn_after = {0};
    wheel_set(&wheel, &turn_after.entry, wrap + 1000 + TURN_MS);
    wheel_set(&wheel, &after.entry, wrap + 1000);
    wheel_set(&wheel, &at.entry, wrap);
    wheel_set(&wheel, &before.entry, wrap - WHEEL_TICK_MS);
    for (uint64_t ms = now; ms <= wrap + 2000 + TURN_MS; ms += 50) {
        advance_to(ms);
        ck_assert_int_eq(before.fired, ms >= wrap - WHEEL_TICK_MS);
        ck_assert_int_eq(at.fired, ms >= wrap);
        ck_assert_int_eq(after.fired, ms >= wrap + 1000);
        ck_assert_int_eq(turn_after.fired, ms >= wrap + 1000 + TURN_MS);
    }
}

TEST(a_time_that_never_comes_is_held_for_years)
{
    struct timer t = {0};
    wheel_set(&wheel, &t.entry, UINT64_MAX);
    ck_assert_uint_eq(advance_to(START + 8ull * 365 * 86400 * 1000), 0);
    ck_assert_uint_eq(wheel.count, 1);
}

TEST(entries_of_one_tick_fire_in_the_order_set)
{
    struct timer timers[8] = {0};
    for (int i = 0; i < 8; i++)
        wheel_set(&wheel, &timers[i].entry, now + 1000);
    ck_assert_uint_eq(advance_to(START + 1000), 8);
    for (int i = 0; i < 8; i++)
        ck_assert_ptr_eq(order[i], &timers[i]);
}
