// What a stream cannot be given any more is a gap, once, in its place; what is only late is waited for.
#include <string.h>

#include "gateway/fanout/cursor.h"
#include "gateway/fanout/gap.h"
#include "gateway/fanout/hub_cursor.h"
#include "gateway/fanout/message.h"
#include "tests/unit/lib/cursor_find.h"
#include "tests/unit/lib/hub_world.h"
#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.setup = hub_world_setup, .teardown = hub_world_teardown);

TEST(what_was_trimmed_is_a_gap)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(9);
    page(2, 7, 9, true);
    ck_assert_str_eq(heard(0), "gap 7 8 9");
}

TEST(a_hole_is_filled_before_what_is_newer)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    live(4);
    live(7);
    ck_assert_str_eq(heard(0), "4");
    live(8);
    page(4, 4, 8, true);
    ck_assert_str_eq(heard(0), "5 6 7 8");
    live(9);
    ck_assert_str_eq(heard(0), "9");
}

TEST(a_history_that_is_short_for_long_is_a_gap_for_all_at_once)
{
    for (size_t i = 0; i < 5; i++)
        join(i, FROM_EVENT_ID, 3);
    confirm(5);
    for (int n = 0; n < 30 && world.asked < 30 && !strstr(world.streams[0].heard, "gap"); n++) {
        page(3, 3, 3, true);
        later(300);
    }
    for (size_t i = 0; i < 5; i++)
        ck_assert_str_eq(heard(i), "gap");
    live(6);
    for (size_t i = 0; i < 5; i++)
        ck_assert_str_eq(heard(i), "6");
}

// Redis has nothing of the channel, for as long as is waited for it.
static void history_is_empty(void)
{
    for (int n = 0; n < 30; n++) {
        if (event_id_is_zero(world.query.from))
            page(0, 0, 0, true);
        later(300);
    }
}

TEST(a_history_that_expired_before_the_position_was_read_is_no_gap)
{
    join(0, FROM_NOW, 0);
    confirm(4);
    live(5);
    join_at(1, FROM_EVENT_ID, (struct event_id){.ms = place(5).ms});
    join_at(2, FROM_EVENT_ID, (struct event_id){.ms = place(4).ms});
    join_at(3, FROM_EVENT_ID, (struct event_id){0});
    history_is_empty();
    ck_assert_str_eq(heard(1), "");
    ck_assert_str_eq(heard(2), "gap");
    ck_assert_str_eq(heard(3), "gap");
    world.life = 5000;
    live(1);
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(heard(i), i == 0 ? "5 1" : "1");
}

TEST(a_history_that_began_after_the_position_is_read_though_its_clock_is_behind)
{
    join_at(0, FROM_EVENT_ID, (struct event_id){.ms = 9000});
    confirm(3);
    page(0, 1, 3, true);
    ck_assert_str_eq(heard(0), "1 2 3");
}

TEST(a_history_that_lags_is_waited_for)
{
    join(0, FROM_EVENT_ID, 3);
    confirm(5);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4");
    ck_assert_uint_eq(world.asked, 1);
    later(300);
    ck_assert_uint_eq(world.asked, 2);
    page(4, 4, 5, true);
    ck_assert_str_eq(heard(0), "5");
}

TEST(a_page_that_cannot_be_had_is_a_gap_for_those_who_wait)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page_fails(2);
    ck_assert_str_eq(heard(0), "gap");
    live(5);
    ck_assert_str_eq(heard(0), "5");
}

TEST(a_page_that_fails_costs_nothing_to_those_who_need_none)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page(2, 2, 4, true);
    join(1, FROM_EVENT_ID, 0); // older than what is remembered
    world.streams[2].readiness = SUBSCRIBER_BLOCKED;
    join(2, FROM_EVENT_ID, 3);
    page_fails(0);
    ck_assert_str_eq(heard(1), "gap");
    world.streams[2].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[2].subscriber);
    feed();
    ck_assert_str_eq(heard(2), "4");
}

TEST(without_history_who_resumes_gets_one_gap_and_then_what_is_live)
{
    join(0, FROM_EVENT_ID, 2);
    join(1, FROM_UNKNOWN, 0);
    join(2, FROM_EARLIEST, 0);
    join(3, FROM_NOW, 0);
    confirm_without_history();
    ck_assert_str_eq(heard(0), "gap");
    ck_assert_str_eq(heard(1), "gap");
    ck_assert_str_eq(heard(2), "");
    live(7);
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(heard(i), "7");
}

TEST(without_history_a_hole_is_a_gap_before_the_event_behind_it)
{
    join(0, FROM_NOW, 0);
    confirm_without_history();
    live(4);
    live(7);
    live(8);
    ck_assert_str_eq(heard(0), "4 gap 7 8");
}

TEST(a_lost_message_is_asked_for_and_filled)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    ck_assert(!hub_lost(world.hub, world.channel, false));
    ck_assert_uint_eq(world.interests, 2);
    confirm(4);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4");
    confirm(4);
    live(5);
    ck_assert_str_eq(heard(0), "5");
}

TEST(who_is_subscribed_anew_waits_for_the_confirmation_that_follows)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_unconfirm_all(world.hub);
    ck_assert(!hub_lost(world.hub, world.channel, true));
    ck_assert_uint_eq(world.interests, 1); // nobody is asked
    confirm(5);
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4 5");
}

TEST(a_channel_of_both_kinds_is_told_of_a_loss_since_no_history_has_the_plain_ones)
{
    struct sse_event event = {.data = "x", .data_len = 1};
    struct frame *plain = frame_create(&event, world.channel), *gap = gap_frame(world.channel);
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_deliver(world.hub, gap); // is none
    ck_assert(!hub_lost(world.hub, world.channel, true));
    hub_deliver(world.hub, plain);
    ck_assert(hub_lost(world.hub, world.channel, true));
    ck_assert(hub_lost(world.hub, world.channel, false));
    ck_assert_uint_eq(world.interests, 2);
    frame_release(plain);
    frame_release(gap);
}

TEST(a_loss_is_told_where_nobody_said_that_the_channel_has_durable_events_only)
{
    hub_destroy(world.hub);
    hub_world_create_hub(false);
    join(0, FROM_NOW, 0);
    confirm(3);
    ck_assert(hub_lost(world.hub, world.channel, true));
    ck_assert(hub_lost(world.hub, world.channel, false));
    confirm(4);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4"); // the durable ones are filled in all the same
}

TEST(a_message_that_is_lost_before_the_first_confirmation_is_asked_for)
{
    join(0, FROM_EVENT_ID, 2);
    const uint64_t before = world.last_seq;
    ck_assert(!hub_lost(world.hub, world.channel, false));
    ck_assert_uint_eq(world.interests, 2);
    const struct history_tail older = {
        .has_history = true, .last = place(2), .epoch = world.life + 1, .subscribe_seq = before};
    hub_confirm(world.hub, world.channel, &older); // when it was asked, nothing had been lost yet
    ck_assert(!world.streams[0].open);
    confirm(3);
    page(2, 2, 3, true);
    ck_assert_str_eq(heard(0), "3");
}

TEST(a_message_that_is_lost_while_a_confirmation_is_on_its_way_is_asked_for)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_unconfirm_all(world.hub);
    ck_assert(!hub_lost(world.hub, world.channel, false));
    ck_assert_uint_eq(world.interests, 2);
    confirm(3); // what was read before
    confirm(4);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4");
}

// Where nobody can say how far a stream has got in a channel with events, its cursor says that.
TEST(a_durable_channel_without_readable_history_is_unknown_in_the_cursor)
{
    const struct hub_name names[] = {{.channel = world.channel}, {.channel = channel_ref("b", 1)}};
    const struct channel_ref b = channel_ref("b", 1);
    char id[CURSOR_MAX];
    struct event_id at;
    ck_assert(hub_join(world.hub, &world.streams[0].subscriber, names, 2));
    confirm_without_history();
    hub_confirm(
        world.hub, b,
        &(struct history_tail){.has_history = true, .last = place(3), .subscribe_seq = world.last_seq});
    size_t len = hub_cursor(&world.streams[0].subscriber, id);
    ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_NEW);
    live(7);
    len = hub_cursor(&world.streams[0].subscriber, id);
    ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_UNKNOWN);
    ck_assert_int_eq(cursor_find(id, len, "b", 1, &at), CURSOR_KNOWN);
}

// An id of the channel's beginning would bring the client all that it has had once more.
TEST(a_gap_behind_which_no_place_is_known_leaves_the_client_its_id)
{
    join(0, FROM_EVENT_ID, 2);
    join(1, FROM_UNKNOWN, 0);
    confirm_without_history();
    for (size_t i = 0; i < 2; i++) {
        ck_assert_str_eq(heard(i), "gap");
        ck_assert(!world.streams[i].has_id);
    }
    live(7);
    ck_assert(world.streams[0].has_id);
}

TEST(a_gap_in_a_history_that_is_empty_has_the_id_of_its_beginning)
{
    join(0, FROM_UNKNOWN, 0);
    confirm(0);
    ck_assert_str_eq(heard(0), "gap");
    ck_assert(world.streams[0].has_id);
}

// Else the client would begin anew the next time, and not be told of what it has missed meanwhile.
TEST(a_place_that_no_history_could_tell_stays_unknown_in_the_cursor)
{
    const struct channel_ref b = channel_ref("b", 1);
    const struct hub_name names[] = {{.channel = world.channel, .from = FROM_EVENT_ID, .at = place(2)},
                                     {.channel = b}};
    char id[CURSOR_MAX];
    struct event_id at;
    ck_assert(hub_join(world.hub, &world.streams[0].subscriber, names, 2));
    confirm_without_history();
    ck_assert_uint_eq(hub_cursor(&world.streams[0].subscriber, id), 0); // it keeps the id that it came with
    hub_confirm(
        world.hub, b,
        &(struct history_tail){.has_history = true, .last = place(3), .subscribe_seq = world.last_seq});
    for (int gap = 0; gap < 2; gap++) {
        size_t len = hub_cursor(&world.streams[0].subscriber, id);
        ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_UNKNOWN);
        ck_assert_int_eq(cursor_find(id, len, "b", 1, &at), CURSOR_KNOWN);
        feed();
        ck_assert_str_eq(heard(0), gap ? "" : "gap");
    }
}

// An event that is on its way then is not new when it comes.
TEST(a_history_that_can_be_read_in_the_end_is_a_gap_for_those_who_were_there_before)
{
    join(0, FROM_NOW, 0);
    confirm_without_history();
    const struct hub_name once = {
        .channel = world.channel, .from = FROM_EVENT_ID, .at = place(4), .to_the_tail = true};
    ck_assert(hub_join(world.hub, &world.streams[1].subscriber, &once, 1));
    ck_assert_uint_eq(world.interests, 2);
    confirm(5);
    live(5);
    live(6);
    ck_assert_str_eq(heard(0), "gap 6");
}

TEST(a_history_that_can_be_read_after_a_reconnect_is_a_gap_for_open_streams_alone)
{
    join(0, FROM_NOW, 0);
    confirm_without_history();
    hub_unconfirm_all(world.hub);
    ck_assert(hub_lost(world.hub, world.channel, true));
    join(1, FROM_NOW, 0);
    confirm(5);
    live(5);
    live(6);
    ck_assert_str_eq(heard(0), "gap 6");
    ck_assert_str_eq(heard(1), "6");
}

TEST(a_history_that_can_be_read_in_the_end_and_is_empty_is_no_gap)
{
    join(0, FROM_NOW, 0);
    confirm_without_history();
    hub_unconfirm_all(world.hub);
    confirm(0);
    live(1);
    ck_assert_str_eq(heard(0), "1");
}
