// What is remembered of a channel: what follows a place, whether something is missing between, and when it
// has to be read. Event n was published in millisecond 100 + n.
#include "gateway/fanout/replay.h"

#include <string.h>

#include "gateway/fanout/message.h"
#include "tests/unit/lib/unit_main.h"

enum { PLENTY = 1 << 20 };

static struct replay replay;

static struct event_id place(uint64_t n)
{
    return n ? (struct event_id){.ms = 100 + n, .offset = n} : (struct event_id){0};
}

static struct frame *event(uint64_t n, size_t size)
{
    static char data[REPLAY_RING_BYTES];
    memset(data, 'x', size);
    const struct event_place at = {.at = place(n), .prev = place(n - 1), .epoch = 101};
    struct sse_event e = {.data = data, .data_len = size};
    struct frame *f = message_durable_frame(channel_ref("c", 1), &at, &e);
    ck_assert_ptr_nonnull(f);
    return f;
}

static void append_sized(uint64_t n, size_t size, size_t budget)
{
    struct frame *f = event(n, size);
    replay_append(&replay, f, budget);
    frame_release(f);
}

static void append(uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++)
        append_sized(n, 1, PLENTY);
}

// A page from `from` on that holds first..last, none where last is 0.
static void page(uint64_t from, uint64_t first, uint64_t last, bool at_end, uint64_t live, size_t budget)
{
    struct frame *frames[64];
    size_t count = 0;
    for (uint64_t n = first; last && n <= last; n++)
        frames[count++] = event(n, 1);
    replay_add_page(&replay, place(from), at_end, frames, count, place(live), budget);
}

static void check_next(struct event_id at, enum replay_result result, uint64_t next)
{
    struct frame *f;
    ck_assert_int_eq(replay_next(&replay, at, &f), result);
    if (result == REPLAY_NEXT || result == REPLAY_GAP || result == REPLAY_MISSING) {
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(f->at.offset, next);
    }
}

static void teardown(void)
{
    replay_clear(&replay);
    ck_assert_uint_eq(replay_bytes(&replay), 0);
}

TESTS_WITH(.teardown = teardown);

TEST(nothing_says_nothing)
{
    check_next(place(0), REPLAY_UNREAD, 0);
    check_next(place(7), REPLAY_UNREAD, 0);
    ck_assert_ptr_null(replay_ring_first(&replay));
}

TEST(live_events_follow_each_other)
{
    append(5, 9);
    check_next(place(3), REPLAY_UNREAD, 0); // there may be more between
    for (uint64_t n = 4; n < 9; n++)
        check_next(place(n), REPLAY_NEXT, n + 1);
    check_next(place(9), REPLAY_UNREAD, 0);
    check_next((struct event_id){.ms = 106, .offset = 9}, REPLAY_MISSING, 7); // a place that never was
    ck_assert_uint_eq(replay_ring_first(&replay)->at.offset, 5);
}

TEST(an_event_that_does_not_follow_starts_anew)
{
    append(5, 9);
    append(11, 12);
    check_next(place(5), REPLAY_UNREAD, 0);
    check_next(place(10), REPLAY_NEXT, 11);
    ck_assert_uint_eq(replay.ring.count, 2);
}

TEST(the_ring_is_bounded_in_events_and_bytes_and_ends_with_the_newest)
{
    append(1, REPLAY_RING_FRAMES + 100);
    ck_assert_uint_eq(replay.ring.count, REPLAY_RING_FRAMES);
    check_next(place(101), REPLAY_NEXT, 102);
    check_next(place(99), REPLAY_UNREAD, 0);
    replay_clear(&replay);
    for (uint64_t n = 1; n <= 20; n++)
        append_sized(n, REPLAY_RING_BYTES / 8, 4 * PLENTY);
    ck_assert_uint_le(replay_bytes(&replay), REPLAY_RING_BYTES);
    ck_assert_uint_ge(replay.ring.count, 6);
    check_next(place(19), REPLAY_NEXT, 20);
}

TEST(without_budget_only_the_newest_stay)
{
    append_sized(1, 1000, 0);
    size_t one = replay_bytes(&replay);
    for (uint64_t n = 2; n < 20; n++)
        append_sized(n, 1000, 0);
    ck_assert_uint_le(replay_bytes(&replay), one);
    check_next(place(18), REPLAY_NEXT, 19);
}

TEST(a_page_says_what_follows_what_is_gone_and_where_it_ends)
{
    page(3, 3, 6, true, 0, PLENTY);
    check_next(place(2), REPLAY_UNREAD, 0); // before where it was read
    check_next(place(3), REPLAY_NEXT, 4);
    check_next(place(6), REPLAY_END, 0);
    check_next(place(7), REPLAY_LOST, 0);
    check_next((struct event_id){.ms = 104, .offset = 9}, REPLAY_MISSING, 5);
    page(2, 5, 6, true, 0, PLENTY); // in the place of the one before: 3 and 4 were trimmed
    check_next(place(2), REPLAY_MISSING, 5);
    check_next(place(4), REPLAY_NEXT, 5);
    page(2, 5, 6, false, 0, PLENTY); // a part
    check_next(place(6), REPLAY_UNREAD, 0);
    check_next(place(7), REPLAY_UNREAD, 0);
}

TEST(an_empty_page_says_that_there_is_nothing)
{
    page(0, 0, 0, true, 0, PLENTY);
    check_next(place(0), REPLAY_END, 0);
    check_next(place(1), REPLAY_LOST, 0);
    page(4, 0, 0, true, 0, PLENTY);
    check_next(place(3), REPLAY_UNREAD, 0);
    check_next(place(4), REPLAY_LOST, 0);
}

TEST(a_page_that_reaches_the_ring_makes_it_grow_downwards)
{
    append(10, 12);
    page(3, 3, 11, false, 12, PLENTY);
    replay_drop_page(&replay);
    for (uint64_t n = 2; n < 12; n++)
        check_next(place(n), REPLAY_NEXT, n + 1);
    ck_assert_uint_eq(replay.ring.count, 10);
}

TEST(a_page_that_reaches_the_live_end_becomes_the_ring)
{
    page(3, 3, 9, true, 8, PLENTY);
    replay_drop_page(&replay);
    check_next(place(3), REPLAY_NEXT, 4);
    check_next(place(8), REPLAY_UNREAD, 0); // 9 is to come live
    append(9, 9);
    check_next(place(8), REPLAY_NEXT, 9);
}

TEST(a_page_that_does_not_reach_the_ring_leaves_it_alone)
{
    append(10, 12);
    page(3, 3, 8, false, 12, PLENTY);
    ck_assert_uint_eq(replay.ring.count, 3);
    check_next(place(8), REPLAY_UNREAD, 0);
    check_next(place(5), REPLAY_NEXT, 6);
}

TEST(the_ring_grows_by_no_more_than_the_budget)
{
    append(10, 12);
    size_t before = replay_bytes(&replay), one = replay.ring.bytes / 3;
    page(3, 3, 11, false, 12, 2 * one);
    replay_drop_page(&replay);
    ck_assert_uint_le(replay_bytes(&replay), before + 2 * one);
    check_next(place(7), REPLAY_NEXT, 8);
    check_next(place(6), REPLAY_UNREAD, 0);
}

TEST(frames_are_shared_and_let_go)
{
    struct frame *f = event(1, 1);
    replay_append(&replay, f, PLENTY);
    ck_assert_uint_eq(atomic_load(&f->refs), 2);
    replay_drop_ring(&replay);
    ck_assert_uint_eq(atomic_load(&f->refs), 1);
    replay_add_page(&replay, place(0), true, &(struct frame *){frame_retain(f)}, 1, place(1), PLENTY);
    ck_assert_uint_eq(atomic_load(&f->refs), 3);
    replay_clear(&replay);
    ck_assert_uint_eq(atomic_load(&f->refs), 1);
    frame_release(f);
}
