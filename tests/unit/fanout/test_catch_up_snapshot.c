// A snapshot stands for all events before it: streams begin with it, and what is gone before it is no gap.
#include <string.h>

#include "gateway/fanout/cursor.h"
#include "gateway/fanout/hub_cursor.h"
#include "gateway/fanout/message.h"
#include "tests/unit/lib/cursor_find.h"
#include "tests/unit/lib/hub_world.h"
#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.setup = hub_world_setup, .teardown = hub_world_teardown);

static enum hub_standing standing(size_t i)
{
    return hub_standing(&world.streams[i].subscriber, 0);
}

// Answers all queries, from the event that each asks for.
static void pages(uint64_t first, uint64_t last)
{
    for (unsigned answered = 0; answered != world.asked;) {
        answered = world.asked;
        uint64_t n = first;
        while (n < last && event_id_before(place(n), world.query.from))
            n++;
        answer(world.query, n, last, true);
    }
}

TEST(a_stream_that_begins_now_begins_with_the_newest_snapshot)
{
    world.snapshot = 5;
    join(0, FROM_NOW, 0);
    join(1, FROM_NOW, 0);
    confirm(7);
    ck_assert_uint_eq(world.streams[0].opened, 0);
    page(0, 5, 7, true);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(world.streams[i].opened, 1);
        ck_assert_str_eq(heard(i), "5* 6 7");
        ck_assert_int_eq(standing(i), HUB_FRESH);
    }
    live(8);
    ck_assert_str_eq(heard(0), "8");
    ck_assert_uint_eq(world.asked, 1);
}

TEST(a_stream_that_comes_to_a_known_channel_begins_with_a_snapshot_that_was_live)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    world.snapshot = 5;
    live(4);
    live(5);
    live(6);
    ck_assert_str_eq(heard(0), "4 5* 6");
    join(1, FROM_NOW, 0);
    page(0, 5, 6, true);
    ck_assert_str_eq(heard(1), "5* 6");
    world.snapshot = 7;
    live(7);
    join(2, FROM_NOW, 0);
    ck_assert_str_eq(heard(2), "7*");
    ck_assert_uint_eq(world.asked, 1); // the new one was at hand
}

TEST(old_cursors_of_any_kind_get_the_snapshot_without_a_gap)
{
    world.snapshot = 5;
    join(0, FROM_EVENT_ID, 2);
    join(1, FROM_UNKNOWN, 0);
    join(2, FROM_EARLIEST, 0);
    join(3, FROM_EVENT_ID, 0);
    join(4, FROM_EVENT_ID, 4);
    join_at(5, FROM_EVENT_ID, (struct event_id){.ms = 500, .offset = 77}); // of another life
    confirm(6);
    pages(5, 6);
    ck_assert_uint_eq(world.asked, 1);
    for (size_t i = 0; i <= 5; i++) {
        ck_assert_str_eq(heard(i), "5* 6");
        ck_assert_int_eq(standing(i), HUB_FRESH); // it has a slot by now
    }
}

TEST(a_stream_that_is_healed_by_a_snapshot_is_resumed)
{
    world.snapshot = 5;
    join(0, FROM_UNKNOWN, 0);
    join(1, FROM_EVENT_ID, 2);
    for (size_t i = 0; i < 2; i++)
        world.streams[i].readiness = SUBSCRIBER_BLOCKED;
    confirm(6);
    pages(5, 6);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(standing(i), HUB_RESUMED);
}

TEST(behind_the_snapshot_a_cursor_goes_on_as_ever)
{
    world.snapshot = 5;
    join(0, FROM_EVENT_ID, 6);
    confirm(8);
    page(6, 6, 8, true);
    ck_assert_str_eq(heard(0), "7 8");
}

TEST(a_snapshot_that_is_not_kept_stands_for_nothing)
{
    world.snapshot = 5;
    join(0, FROM_NOW, 0);
    join(1, FROM_UNKNOWN, 0);
    join(2, FROM_EVENT_ID, 2);
    confirm(9);
    pages(7, 9);
    ck_assert_str_eq(heard(0), "");
    ck_assert_int_eq(standing(0), HUB_FRESH);
    ck_assert_str_eq(heard(1), "gap");
    ck_assert_str_eq(heard(2), "gap 7 8 9");
    join(3, FROM_NOW, 0); // nor is it asked for again
    ck_assert_uint_eq(world.asked, 2);
    live(10);
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(heard(i), "10");
}

TEST(a_cursor_ahead_of_the_history_is_told_of_its_loss_all_the_same)
{
    world.snapshot = 5;
    join(0, FROM_EVENT_ID, 9);
    confirm(7);
    page(9, 0, 0, true);
    ck_assert_str_eq(heard(0), "gap");
    live(8);
    ck_assert_str_eq(heard(0), "8");
}

// A restart of Redis lost snapshot 5, and its publisher sent it again: what the client had with that offset or above is in no
// history.
TEST(a_snapshot_in_the_place_of_an_event_that_was_lost_comes_behind_a_gap)
{
    world.snapshot = 5;
    join_at(0, FROM_EVENT_ID, (struct event_id){.ms = world.life + 4, .offset = 5});
    join_at(1, FROM_EVENT_ID, (struct event_id){.ms = world.life + 4, .offset = 6});
    confirm(6);
    pages(5, 6);
    ck_assert_str_eq(heard(0), "gap 5* 6");
    ck_assert_str_eq(heard(1), "gap 5* 6");
}

TEST(a_stream_that_lags_skips_to_a_new_snapshot)
{
    join(0, FROM_EVENT_ID, 1);
    world.streams[0].room = 2;
    confirm(5);
    page(1, 1, 5, true);
    ck_assert_str_eq(heard(0), "2 3");
    world.snapshot = 7;
    live(6);
    live(7);
    live(8);
    world.streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    ck_assert_str_eq(heard(0), "7* 8");
    ck_assert_uint_eq(world.asked, 1);
}

TEST(a_hole_before_a_snapshot_is_neither_read_nor_told)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    world.snapshot = 7;
    live(7);
    ck_assert_str_eq(heard(0), "7*");
    ck_assert_uint_eq(world.asked, 0);
    live(8);
    ck_assert_str_eq(heard(0), "8");
}

TEST(a_snapshot_that_was_missed_is_found_by_streams_that_come_then)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    world.snapshot = 5;
    live(7); // 4 to 6 are missing
    join(1, FROM_NOW, 0);
    pages(5, 7);
    ck_assert_str_eq(heard(1), "5* 6 7");
    ck_assert_str_eq(heard(0), "5* 6 7");
}

TEST(a_page_from_before_a_snapshot_does_not_bring_back_what_it_stands_for)
{
    join(0, FROM_EVENT_ID, 1);
    confirm(4);
    world.snapshot = 5;
    live(5);
    page(1, 1, 4, true);
    ck_assert_str_eq(heard(0), "5*");
    join(1, FROM_NOW, 0);
    join(2, FROM_EARLIEST, 0);
    ck_assert_str_eq(heard(1), "5*");
    ck_assert_str_eq(heard(2), "5*");
    ck_assert_uint_eq(world.asked, 1);
}

TEST(a_history_that_cannot_be_read_keeps_no_stream_from_beginning)
{
    world.snapshot = 5;
    join(0, FROM_NOW, 0);
    join(1, FROM_UNKNOWN, 0);
    confirm(7);
    page_fails(0);
    ck_assert_str_eq(heard(0), "");
    ck_assert_str_eq(heard(1), "gap");
    live(8);
    ck_assert_str_eq(heard(0), "8");
    ck_assert_str_eq(heard(1), "8");
}

TEST(a_new_life_of_the_history_has_no_snapshot_of_the_old_one)
{
    join(0, FROM_NOW, 0);
    confirm(0);
    world.snapshot = 1;
    live(1);
    world.snapshot = 0;
    world.life = 5000;
    live(1);
    ck_assert_str_eq(heard(0), "1* 1");
    join(1, FROM_NOW, 0);
    live(2);
    ck_assert_str_eq(heard(1), "2");
    ck_assert_uint_eq(world.asked, 0);
}

TEST(an_event_that_came_before_the_confirmation_does_not_hide_the_snapshot)
{
    join(0, FROM_NOW, 0);
    world.snapshot = 5;
    live(8);
    confirm(7);
    page(0, 5, 8, true);
    ck_assert_str_eq(heard(0), "5* 6 7 8");
}

TEST(a_hole_before_the_confirmation_does_not_hide_the_snapshot)
{
    join(0, FROM_NOW, 0);
    world.snapshot = 3;
    live(5);
    live(8);
    confirm(7);
    page(0, 3, 8, true);
    ck_assert_str_eq(heard(0), "3* 4 5 6 7 8");
}

// It was opened as one that has begun, so what it does not get must be told.
TEST(a_snapshot_that_goes_before_the_stream_has_it_is_a_gap)
{
    world.snapshot = 5;
    world.streams[0].readiness = SUBSCRIBER_BLOCKED;
    join(0, FROM_NOW, 0);
    confirm(7);
    page(0, 5, 7, true);
    ck_assert_uint_eq(world.streams[0].opened, 1);
    live(9); // there is a hole before it: what was read is forgotten
    world.streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    page(0, 6, 9, true);
    ck_assert_str_eq(heard(0), "gap 6 7 8 9");
}

TEST(the_cursor_of_a_stream_that_waits_for_the_snapshot_leads_to_it)
{
    char id[CURSOR_MAX];
    struct event_id at = {.ms = 1};
    world.snapshot = 5;
    world.streams[0].readiness = SUBSCRIBER_BLOCKED;
    join(0, FROM_NOW, 0);
    confirm(7);
    page(0, 5, 7, true);
    ck_assert(hub_is_new_to_history(&world.streams[0].subscriber, false));
    size_t len = hub_cursor(&world.streams[0].subscriber, id);
    ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_KNOWN);
    ck_assert(event_id_is_zero(at));
}
