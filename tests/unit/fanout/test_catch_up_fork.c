// A history that begins anew, or that a failover has cut and continued: its events are new, whatever their
// ids say.
#include "gateway/fanout/cursor.h"
#include "gateway/fanout/gap.h"
#include "gateway/fanout/hub_cursor.h"
#include "gateway/fanout/message.h"
#include "tests/unit/lib/cursor_find.h"
#include "tests/unit/lib/hub_world.h"
#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.setup = hub_world_setup, .teardown = hub_world_teardown);

// The clock went back while Redis lost all: what comes is older by its id, and new all the same.
TEST(a_history_that_begins_anew_in_the_past_is_not_taken_for_old_events)
{
    join(0, FROM_NOW, 0);
    confirm(4);
    world.life = 500;
    live(1);
    live(2);
    ck_assert_str_eq(heard(0), "1 2");
}

TEST(who_is_behind_when_history_begins_anew_in_the_past_does_not_wait_for_the_clock)
{
    world.streams[0].room = 1;
    join(0, FROM_EVENT_ID, 1);
    confirm(4);
    page(1, 1, 4, true);
    ck_assert_str_eq(heard(0), "2");
    world.life = 500; // the key is deleted, and the clock has been set back
    live(1);
    world.streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    world.query.from.ms -= 500; // a place of the old life
    page(2, 1, 0, true);        // of which nothing is left
    ck_assert_str_eq(heard(0), "gap");
    live(2);
    ck_assert_str_eq(heard(0), "2");
}

// A failover lost event 4 of an old master that went on for a while; the new one has a 4 and more, of earlier
// times. What the client had of the lost branch it knows by offset.
TEST(what_a_failover_put_in_the_place_of_lost_events_is_delivered_behind_a_gap)
{
    const struct event_id lost = {.ms = world.life + 500, .offset = 4};
    join_at(0, FROM_EVENT_ID, lost);
    confirm(20);
    ck_assert(event_id_equal(world.query.from, lost));
    answer(world.query, 1, 0, true); // by its time nothing comes after it
    ck_assert_uint_eq(world.asked, 2);
    ck_assert(!world.streams[0].open);
    page(0, 1, 3, false);
    page(3, 3, 6, false);
    ck_assert(world.streams[0].open);
    ck_assert_str_eq(heard(0), "gap 4 5 6");
    page(6, 6, 20, true);
    live(21);
    ck_assert_str_eq(heard(0), "7 8 9 10 11 12 13 14 15 16 17 18 19 20 21");
}

TEST(who_looks_for_its_place_keeps_the_one_it_had)
{
    const struct event_id lost = {.ms = world.life + 500, .offset = 4};
    struct event_id at;
    char id[CURSOR_MAX];
    join_at(0, FROM_EVENT_ID, lost);
    confirm(20);
    answer(world.query, 1, 0, true);
    page(0, 1, 2, false);
    size_t len = hub_cursor(&world.streams[0].subscriber, id);
    ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_KNOWN);
    ck_assert(event_id_equal(at, lost));
    page_fails(2);
    ck_assert_str_eq(heard(0), "gap");
    live(21);
    ck_assert_str_eq(heard(0), "21");
}

TEST(who_looks_for_its_place_in_a_history_that_can_be_read_no_more_is_told_of_a_gap)
{
    join_at(0, FROM_EVENT_ID, (struct event_id){.ms = world.life + 500, .offset = 4});
    confirm(20);
    answer(world.query, 1, 0, true);
    ck_assert(event_id_is_zero(world.query.from));
    hub_unconfirm_all(world.hub);
    confirm(0); // Redis comes back empty, and then forbids to read
    hub_unconfirm_all(world.hub);
    confirm_without_history();
    ck_assert(world.streams[0].open);
    ck_assert_str_eq(heard(0), "gap");
    live(1);
    ck_assert_str_eq(heard(0), "1");
}

TEST(who_is_ahead_of_what_a_failover_left_is_told_of_a_gap)
{
    join_at(0, FROM_EVENT_ID, (struct event_id){.ms = world.life + 500, .offset = 4});
    confirm(3);
    answer(world.query, 1, 0, true);
    ck_assert_str_eq(heard(0), "gap");
    live(4);
    ck_assert_str_eq(heard(0), "4");
}

// Answers all queries, a hundred at most, with these entries as Redis has them.
static void answer_all(struct frame *const *entries, size_t count)
{
    for (unsigned answered = world.asked - 1; answered != world.asked && world.asked < 100; feed()) {
        answered = world.asked;
        struct frame *frames[8];
        struct history_page p = {.query = world.query, .at_end = true, .frames = frames};
        for (size_t i = 0; i < count; i++)
            if (!event_id_before(entries[i]->at, world.query.from))
                frames[p.count++] = frame_retain(entries[i]);
        hub_page(world.hub, world.channel, &p);
    }
    for (size_t i = 0; i < count; i++)
        frame_release(entries[i]);
}

static struct frame *entry(struct event_id at, struct event_id prev)
{
    const struct event_place place = {.at = at, .prev = prev, .epoch = 1};
    struct sse_event event = {.data = "x", .data_len = 1};
    return message_durable_frame(world.channel, &place, &event);
}

static void confirm_at(struct event_id last)
{
    hub_confirm(world.hub, world.channel,
                &(struct history_tail){
                    .has_history = true, .last = last, .epoch = 1, .subscribe_seq = world.last_seq});
    feed();
}

TEST(entries_that_lie_about_what_was_before_them_are_given_once)
{
    struct frame *entries[] = {entry((struct event_id){100, 2}, (struct event_id){0}),
                               entry((struct event_id){200, 3}, (struct event_id){60, 2})};
    join(0, FROM_EARLIEST, 0);
    confirm_at((struct event_id){200, 3});
    answer_all(entries, 2);
    ck_assert_str_eq(heard(0), "2 gap 3");
    ck_assert_uint_lt(world.asked, 5);
}

TEST(entries_of_others_are_announced_once_however_many_they_are)
{
    struct frame *entries[6] = {entry((struct event_id){100, 1}, (struct event_id){0})};
    for (uint64_t i = 1; i < 6; i++)
        entries[i] =
            gap_frame_durable(world.channel, 0, 0, entries[i - 1]->at, (struct event_id){100 + i, 0});
    for (size_t i = 1; i < 6; i++)
        entries[i]->is_foreign = true;
    join(0, FROM_EARLIEST, 0);
    confirm_at((struct event_id){105, 0});
    answer_all(entries, 6);
    ck_assert_str_eq(heard(0), "1 gap");
    ck_assert_uint_lt(world.asked, 5);
}

TEST(a_new_life_of_the_history_begins_without_a_gap_for_who_was_there)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    const struct event_place at = {.at = {.ms = 9000, .offset = 1}, .epoch = 9000};
    struct sse_event event = {.data = "x", .data_len = 1};
    struct frame *f = message_durable_frame(world.channel, &at, &event);
    hub_deliver(world.hub, f);
    frame_release(f);
    feed();
    ck_assert_str_eq(heard(0), "1");
    ck_assert_uint_eq(world.asked, 0);
}
