// Streams that come back: each event that they missed once and in order, then what is live. What they are not
// given is in test_catch_up_gap.c, lives of a history in test_catch_up_fork.c, bounds in
// test_catch_up_memory.c.
#include "tests/unit/lib/hub_world.h"
#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.setup = hub_world_setup, .teardown = hub_world_teardown);

TEST(who_resumes_gets_what_it_missed_once_and_then_what_is_live)
{
    join(0, FROM_EVENT_ID, 2);
    ck_assert_uint_eq(world.asked, 0); // not before it is known how far the channel has got
    confirm(4);
    ck_assert_uint_eq(world.asked, 1);
    ck_assert(event_id_equal(world.query.from, place(2)));
    ck_assert(!world.streams[0].open);
    live(5);
    page(2, 2, 5, true);
    ck_assert_str_eq(heard(0), "3 4 5");
    live(6);
    ck_assert_str_eq(heard(0), "6");
    ck_assert_uint_eq(world.streams[0].opened, 1);
}

TEST(who_is_at_the_end_opens_without_a_question)
{
    join(0, FROM_EVENT_ID, 4);
    confirm(4);
    ck_assert_uint_eq(world.asked, 0);
    ck_assert(world.streams[0].open);
    live(5);
    ck_assert_str_eq(heard(0), "5");
}

static void join_to_the_tail(size_t i, uint64_t at)
{
    const struct hub_name name = {
        .channel = world.channel, .from = FROM_EVENT_ID, .at = place(at), .to_the_tail = true};
    ck_assert(hub_join(world.hub, &world.streams[i].subscriber, &name, 1));
    feed();
}

TEST(who_is_to_read_to_the_tail_waits_for_an_answer_that_is_newer_than_it)
{
    join(0, FROM_NOW, 0);
    confirm(4);
    join_to_the_tail(1, 4);
    unsigned interests = world.interests;
    join_to_the_tail(2, 4);
    ck_assert_uint_eq(world.interests, interests); // one question at a time
    ck_assert(!world.streams[1].open && !world.streams[2].open);
    confirm(5);
    page(4, 5, 5, true);
    ck_assert_str_eq(heard(0), "5");
    ck_assert_str_eq(heard(1), "5");
    ck_assert(!world.streams[2].open);
    ck_assert_uint_eq(world.interests, interests + 1);
    confirm(5);
    ck_assert_str_eq(heard(2), "5");
    ck_assert(hub_has_caught_up(&world.streams[2].subscriber));
}

// Stream 0 is live with event 4. Stream 1 is to read to the tail, and Redis answers with event 5, whose message has not come.
static void be_ahead_of_the_bus(void)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    live(4);
    ck_assert_str_eq(heard(0), "4");
    join_to_the_tail(1, 3);
    confirm(5);
    ck_assert(!world.streams[1].open);
}

TEST(a_tail_whose_message_is_on_its_way_leaves_live_streams_where_they_are)
{
    be_ahead_of_the_bus();
    ck_assert_uint_eq(world.asked, 0);
    unsigned interests = world.interests;
    live(5);
    ck_assert_str_eq(heard(0), "5");
    ck_assert_uint_eq(world.interests, interests);
    page(3, 4, 5, true);
    ck_assert_str_eq(heard(1), "4 5");
    ck_assert(hub_has_caught_up(&world.streams[1].subscriber));
    ck_assert_uint_eq(world.asked, 1);
    later(1000);
    ck_assert_uint_eq(world.asked, 1);
    live(6);
    ck_assert_str_eq(heard(0), "6");
}

TEST(a_tail_whose_message_does_not_come_is_believed_after_a_while)
{
    be_ahead_of_the_bus();
    later(500);
    page(3, 4, 5, true);
    ck_assert_str_eq(heard(0), "5");
    ck_assert_str_eq(heard(1), "4 5");
    ck_assert(hub_has_caught_up(&world.streams[1].subscriber));
    live(6);
    ck_assert_str_eq(heard(0), "6");
}

TEST(a_loss_behind_a_tail_whose_message_has_not_come_is_read)
{
    be_ahead_of_the_bus();
    (void)hub_lost(world.hub, world.channel, false);
    confirm(6);
    page(3, 4, 6, true);
    ck_assert_str_eq(heard(0), "5 6");
    ck_assert_str_eq(heard(1), "4 5 6");
    live(7);
    ck_assert_str_eq(heard(0), "7");
}

TEST(redis_goes_behind_a_tail_whose_message_has_not_come)
{
    be_ahead_of_the_bus();
    hub_unconfirm_all(world.hub);
    later(1000);
    ck_assert(!world.streams[1].open);
    confirm(6);
    page(3, 4, 6, true);
    ck_assert_str_eq(heard(0), "5 6");
    ck_assert_str_eq(heard(1), "4 5 6");
}

TEST(a_newer_tail_takes_the_place_of_one_whose_message_has_not_come)
{
    be_ahead_of_the_bus();
    later(250);
    confirm(6);
    live(5);
    ck_assert(!world.streams[1].open);
    live(6);
    page(3, 4, 6, true);
    ck_assert_str_eq(heard(0), "5 6");
    ck_assert_str_eq(heard(1), "4 5 6");
    ck_assert_uint_eq(world.asked, 1);
}

// Its ids may be lower, where the clock was set back.
TEST(a_tail_of_a_life_that_is_over_says_nothing_of_the_next_one)
{
    be_ahead_of_the_bus();
    world.life = 500;
    live(1);
    ck_assert_str_eq(heard(0), "1");
    later(1000);
    ck_assert(hub_has_caught_up(&world.streams[0].subscriber));
    live(2);
    ck_assert_str_eq(heard(0), "2");
}

TEST(a_stream_may_leave_while_the_message_of_its_tail_has_not_come)
{
    be_ahead_of_the_bus();
    leave(1);
    live(5);
    live(6);
    ck_assert_str_eq(heard(0), "5 6");
    later(20000);
    ck_assert_uint_eq(world.asked, 0);
}

TEST(earliest_is_all_that_is_kept)
{
    join(0, FROM_EARLIEST, 0);
    confirm(9);
    page(0, 7, 9, true);
    ck_assert_str_eq(heard(0), "7 8 9");
}

TEST(many_who_wait_share_one_question_and_its_answer_is_not_asked_for_again)
{
    join(0, FROM_EVENT_ID, 5);
    confirm(9);
    for (size_t i = 1; i < STREAMS; i++)
        join(i, FROM_EVENT_ID, 5);
    ck_assert_uint_eq(world.asked, 1);
    page(5, 5, 9, true);
    for (size_t i = 0; i < STREAMS; i++)
        ck_assert_str_eq(heard(i), "6 7 8 9");
    ck_assert_uint_eq(world.asked, 1);
}

TEST(who_comes_while_redis_is_away_is_opened_when_it_is_back)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_unconfirm_all(world.hub);
    join(1, FROM_NOW, 0);
    ck_assert(!world.streams[1].open);
    confirm(5); // two were published meanwhile: all who stood at 3 are behind now
    ck_assert(world.streams[1].open);
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4 5");
    live(6);
    ck_assert_str_eq(heard(0), "6");
}

TEST(who_was_verified_before_redis_went_is_opened_when_it_is_back)
{
    const struct hub_name names[] = {{.channel = world.channel, .from = FROM_EVENT_ID, .at = place(2)},
                                     {.channel = channel_ref("b", 1)}};
    const struct channel_ref b = channel_ref("b", 1);
    ck_assert(hub_join(world.hub, &world.streams[0].subscriber, names, 2));
    confirm(3);
    page(2, 2, 3, true);
    hub_unconfirm_all(world.hub);
    hub_confirm(world.hub, b, &(struct history_tail){.subscribe_seq = world.last_seq});
    ck_assert(!world.streams[0].open);
    confirm(3);
    ck_assert(world.streams[0].open);
    ck_assert_str_eq(heard(0), "3");
}

// A page ends where the history ended when it was read. What came later is in Redis, too.
TEST(a_page_that_live_events_have_overtaken_is_followed_by_the_next_at_once)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    world.streams[0].readiness = SUBSCRIBER_BLOCKED;
    page(2, 2, 4, true);
    for (uint64_t n = 5; n <= 1100; n++) // more than is remembered
        live(n);
    world.streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    ck_assert_str_eq(heard(0), "3 4");
    ck_assert_uint_eq(world.asked, 2);
    ck_assert(event_id_equal(world.query.from, place(4)));
    page(4, 4, 9, false);
    ck_assert_str_eq(heard(0), "5 6 7 8 9");
}

// A page cannot tell of a place that came to be when it had been read.
TEST(who_got_beyond_the_page_by_live_events_asks_for_the_next_one)
{
    world.event_size = 300 << 10; // three of them are remembered
    world.budget.limit = 8 << 20;
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    world.streams[0].room = 3;
    live(5);
    live(6);
    page(2, 2, 4, true);
    for (uint64_t n = 7; n <= 12; n++)
        live(n);
    ck_assert_str_eq(heard(0), "3 4 5");
    world.streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    page(5, 5, 12, true);
    ck_assert_str_eq(heard(0), "6 7 8 9 10 11 12");
}

TEST(the_next_page_is_asked_for_where_the_last_one_was_whole)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page(2, 2, 4, true); // and the stream is level
    ck_assert_str_eq(heard(0), "3 4");
    // Comes with what another gateway gave it last; this one has forgotten event 5, as a small memory does.
    world.streams[0].readiness = SUBSCRIBER_BLOCKED;
    hub_unconfirm_all(world.hub);
    confirm(6);
    ck_assert_uint_eq(world.asked, 1); // its socket is full
    world.streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(world.hub, &world.streams[0].subscriber);
    feed();
    ck_assert_uint_eq(world.asked, 2);
    page(4, 4, 5, false); // a part
    ck_assert_uint_eq(world.asked, 3);
    page(5, 5, 6, true);
    ck_assert_str_eq(heard(0), "5 6");
}

// A query may be answered later than the subscription's first messages, and earlier than others.
TEST(a_confirmation_that_knows_of_more_is_believed)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    confirm(5);
    ck_assert_uint_eq(world.asked, 1);
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4 5");
    live(5); // on its way all the time
    live(6);
    ck_assert_str_eq(heard(0), "6");
    confirm(5); // older than what has come
    ck_assert_str_eq(heard(0), "");
    live(7);
    ck_assert_str_eq(heard(0), "7");
}

TEST(what_redis_has_before_the_bus_waits_for_the_bus)
{
    join(0, FROM_EVENT_ID, 3);
    confirm(4);
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4");
    live(5);
    ck_assert_str_eq(heard(0), "5");
    live(6);
    ck_assert_str_eq(heard(0), "6");
}

TEST(who_was_served_by_a_quicker_gateway_waits_for_what_is_new)
{
    join(0, FROM_EVENT_ID, 6);
    confirm(4);
    page(6, 6, 6, true);
    ck_assert(world.streams[0].open);
    live(5);
    live(6);
    live(7);
    ck_assert_str_eq(heard(0), "7");
}

TEST(a_question_without_an_answer_is_asked_again)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    const struct history_query first = world.query;
    later(59000); // the bus does answer, however long Redis takes
    ck_assert_uint_eq(world.asked, 1);
    later(2000);
    ck_assert_uint_eq(world.asked, 2);
    page(2, 2, 4, true);
    answer(first, 2, 4, true); // after all
    ck_assert_str_eq(heard(0), "3 4");
}

TEST(a_page_that_was_lost_on_its_way_is_asked_for_again_soon)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    hub_page_lost(world.hub, world.query.number);
    ck_assert_uint_eq(world.asked, 1);
    later(1500);
    ck_assert_uint_eq(world.asked, 2);
    page(2, 2, 4, true);
    ck_assert_str_eq(heard(0), "3 4");
}

// The bus only knows that the worker missed something.
TEST(pages_of_which_any_may_be_lost_are_asked_for_again_soon)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    hub_page_lost(world.hub, 0);
    ck_assert_uint_eq(world.asked, 1);
    later(1500);
    ck_assert_uint_eq(world.asked, 2);
    page(2, 2, 4, true);
    ck_assert_str_eq(heard(0), "3 4");
}

TEST(a_question_that_could_not_be_told_is_told_again_soon)
{
    world.bus_has_memory = false;
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    world.bus_has_memory = true;
    later(1500);
    ck_assert_uint_eq(world.asked, 2);
    page(2, 2, 4, true);
    ck_assert_str_eq(heard(0), "3 4");
}

TEST(the_answer_to_another_question_is_not_taken)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    const struct history_query other = world.query;
    leave(0); // and the channel with it
    join(0, FROM_EVENT_ID, 5);
    confirm(5);
    live(6);
    live(8);
    leave(0);
    ck_assert_str_eq(heard(0), "6");
    join(0, FROM_EVENT_ID, 6);
    confirm(8);
    answer(other, 2, 4, true); // says nothing about what is behind 6
    ck_assert_str_eq(heard(0), "");
    page(6, 6, 8, true);
    ck_assert_str_eq(heard(0), "7 8");
}

TEST(the_answer_to_the_same_question_of_another_time_is_not_taken)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    const struct history_query before = world.query;
    leave(0); // and the channel with it
    join(0, FROM_EVENT_ID, 2);
    confirm(8);
    answer(before, 2, 4, true); // all that there was, then
    ck_assert_str_eq(heard(0), "");
    page(2, 2, 8, true);
    ck_assert_str_eq(heard(0), "3 4 5 6 7 8");
}

TEST(a_page_that_brings_nothing_is_not_asked_for_again_at_once)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    for (unsigned i = 0; i < 10; i++) {
        const struct history_page nothing = {.query = world.query}; // the bus had no memory for a frame
        hub_page(world.hub, world.channel, &nothing);
        feed();
    }
    ck_assert_uint_eq(world.asked, 1);
    later(1000);
    ck_assert_uint_eq(world.asked, 2);
    page(2, 2, 4, true);
    ck_assert_str_eq(heard(0), "3 4");
}

TEST(events_that_were_in_the_answer_already_are_not_given_again)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page(2, 2, 4, true);
    live(3);
    live(4);
    live(5);
    ck_assert_str_eq(heard(0), "3 4 5");
}

TEST(a_page_that_was_read_before_a_stream_came_does_not_say_that_its_place_is_gone)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    join(1, FROM_EVENT_ID, 6); // served elsewhere
    page(2, 2, 5, true);
    ck_assert_str_eq(heard(1), "");
    ck_assert_uint_eq(world.asked, 2);
    page(6, 6, 6, true);
    live(5), live(6), live(7);
    ck_assert_str_eq(heard(0), "3 4 5 6 7");
    ck_assert_str_eq(heard(1), "7");
}

// Newcomers who ask for an older place must not keep those who are further on from their page for ever.
TEST(who_is_further_on_gets_its_page_although_others_keep_coming)
{
    join(0, FROM_EVENT_ID, 80);
    confirm(90);
    page(80, 80, 81, false);
    ck_assert_str_eq(heard(0), "81");
    join(1, FROM_EVENT_ID, 1);
    page(81, 81, 81, false);
    later(1000);
    ck_assert(event_id_equal(world.query.from, place(1)));
    for (size_t i = 2; i < 12; i++) {
        join(i, FROM_EVENT_ID, 1);
        page(world.query.from.offset, world.query.from.offset, world.query.from.offset + 20, false);
    }
    ck_assert_str_ne(heard(0), "");
}
