// A channel that has ended: what its streams are told, and when nothing will come.
#include <string.h>

#include "gateway/fanout/hub_end.h"
#include "tests/unit/lib/hub_world.h"
#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.setup = hub_world_setup, .teardown = hub_world_teardown);

static bool is_over(size_t i)
{
    return hub_end_is_told(&world.streams[i].subscriber);
}

static bool is_at_end(size_t i)
{
    return hub_end_is_reached(&world.streams[i].subscriber);
}

TEST(streams_get_the_last_event_and_then_the_end)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    join(1, FROM_NOW, 0);
    confirm(1);
    live(2);
    ck_assert(!is_over(0) && !is_at_end(0));
    live(3);
    ck_assert_str_eq(heard(0), "2 3 end");
    ck_assert_str_eq(heard(1), "2 3 end");
    ck_assert(is_over(0) && is_over(1));
}

TEST(a_stream_that_has_read_everything_is_at_the_end_before_it_is_told)
{
    world.end = 5;
    join(0, FROM_EVENT_ID, 5);
    world.streams[0].open = false;
    confirm(5);
    ck_assert_uint_eq(world.streams[0].opened, 1);
    ck_assert(is_at_end(0));
    ck_assert_uint_eq(world.asked, 0); // Redis has nothing more to say
}

TEST(a_stream_that_begins_behind_the_end_is_at_the_end)
{
    world.end = 5;
    join(0, FROM_NOW, 0);
    ck_assert(!is_at_end(0)); // not known yet
    confirm(5);
    ck_assert(is_at_end(0) && is_over(0));
}

TEST(a_stream_that_lags_gets_what_it_missed_before_the_end)
{
    world.end = 5;
    join(0, FROM_EVENT_ID, 3);
    confirm(5);
    ck_assert(!is_at_end(0));
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4 5 end");
    ck_assert(is_over(0));
}

TEST(a_stream_with_all_that_is_kept_gets_it_before_the_end)
{
    world.end = 5;
    join(0, FROM_EARLIEST, 0);
    confirm(5);
    ck_assert(!is_at_end(0));
    page(0, 2, 5, true);
    ck_assert_str_eq(heard(0), "2 3 4 5 end");
    ck_assert(is_over(0));
}

TEST(a_stream_that_does_not_know_how_far_it_got_is_told_of_the_gap_before_the_end)
{
    world.end = 5;
    join(0, FROM_UNKNOWN, 0);
    confirm(5);
    ck_assert_str_eq(heard(0), "gap end");
    ck_assert(is_over(0));
}

TEST(a_position_behind_an_end_whose_history_has_expired_is_the_beginning_of_what_comes)
{
    world.end = 5;
    join(0, FROM_NOW, 0);
    confirm(5);
    ck_assert(is_over(0));
    join_at(1, FROM_EVENT_ID, (struct event_id){.ms = place(5).ms + 1});
    confirm(0); // the answer to what a stream that comes to an ended channel asks
    for (int n = 0; n < 30; n++) {
        page(0, 0, 0, true);
        later(300);
    }
    ck_assert_str_eq(heard(1), "");
    ck_assert(!is_over(1) && !is_at_end(1));
    world.life = 9000;
    live(1);
    ck_assert_str_eq(heard(1), "1");
}

TEST(a_hole_before_the_end_is_read_first)
{
    world.end = 5;
    join(0, FROM_NOW, 0);
    confirm(3);
    live(5);
    ck_assert_str_eq(heard(0), "");
    ck_assert(!is_over(0));
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4 5 end");
    ck_assert(is_over(0));
}

TEST(a_channel_is_not_taken_as_ended_until_its_tail_is_confirmed_anew)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(2);
    live(3);
    ck_assert(is_over(0));
    ck_assert_str_eq(heard(0), "3 end");
    hub_lost(world.hub, world.channel, false);
    ck_assert(!is_over(0) && !is_at_end(0));
    confirm(3);
    ck_assert(is_over(0));
    ck_assert_str_eq(heard(0), "end");
    hub_unconfirm(world.hub, world.channel);
    ck_assert(!is_over(0));
    // Meanwhile a new life of the channel has begun.
    world.end = 0;
    world.life = 2000;
    confirm(1);
    ck_assert(!is_over(0));
}

TEST(a_failover_that_loses_the_end_opens_the_channel_again)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(2);
    live(3);
    ck_assert_str_eq(heard(0), "3 end");
    hub_unconfirm_all(world.hub);
    confirm(2);
    ck_assert(!is_over(0) && !is_at_end(0));
}

TEST(the_end_that_came_while_the_channel_was_not_confirmed_is_told_with_the_confirmation)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(2);
    hub_unconfirm(world.hub, world.channel);
    live(3);
    ck_assert_str_eq(heard(0), "3");
    ck_assert(!is_over(0));
    confirm(3);
    ck_assert_str_eq(heard(0), "end");
    ck_assert(is_over(0));
}

TEST(an_end_that_was_missed_is_told_with_what_was_missed)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(1);
    hub_unconfirm(world.hub, world.channel);
    confirm(3);
    ck_assert(!is_over(0));
    page(1, 1, 3, true);
    ck_assert_str_eq(heard(0), "2 3 end");
}

TEST(the_end_is_told_once_however_often_the_channel_is_confirmed)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(2);
    live(3);
    confirm(3);
    confirm(3);
    ck_assert_str_eq(heard(0), "3 end");
}

// The first event of a new life may be on its way to the hub: who comes is not told that nothing will come.
TEST(a_stream_that_comes_to_a_channel_that_had_ended_asks_whether_that_is_still_so)
{
    static const enum hub_from from[] = {FROM_NOW, FROM_EVENT_ID, FROM_EARLIEST};
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(3);
    for (size_t i = 0; i < 3; i++) {
        unsigned asked = world.interests;
        join(1, from[i], from[i] == FROM_EVENT_ID ? 3 : 0);
        ck_assert_uint_eq(world.interests, asked + 1);
        feed();
        ck_assert_uint_eq(world.streams[1].opened, 0);
        ck_assert(!is_at_end(1) || from[i] != FROM_NOW);
        leave(1);
        confirm(3);
    }
    join(1, FROM_NOW, 0);
    confirm(3);
    ck_assert(is_at_end(1) && world.streams[1].opened == 1);
    // It has begun anew.
    join(2, FROM_EVENT_ID, 3);
    world.life = 9000;
    world.end = 0;
    confirm(1);
    ck_assert(!is_at_end(2));
    answer(world.query, 1, 1, true);
    ck_assert_str_eq(heard(2), "gap 1");
}

TEST(a_channel_without_history_never_ends)
{
    world.end = 2;
    join(0, FROM_NOW, 0);
    confirm_without_history();
    live(1);
    live(2);
    ck_assert_str_eq(heard(0), "1 2");
    ck_assert(!is_over(0) && !is_at_end(0));
}

TEST(an_event_behind_the_end_opens_the_channel_again)
{
    world.end = 2;
    join(0, FROM_NOW, 0);
    confirm(1);
    live(2);
    ck_assert_str_eq(heard(0), "2 end");
    world.end = 0;
    world.life = 2000;
    live(1);
    ck_assert_str_eq(heard(0), "1");
    ck_assert(!is_over(0));
    // And it may end again.
    world.end = 2;
    live(2);
    ck_assert_str_eq(heard(0), "2 end");
    ck_assert(is_over(0));
}

TEST(a_stream_that_lags_is_told_of_the_end_behind_which_a_new_life_has_begun)
{
    world.end = 3;
    join(0, FROM_EVENT_ID, 1);
    confirm(3);
    const struct history_query asked = world.query;
    const uint64_t old_life = world.life;
    world.life = 9000;
    world.end = 0;
    live(1);
    world.life = old_life;
    world.end = 3;
    answer(asked, 1, 3, true); // it was read before the new life began
    ck_assert_str_eq(heard(0), "2 3 end");
    ck_assert(!is_over(0) && !is_at_end(0));
    world.life = 9000;
    world.end = 0;
    answer(world.query, 1, 1, true);
    ck_assert_str_eq(heard(0), "gap 1");
}

// The socket is full behind the last event, and the new life begins before the stream has caught up.
TEST(a_stream_that_has_the_last_event_is_told_of_the_end_also_where_a_new_life_begins_first)
{
    world.end = 3;
    world.streams[0].room = 2;
    join(0, FROM_EVENT_ID, 1);
    confirm(3);
    answer(world.query, 1, 3, true);
    ck_assert_str_eq(heard(0), "2 3");
    world.life = 9000;
    world.end = 0;
    live(1);
    world.streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    answer(world.query, 1, 1, true);
    ck_assert_str_eq(heard(0), "end gap 1");
    live(2);
    ck_assert_str_eq(heard(0), "2");
}

TEST(an_end_that_came_while_the_channel_was_not_confirmed_is_told_before_a_new_life)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(2);
    hub_unconfirm(world.hub, world.channel);
    live(3);
    ck_assert_str_eq(heard(0), "3");
    world.life = 9000;
    world.end = 0;
    confirm(1);
    answer(world.query, 1, 1, true);
    ck_assert_str_eq(heard(0), "end gap 1");
}

TEST(a_stream_that_was_told_of_the_end_is_not_told_again_when_it_is_gone)
{
    world.end = 3;
    join(0, FROM_NOW, 0);
    confirm(2);
    live(3);
    ck_assert_str_eq(heard(0), "3 end");
    hub_unconfirm(world.hub, world.channel);
    world.life = 9000;
    world.end = 0;
    confirm(1);
    answer(world.query, 1, 1, true);
    ck_assert_str_eq(heard(0), "gap 1");
}

TEST(a_client_of_the_old_life_is_told_that_another_one_began)
{
    world.end = 2;
    world.life = 2000;
    join_at(0, FROM_EVENT_ID, (struct event_id){.ms = 1002, .offset = 2});
    confirm(1);
    ck_assert(!is_at_end(0));
    ck_assert(event_id_equal(world.query.from, (struct event_id){.ms = 1002, .offset = 2}));
    answer(world.query, 1, 1, true);
    ck_assert_str_eq(heard(0), "gap 1");
    ck_assert(!is_over(0));
}

// Two channels.

static void join_two(size_t i, struct event_id at)
{
    const struct hub_name names[] = {{.channel = world.channel, .from = FROM_EVENT_ID, .at = at},
                                     {.channel = channel_ref("b", 1)}};
    ck_assert(hub_join(world.hub, &world.streams[i].subscriber, names, 2));
}

static void in_channel(const char *name)
{
    world.channel = channel_ref(name, 1);
}

TEST(a_stream_is_over_when_the_last_of_its_channels_has_ended)
{
    world.end = 3;
    join_two(0, place(1));
    confirm(1);
    in_channel("b");
    confirm(1);
    in_channel("a");
    live(2);
    live(3);
    ck_assert_str_eq(heard(0), "2 3 end");
    ck_assert(!is_over(0));
    in_channel("b");
    live(2);
    ck_assert(!is_over(0));
    live(3);
    ck_assert_str_eq(heard(0), "2 3 end");
    ck_assert(is_over(0));
}

TEST(a_stream_that_lags_in_one_channel_is_not_over_while_the_other_one_ends)
{
    world.end = 5;
    join_two(0, place(3));
    confirm(4);
    in_channel("b");
    confirm(4);
    live(5);
    ck_assert_str_eq(heard(0), "");
    in_channel("a");
    page(3, 3, 4, true);
    ck_assert(!is_over(0));
    live(5);
    ck_assert(is_over(0));
    ck_assert_ptr_nonnull(strstr(heard(0), "4 5 end"));
}

TEST(an_opened_stream_is_told_of_each_channel_that_has_ended)
{
    world.end = 5;
    join_two(0, place(4));
    confirm(5);
    in_channel("b");
    confirm(5);
    // `a` still lacks an event; the stream has a slot in `b`.
    ck_assert(!is_at_end(0));
    world.streams[0].open = true;
    hub_end_tell_opened(world.hub, &world.streams[0].subscriber);
    ck_assert_str_eq(heard(0), "end");
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    in_channel("a");
    page(4, 4, 5, true);
    ck_assert_str_eq(heard(0), "5 end");
    ck_assert(is_over(0));
}

TEST(a_stream_is_over_with_the_end_of_the_last_channel_that_it_is_told_of)
{
    world.end = 5;
    join(1, FROM_EVENT_ID, 3);
    confirm(5);
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(1), "4 5 end");
    in_channel("b");
    join(2, FROM_NOW, 0);
    confirm(5);
    // What `a` lacks is there already, and `b` lacks nothing.
    const struct hub_name names[] = {
        {.channel = world.channel, .from = FROM_EVENT_ID, .at = place(5)},
        {.channel = channel_ref("a", 1), .from = FROM_EVENT_ID, .at = place(3)},
    };
    struct subscriber *s = &world.streams[0].subscriber;
    ck_assert(hub_join(world.hub, s, names, 2));
    confirm(5);
    in_channel("a");
    confirm(5);
    feed();
    ck_assert_str_eq(heard(0), "4 5 end end");
    ck_assert_uint_eq(world.streams[0].overs, 1);
}
