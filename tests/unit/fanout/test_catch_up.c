// Streams that are behind in a channel: what each is given, in words, while the test plays the bus and says
// what Redis keeps. Events are written by their offset; event n was published in millisecond 1000 + n.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "gateway/fanout/cursor.h"
#include "gateway/fanout/gap.h"
#include "gateway/fanout/hub.h"
#include "gateway/fanout/message.h"

enum { STREAMS = 64 };

static struct hub *hub;
static struct replay_budget budget;
static uint64_t now;
static struct channel_ref channel_a;

static struct stream {
    struct subscriber subscriber;
    bool open;
    enum subscriber_readiness readiness;
    unsigned room; // frames until its socket is full; 0: it never is
    unsigned opened, lost_to_memory;
    char heard[512]; // "5 6 gap 9"
} streams[STREAMS];

// What the bus was asked.
static unsigned asked, interests;
static struct history_query query;
static bool bus_has_memory;
static uint64_t last_seq;

// What is published.
static uint64_t life;
static size_t event_size;
static bool wanted;

static struct event_id place(uint64_t offset)
{
    return offset ? (struct event_id){.ms = life + offset, .offset = offset} : (struct event_id){0};
}

static bool on_interest(void *ctx, struct channel_ref channel, uint64_t subscribe_seq)
{
    (void)ctx, (void)channel;
    interests += subscribe_seq != 0;
    wanted = subscribe_seq != 0;
    last_seq = subscribe_seq ? subscribe_seq : last_seq;
    return true;
}

static bool on_history(void *ctx, struct channel_ref channel, const struct history_query *asked_for)
{
    (void)ctx, (void)channel;
    asked++;
    query = *asked_for;
    return bus_has_memory;
}

static void on_frame(void *ctx, struct subscriber *s, struct frame *f)
{
    (void)ctx;
    struct stream *stream = (struct stream *)s;
    if (!stream->open)
        return;
    if (stream->room > 0 && --stream->room == 0)
        stream->readiness = SUBSCRIBER_BLOCKED;
    char word[32];
    snprintf(word, sizeof word, f->is_gap ? "gap" : "%u", (unsigned)f->at.offset);
    size_t len = strlen(stream->heard);
    snprintf(stream->heard + len, sizeof stream->heard - len, "%s%s", len ? " " : "", word);
}

static void on_ready(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct stream *stream = (struct stream *)s;
    stream->opened++;
    if (stream->open)
        return;
    stream->open = true;
    hub_wake(hub, s);
}

static enum subscriber_readiness readiness(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct stream *stream = (struct stream *)s;
    return stream->open ? stream->readiness : SUBSCRIBER_NOT_OPEN;
}

static void on_no_memory(void *ctx, struct subscriber *s)
{
    (void)ctx;
    ((struct stream *)s)->lost_to_memory++;
}

static void setup(void)
{
    const struct hub_events events = {.on_interest = on_interest,
                                      .on_history = on_history,
                                      .on_frame = on_frame,
                                      .on_ready = on_ready,
                                      .readiness = readiness,
                                      .on_no_memory = on_no_memory};
    ck_assert(map_seed());
    channel_a = channel_ref("a", 1);
    now = 1000000;
    life = 1000;
    event_size = 1;
    bus_has_memory = true;
    budget = (struct replay_budget){.limit = 1 << 20};
    hub = hub_create(&events, &(struct hub_settings){.replay_budget = &budget, .durable_named = true});
    ck_assert_ptr_nonnull(hub);
    hub_tick(hub, now);
    for (size_t i = 0; i < STREAMS; i++)
        streams[i].readiness = SUBSCRIBER_READY;
}

static void teardown(void)
{
    for (size_t i = 0; i < STREAMS; i++)
        hub_leave(hub, &streams[i].subscriber);
    ck_assert_uint_eq(hub_channel_count(hub), 0);
    ck_assert_uint_eq(hub_replay_bytes(hub), 0);
    ck_assert_uint_le(hub_bytes(hub), 16 * sizeof(void *));
    hub_destroy(hub);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
}

static struct frame *event_behind(uint64_t offset, uint64_t prev)
{
    static char data[1 << 20];
    const struct event_place at = {.at = place(offset), .prev = place(prev), .epoch = life + 1};
    struct sse_event event = {.data = memset(data, 'x', event_size), .data_len = event_size};
    struct frame *f = message_durable_frame(channel_a, &at, &event);
    ck_assert_ptr_nonnull(f);
    return f;
}

static void feed(void)
{
    while (hub_feed(hub, 256))
        ;
}

static void live(uint64_t offset)
{
    struct frame *f = event_behind(offset, offset - 1);
    hub_deliver(hub, f);
    ck_assert_uint_ge(atomic_load(&f->refs), 1);
    frame_release(f);
    feed();
}

static void join_at(size_t i, enum hub_from from, struct event_id at)
{
    const struct hub_name name = {.channel = channel_a, .from = from, .at = at};
    ck_assert(hub_join(hub, &streams[i].subscriber, &name, 1));
    if (hub_is_ready(&streams[i].subscriber))
        on_ready(NULL, &streams[i].subscriber);
    feed();
}

static void join(size_t i, enum hub_from from, uint64_t at)
{
    join_at(i, from, place(at));
}

static void leave(size_t i)
{
    hub_leave(hub, &streams[i].subscriber);
    streams[i].open = false;
    feed();
}

static void confirm(uint64_t last)
{
    hub_confirm(hub, channel_a,
                &(struct history_tail){
                    .has_history = true, .last = place(last), .epoch = life + 1, .subscribe_seq = last_seq});
    feed();
}

static void confirm_without_history(void)
{
    hub_confirm(hub, channel_a, &(struct history_tail){.subscribe_seq = last_seq});
    feed();
}

// The answer to a query: of what Redis keeps first..last, none where last is 0.
static void answer(struct history_query to, uint64_t first, uint64_t last, bool at_end)
{
    struct frame *frames[300];
    struct history_page p = {.query = to, .at_end = at_end, .frames = frames};
    for (uint64_t n = first; last && n <= last; n++)
        frames[p.count++] = event_behind(n, n - 1);
    hub_page(hub, channel_a, &p);
    feed();
}

// The answer to the last query, which was for a page from `from` on.
static void page(uint64_t from, uint64_t first, uint64_t last, bool at_end)
{
    ck_assert(event_id_equal(query.from, place(from)));
    answer(query, first, last, at_end);
}

static void page_fails(uint64_t from)
{
    ck_assert(event_id_equal(query.from, place(from)));
    hub_page(hub, channel_a, &(struct history_page){.query = query, .failed = true});
    feed();
}

static void later(uint64_t ms)
{
    now += ms;
    hub_tick(hub, now);
    feed();
}

// What the stream was given since the last query.
static const char *heard(size_t i)
{
    static char copy[sizeof streams[0].heard];
    memcpy(copy, streams[i].heard, sizeof copy);
    streams[i].heard[0] = '\0';
    return copy;
}

START_TEST(who_resumes_gets_what_it_missed_once_and_then_what_is_live)
{
    join(0, FROM_EVENT_ID, 2);
    ck_assert_uint_eq(asked, 0); // not before it is known how far the channel has got
    confirm(4);
    ck_assert_uint_eq(asked, 1);
    ck_assert(event_id_equal(query.from, place(2)));
    ck_assert(!streams[0].open);
    live(5);
    page(2, 2, 5, true);
    ck_assert_str_eq(heard(0), "3 4 5");
    live(6);
    ck_assert_str_eq(heard(0), "6");
    ck_assert_uint_eq(streams[0].opened, 1);
}
END_TEST

START_TEST(who_is_at_the_end_opens_without_a_question)
{
    join(0, FROM_EVENT_ID, 4);
    confirm(4);
    ck_assert_uint_eq(asked, 0);
    ck_assert(streams[0].open);
    live(5);
    ck_assert_str_eq(heard(0), "5");
}
END_TEST

START_TEST(earliest_is_all_that_is_kept)
{
    join(0, FROM_EARLIEST, 0);
    confirm(9);
    page(0, 7, 9, true);
    ck_assert_str_eq(heard(0), "7 8 9");
}
END_TEST

START_TEST(what_was_trimmed_is_a_gap)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(9);
    page(2, 7, 9, true);
    ck_assert_str_eq(heard(0), "gap 7 8 9");
}
END_TEST

START_TEST(many_who_wait_share_one_question_and_its_answer_is_not_asked_for_again)
{
    join(0, FROM_EVENT_ID, 5);
    confirm(9);
    for (size_t i = 1; i < STREAMS; i++)
        join(i, FROM_EVENT_ID, 5);
    ck_assert_uint_eq(asked, 1);
    page(5, 5, 9, true);
    for (size_t i = 0; i < STREAMS; i++)
        ck_assert_str_eq(heard(i), "6 7 8 9");
    ck_assert_uint_eq(asked, 1);
}
END_TEST

START_TEST(a_hole_is_filled_before_what_is_newer)
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
END_TEST

START_TEST(who_comes_while_redis_is_away_is_opened_when_it_is_back)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_unconfirm_all(hub);
    join(1, FROM_NOW, 0);
    ck_assert(!streams[1].open);
    confirm(5); // two were published meanwhile: all who stood at 3 are behind now
    ck_assert(streams[1].open);
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4 5");
    live(6);
    ck_assert_str_eq(heard(0), "6");
}
END_TEST

START_TEST(who_was_verified_before_redis_went_is_opened_when_it_is_back)
{
    const struct hub_name names[] = {{.channel = channel_a, .from = FROM_EVENT_ID, .at = place(2)},
                                     {.channel = channel_ref("b", 1)}};
    const struct channel_ref b = channel_ref("b", 1);
    ck_assert(hub_join(hub, &streams[0].subscriber, names, 2));
    confirm(3);
    page(2, 2, 3, true);
    hub_unconfirm_all(hub);
    hub_confirm(hub, b, &(struct history_tail){.subscribe_seq = last_seq});
    ck_assert(!streams[0].open);
    confirm(3);
    ck_assert(streams[0].open);
    ck_assert_str_eq(heard(0), "3");
}
END_TEST

// A page ends where the history ended when it was read. What came later is in Redis, too.
START_TEST(a_page_that_live_events_have_overtaken_is_followed_by_the_next_at_once)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    streams[0].readiness = SUBSCRIBER_BLOCKED;
    page(2, 2, 4, true);
    for (uint64_t n = 5; n <= 1100; n++) // more than is remembered
        live(n);
    streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(hub, &streams[0].subscriber);
    feed();
    ck_assert_str_eq(heard(0), "3 4");
    ck_assert_uint_eq(asked, 2);
    ck_assert(event_id_equal(query.from, place(4)));
    page(4, 4, 9, false);
    ck_assert_str_eq(heard(0), "5 6 7 8 9");
}
END_TEST

// A page cannot tell of a place that came to be when it had been read.
START_TEST(who_got_beyond_the_page_by_live_events_asks_for_the_next_one)
{
    event_size = 300 << 10; // three of them are remembered
    budget.limit = 8 << 20;
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    streams[0].room = 3;
    live(5);
    live(6);
    page(2, 2, 4, true);
    for (uint64_t n = 7; n <= 12; n++)
        live(n);
    ck_assert_str_eq(heard(0), "3 4 5");
    streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(hub, &streams[0].subscriber);
    feed();
    page(5, 5, 12, true);
    ck_assert_str_eq(heard(0), "6 7 8 9 10 11 12");
}
END_TEST

START_TEST(the_next_page_is_asked_for_where_the_last_one_was_whole)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page(2, 2, 4, true); // and the stream is level
    ck_assert_str_eq(heard(0), "3 4");
    // Comes with what another gateway gave it last; this one has forgotten event 5, as a small memory does.
    streams[0].readiness = SUBSCRIBER_BLOCKED;
    hub_unconfirm_all(hub);
    confirm(6);
    ck_assert_uint_eq(asked, 1); // its socket is full
    streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(hub, &streams[0].subscriber);
    feed();
    ck_assert_uint_eq(asked, 2);
    page(4, 4, 5, false); // a part
    ck_assert_uint_eq(asked, 3);
    page(5, 5, 6, true);
    ck_assert_str_eq(heard(0), "5 6");
}
END_TEST

// A query may be answered later than the subscription's first messages, and earlier than others.
START_TEST(a_confirmation_that_knows_of_more_is_believed)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    confirm(5);
    ck_assert_uint_eq(asked, 1);
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
END_TEST

START_TEST(a_history_that_is_short_for_long_is_a_gap_for_all_at_once)
{
    for (size_t i = 0; i < 5; i++)
        join(i, FROM_EVENT_ID, 3);
    confirm(5);
    for (int n = 0; n < 30 && asked < 30 && !strstr(streams[0].heard, "gap"); n++) {
        page(3, 3, 3, true);
        later(300);
    }
    for (size_t i = 0; i < 5; i++)
        ck_assert_str_eq(heard(i), "gap");
    live(6);
    for (size_t i = 0; i < 5; i++)
        ck_assert_str_eq(heard(i), "6");
}
END_TEST

START_TEST(a_history_that_lags_is_waited_for)
{
    join(0, FROM_EVENT_ID, 3);
    confirm(5);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4");
    ck_assert_uint_eq(asked, 1);
    later(300);
    ck_assert_uint_eq(asked, 2);
    page(4, 4, 5, true);
    ck_assert_str_eq(heard(0), "5");
}
END_TEST

START_TEST(what_redis_has_before_the_bus_waits_for_the_bus)
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
END_TEST

START_TEST(who_was_served_by_a_quicker_gateway_waits_for_what_is_new)
{
    join(0, FROM_EVENT_ID, 6);
    confirm(4);
    page(6, 6, 6, true);
    ck_assert(streams[0].open);
    live(5);
    live(6);
    live(7);
    ck_assert_str_eq(heard(0), "7");
}
END_TEST

START_TEST(a_page_that_cannot_be_had_is_a_gap_for_those_who_wait)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page_fails(2);
    ck_assert_str_eq(heard(0), "gap");
    live(5);
    ck_assert_str_eq(heard(0), "5");
}
END_TEST

START_TEST(a_question_without_an_answer_is_asked_again)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    const struct history_query first = query;
    later(59000); // the bus does answer, however long Redis takes
    ck_assert_uint_eq(asked, 1);
    later(2000);
    ck_assert_uint_eq(asked, 2);
    page(2, 2, 4, true);
    answer(first, 2, 4, true); // after all
    ck_assert_str_eq(heard(0), "3 4");
}
END_TEST

// By its number, or where the bus only knows that the worker missed something.
START_TEST(a_page_that_was_lost_on_its_way_is_asked_for_again_soon)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    hub_page_lost(hub, _i ? 0 : query.number);
    ck_assert_uint_eq(asked, 1);
    later(1500);
    ck_assert_uint_eq(asked, 2);
    page(2, 2, 4, true);
    ck_assert_str_eq(heard(0), "3 4");
}
END_TEST

START_TEST(a_question_that_could_not_be_told_is_told_again_soon)
{
    bus_has_memory = false;
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    bus_has_memory = true;
    later(1500);
    ck_assert_uint_eq(asked, 2);
    page(2, 2, 4, true);
    ck_assert_str_eq(heard(0), "3 4");
}
END_TEST

START_TEST(the_answer_to_another_question_is_not_taken)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    const struct history_query other = query;
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
END_TEST

START_TEST(the_answer_to_the_same_question_of_another_time_is_not_taken)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    const struct history_query before = query;
    leave(0); // and the channel with it
    join(0, FROM_EVENT_ID, 2);
    confirm(8);
    answer(before, 2, 4, true); // all that there was, then
    ck_assert_str_eq(heard(0), "");
    page(2, 2, 8, true);
    ck_assert_str_eq(heard(0), "3 4 5 6 7 8");
}
END_TEST

START_TEST(pages_begin_small_and_grow_by_the_size_of_the_events)
{
    join(0, FROM_EARLIEST, 0);
    confirm(1000);
    ck_assert_uint_le(query.entries, 16); // of events that may have a megabyte each
    page(0, 1, 16, false);
    ck_assert_uint_eq(query.entries, 64);
    page(16, 16, 79, false);
    ck_assert_uint_eq(query.entries, 256);
    event_size = 16 << 10;
    page(79, 79, 334, false);
    ck_assert_uint_eq(query.entries, 15); // of which 256 KiB hold so many
    event_size = 1 << 20;
    page(334, 334, 348, false);
    ck_assert_uint_eq(query.entries, HISTORY_PAGE_ENTRIES_MIN);
}
END_TEST

// The clock went back while Redis lost all: what comes is older by its id, and new all the same.
START_TEST(a_history_that_begins_anew_in_the_past_is_not_taken_for_old_events)
{
    join(0, FROM_NOW, 0);
    confirm(4);
    life = 500;
    live(1);
    live(2);
    ck_assert_str_eq(heard(0), "1 2");
}
END_TEST

START_TEST(who_is_behind_when_history_begins_anew_in_the_past_does_not_wait_for_the_clock)
{
    streams[0].room = 1;
    join(0, FROM_EVENT_ID, 1);
    confirm(4);
    page(1, 1, 4, true);
    ck_assert_str_eq(heard(0), "2");
    life = 500; // the key is deleted, and the clock has been set back
    live(1);
    streams[0].readiness = SUBSCRIBER_READY;
    hub_wake(hub, &streams[0].subscriber);
    feed();
    query.from.ms -= 500; // a place of the old life
    page(2, 1, 0, true);  // of which nothing is left
    ck_assert_str_eq(heard(0), "gap");
    live(2);
    ck_assert_str_eq(heard(0), "2");
}
END_TEST

// A failover lost event 4 of an old master that went on for a while; the new one has a 4 and more, of earlier
// times. What the client had of the lost branch it knows by offset.
START_TEST(what_a_failover_put_in_the_place_of_lost_events_is_delivered_behind_a_gap)
{
    const struct event_id lost = {.ms = life + 500, .offset = 4};
    join_at(0, FROM_EVENT_ID, lost);
    confirm(20);
    ck_assert(event_id_equal(query.from, lost));
    answer(query, 1, 0, true); // by its time nothing comes after it
    ck_assert_uint_eq(asked, 2);
    ck_assert(!streams[0].open);
    page(0, 1, 3, false);
    page(3, 3, 6, false);
    ck_assert(streams[0].open);
    ck_assert_str_eq(heard(0), "gap 4 5 6");
    page(6, 6, 20, true);
    live(21);
    ck_assert_str_eq(heard(0), "7 8 9 10 11 12 13 14 15 16 17 18 19 20 21");
}
END_TEST

START_TEST(who_looks_for_its_place_keeps_the_one_it_had)
{
    const struct event_id lost = {.ms = life + 500, .offset = 4};
    struct event_id at;
    char id[CURSOR_MAX];
    join_at(0, FROM_EVENT_ID, lost);
    confirm(20);
    answer(query, 1, 0, true);
    page(0, 1, 2, false);
    size_t len = hub_cursor(&streams[0].subscriber, id);
    ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_KNOWN);
    ck_assert(event_id_equal(at, lost));
    page_fails(2);
    ck_assert_str_eq(heard(0), "gap");
    live(21);
    ck_assert_str_eq(heard(0), "21");
}
END_TEST

START_TEST(who_looks_for_its_place_in_a_history_that_can_be_read_no_more_is_told_of_a_gap)
{
    join_at(0, FROM_EVENT_ID, (struct event_id){.ms = life + 500, .offset = 4});
    confirm(20);
    answer(query, 1, 0, true);
    ck_assert(event_id_is_zero(query.from));
    hub_unconfirm_all(hub);
    confirm(0); // Redis comes back empty, and then forbids to read
    hub_unconfirm_all(hub);
    confirm_without_history();
    ck_assert(streams[0].open);
    ck_assert_str_eq(heard(0), "gap");
    live(1);
    ck_assert_str_eq(heard(0), "1");
}
END_TEST

START_TEST(who_is_ahead_of_what_a_failover_left_is_told_of_a_gap)
{
    join_at(0, FROM_EVENT_ID, (struct event_id){.ms = life + 500, .offset = 4});
    confirm(3);
    answer(query, 1, 0, true);
    ck_assert_str_eq(heard(0), "gap");
    live(4);
    ck_assert_str_eq(heard(0), "4");
}
END_TEST

// Answers all queries, a hundred at most, with these entries as Redis has them.
static void answer_all(struct frame *const *entries, size_t count)
{
    for (unsigned answered = asked - 1; answered != asked && asked < 100; feed()) {
        answered = asked;
        struct frame *frames[8];
        struct history_page p = {.query = query, .at_end = true, .frames = frames};
        for (size_t i = 0; i < count; i++)
            if (!event_id_before(entries[i]->at, query.from))
                frames[p.count++] = frame_retain(entries[i]);
        hub_page(hub, channel_a, &p);
    }
    for (size_t i = 0; i < count; i++)
        frame_release(entries[i]);
}

static struct frame *entry(struct event_id at, struct event_id prev)
{
    const struct event_place place = {.at = at, .prev = prev, .epoch = 1};
    struct sse_event event = {.data = "x", .data_len = 1};
    return message_durable_frame(channel_a, &place, &event);
}

static void confirm_at(struct event_id last)
{
    hub_confirm(
        hub, channel_a,
        &(struct history_tail){.has_history = true, .last = last, .epoch = 1, .subscribe_seq = last_seq});
    feed();
}

START_TEST(entries_that_lie_about_what_was_before_them_are_given_once)
{
    struct frame *entries[] = {entry((struct event_id){100, 2}, (struct event_id){0}),
                               entry((struct event_id){200, 3}, (struct event_id){60, 2})};
    join(0, FROM_EARLIEST, 0);
    confirm_at((struct event_id){200, 3});
    answer_all(entries, 2);
    ck_assert_str_eq(heard(0), "2 gap 3");
    ck_assert_uint_lt(asked, 5);
}
END_TEST

START_TEST(entries_of_others_are_announced_once_however_many_they_are)
{
    struct frame *entries[6] = {entry((struct event_id){100, 1}, (struct event_id){0})};
    for (uint64_t i = 1; i < 6; i++)
        entries[i] = gap_frame_durable(channel_a, 0, 0, entries[i - 1]->at, (struct event_id){100 + i, 0});
    for (size_t i = 1; i < 6; i++)
        entries[i]->is_foreign = true;
    join(0, FROM_EARLIEST, 0);
    confirm_at((struct event_id){105, 0});
    answer_all(entries, 6);
    ck_assert_str_eq(heard(0), "1 gap");
    ck_assert_uint_lt(asked, 5);
}
END_TEST

START_TEST(a_page_that_brings_nothing_is_not_asked_for_again_at_once)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    for (unsigned i = 0; i < 10; i++) {
        const struct history_page nothing = {.query = query}; // the bus had no memory for a frame
        hub_page(hub, channel_a, &nothing);
        feed();
    }
    ck_assert_uint_eq(asked, 1);
    later(1000);
    ck_assert_uint_eq(asked, 2);
    page(2, 2, 4, true);
    ck_assert_str_eq(heard(0), "3 4");
}
END_TEST

START_TEST(events_that_were_in_the_answer_already_are_not_given_again)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page(2, 2, 4, true);
    live(3);
    live(4);
    live(5);
    ck_assert_str_eq(heard(0), "3 4 5");
}
END_TEST

START_TEST(a_page_that_fails_costs_nothing_to_those_who_need_none)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    page(2, 2, 4, true);
    join(1, FROM_EVENT_ID, 0); // older than what is remembered
    streams[2].readiness = SUBSCRIBER_BLOCKED;
    join(2, FROM_EVENT_ID, 3);
    page_fails(0);
    ck_assert_str_eq(heard(1), "gap");
    streams[2].readiness = SUBSCRIBER_READY;
    hub_wake(hub, &streams[2].subscriber);
    feed();
    ck_assert_str_eq(heard(2), "4");
}
END_TEST

START_TEST(a_page_that_was_read_before_a_stream_came_does_not_say_that_its_place_is_gone)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    join(1, FROM_EVENT_ID, 6); // served elsewhere
    page(2, 2, 5, true);
    ck_assert_str_eq(heard(1), "");
    ck_assert_uint_eq(asked, 2);
    page(6, 6, 6, true);
    live(5), live(6), live(7);
    ck_assert_str_eq(heard(0), "3 4 5 6 7");
    ck_assert_str_eq(heard(1), "7");
}
END_TEST

START_TEST(a_page_for_a_channel_that_is_gone_is_released)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    leave(0);
    page(2, 2, 4, true);
    ck_assert(!wanted);
}
END_TEST

START_TEST(leaving_in_any_order_while_behind_leaves_nothing)
{
    for (size_t i = 0; i < 16; i++)
        join(i, i % 3 ? FROM_EVENT_ID : FROM_EARLIEST, i % 3);
    confirm(9);
    for (size_t i = 0; i < 16; i += 2)
        leave(i);
    answer(query, 1, 9, true);
    for (size_t i = 15; i < 16; i -= 2)
        leave(i);
}
END_TEST

START_TEST(without_history_who_resumes_gets_one_gap_and_then_what_is_live)
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
END_TEST

START_TEST(without_history_a_hole_is_a_gap_before_the_event_behind_it)
{
    join(0, FROM_NOW, 0);
    confirm_without_history();
    live(4);
    live(7);
    live(8);
    ck_assert_str_eq(heard(0), "4 gap 7 8");
}
END_TEST

START_TEST(a_new_life_of_the_history_begins_without_a_gap_for_who_was_there)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    const struct event_place at = {.at = {.ms = 9000, .offset = 1}, .epoch = 9000};
    struct sse_event event = {.data = "x", .data_len = 1};
    struct frame *f = message_durable_frame(channel_a, &at, &event);
    hub_deliver(hub, f);
    frame_release(f);
    feed();
    ck_assert_str_eq(heard(0), "1");
    ck_assert_uint_eq(asked, 0);
}
END_TEST

START_TEST(a_lost_message_is_asked_for_and_filled)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    ck_assert(!hub_lost(hub, channel_a, false));
    ck_assert_uint_eq(interests, 2);
    confirm(4);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4");
    confirm(4);
    live(5);
    ck_assert_str_eq(heard(0), "5");
}
END_TEST

START_TEST(who_is_subscribed_anew_waits_for_the_confirmation_that_follows)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_unconfirm_all(hub);
    ck_assert(!hub_lost(hub, channel_a, true));
    ck_assert_uint_eq(interests, 1); // nobody is asked
    confirm(5);
    page(3, 3, 5, true);
    ck_assert_str_eq(heard(0), "4 5");
}
END_TEST

START_TEST(a_channel_of_both_kinds_is_told_of_a_loss_since_no_history_has_the_plain_ones)
{
    struct sse_event event = {.data = "x", .data_len = 1};
    struct frame *plain = frame_create(&event, channel_a), *gap = gap_frame(channel_a);
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_deliver(hub, gap); // is none
    ck_assert(!hub_lost(hub, channel_a, true));
    hub_deliver(hub, plain);
    ck_assert(hub_lost(hub, channel_a, true));
    ck_assert(hub_lost(hub, channel_a, false));
    ck_assert_uint_eq(interests, 2);
    frame_release(plain);
    frame_release(gap);
}
END_TEST

START_TEST(a_loss_is_told_where_nobody_said_that_the_channel_has_durable_events_only)
{
    const struct hub_events events = {.on_interest = on_interest,
                                      .on_history = on_history,
                                      .on_frame = on_frame,
                                      .on_ready = on_ready,
                                      .readiness = readiness,
                                      .on_no_memory = on_no_memory};
    hub_destroy(hub);
    hub = hub_create(&events, &(struct hub_settings){.replay_budget = &budget});
    join(0, FROM_NOW, 0);
    confirm(3);
    ck_assert(hub_lost(hub, channel_a, true));
    ck_assert(hub_lost(hub, channel_a, false));
    confirm(4);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4"); // the durable ones are filled in all the same
}
END_TEST

START_TEST(a_message_that_is_lost_before_the_first_confirmation_is_asked_for)
{
    join(0, FROM_EVENT_ID, 2);
    const uint64_t before = last_seq;
    ck_assert(!hub_lost(hub, channel_a, false));
    ck_assert_uint_eq(interests, 2);
    const struct history_tail older = {
        .has_history = true, .last = place(2), .epoch = life + 1, .subscribe_seq = before};
    hub_confirm(hub, channel_a, &older); // when it was asked, nothing had been lost yet
    ck_assert(!streams[0].open);
    confirm(3);
    page(2, 2, 3, true);
    ck_assert_str_eq(heard(0), "3");
}
END_TEST

START_TEST(a_message_that_is_lost_while_a_confirmation_is_on_its_way_is_asked_for)
{
    join(0, FROM_NOW, 0);
    confirm(3);
    hub_unconfirm_all(hub);
    ck_assert(!hub_lost(hub, channel_a, false));
    ck_assert_uint_eq(interests, 2);
    confirm(3); // what was read before
    confirm(4);
    page(3, 3, 4, true);
    ck_assert_str_eq(heard(0), "4");
}
END_TEST

// Where nobody can say how far a stream has got in a channel with events, its cursor says that.
START_TEST(a_durable_channel_without_readable_history_is_unknown_in_the_cursor)
{
    const struct hub_name names[] = {{.channel = channel_a}, {.channel = channel_ref("b", 1)}};
    const struct channel_ref b = channel_ref("b", 1);
    char id[CURSOR_MAX];
    struct event_id at;
    ck_assert(hub_join(hub, &streams[0].subscriber, names, 2));
    confirm_without_history();
    hub_confirm(hub, b,
                &(struct history_tail){.has_history = true, .last = place(3), .subscribe_seq = last_seq});
    size_t len = hub_cursor(&streams[0].subscriber, id);
    ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_NEW);
    live(7);
    len = hub_cursor(&streams[0].subscriber, id);
    ck_assert_int_eq(cursor_find(id, len, "a", 1, &at), CURSOR_UNKNOWN);
    ck_assert_int_eq(cursor_find(id, len, "b", 1, &at), CURSOR_KNOWN);
}
END_TEST

// Newcomers who ask for an older place must not keep those who are further on from their page for ever.
START_TEST(who_is_further_on_gets_its_page_although_others_keep_coming)
{
    join(0, FROM_EVENT_ID, 80);
    confirm(90);
    page(80, 80, 81, false);
    ck_assert_str_eq(heard(0), "81");
    join(1, FROM_EVENT_ID, 1);
    page(81, 81, 81, false);
    later(1000);
    ck_assert(event_id_equal(query.from, place(1)));
    for (size_t i = 2; i < 12; i++) {
        join(i, FROM_EVENT_ID, 1);
        page(query.from.offset, query.from.offset, query.from.offset + 20, false);
    }
    ck_assert_str_ne(heard(0), "");
}
END_TEST

static char own_names[STREAMS][8];

// Stream `i` resumes in a channel of its own.
static struct channel_ref join_alone(size_t i)
{
    snprintf(own_names[i], sizeof own_names[i], "c%u", (unsigned)i % 1000);
    const struct hub_name name = {.channel = channel_ref(own_names[i], strlen(own_names[i])),
                                  .from = FROM_EARLIEST};
    ck_assert(hub_join(hub, &streams[i].subscriber, &name, 1));
    hub_confirm(hub, name.channel,
                &(struct history_tail){.has_history = true, .last = place(200), .subscribe_seq = last_seq});
    feed();
    return name.channel;
}

// All that its channel has, or else a page of the first event that was the size of `largest`.
static void answer_alone(struct channel_ref channel, struct history_query to, bool all, size_t largest)
{
    struct frame *frames[200];
    struct history_page p = {
        .query = to, .at_end = all, .frames = frames, .count = all ? 200 : 1, .largest = largest};
    for (uint64_t n = 1; n <= p.count; n++) {
        const struct event_place at = {.at = place(n), .prev = place(n - 1), .epoch = life + 1};
        struct sse_event event = {.data = "x", .data_len = 1};
        frames[n - 1] = message_durable_frame(channel, &at, &event);
    }
    hub_page(hub, channel, &p);
    feed();
}

static void resume_alone(size_t i)
{
    answer_alone(join_alone(i), query, true, 0);
}

START_TEST(pages_that_were_asked_for_count_before_they_come)
{
    struct channel_ref channels[STREAMS];
    struct history_query first = {0};
    for (size_t i = 0; i < STREAMS; i++) {
        channels[i] = join_alone(i);
        first = i == 0 ? query : first;
    }
    // How large the events are is not known: what these pages might have is all that may be remembered.
    ck_assert_uint_le(asked, 4);
    ck_assert_uint_le(atomic_load(&budget.used), 1 << 20);
    answer_alone(channels[0], first, true, 0);
    ck_assert_uint_gt(asked, 4); // it was little
    for (size_t i = 0; i < 4 * STREAMS && strncmp(streams[STREAMS - 1].heard, "1 2 3 ", 6) != 0; i++) {
        ck_assert_uint_le(atomic_load(&budget.used), 2 << 20);
        later(60000); // pages that do not come hold nothing for ever
        answer_alone(channels[i % STREAMS], query, true, 0);
    }
    ck_assert(strncmp(streams[STREAMS - 1].heard, "1 2 3 ", 6) == 0);
}
END_TEST

START_TEST(a_hub_reads_a_page_although_others_hold_the_whole_budget)
{
    replay_budget_add(&budget, 2 << 20);
    resume_alone(0);
    resume_alone(1);
    ck_assert(strncmp(heard(0), "1 2 3 ", 6) == 0);
    ck_assert(strncmp(heard(1), "1 2 3 ", 6) == 0);
    leave(0);
    later(1000); // what nobody needs any more is not kept then
    ck_assert_uint_eq(hub_channel_count(hub), 1);
    replay_budget_remove(&budget, 2 << 20);
}
END_TEST

START_TEST(entries_that_became_gaps_count_with_the_size_that_redis_sent)
{
    struct channel_ref channel = join_alone(0);
    answer_alone(channel, query, false, 4 << 20);
    ck_assert_uint_eq(query.entries, 2);
    join_alone(1);               // in another channel, too
    ck_assert_uint_eq(asked, 2); // and waits: the page that is on its way may have all that is allowed
}
END_TEST

START_TEST(what_is_remembered_stays_below_the_limit_however_many_channels_resume)
{
    resume_alone(0);
    size_t one = hub_replay_bytes(hub);
    ck_assert_uint_gt(STREAMS * one, 2 << 20);
    for (size_t i = 1; i < STREAMS; i++) {
        resume_alone(i);
        ck_assert_uint_le(hub_replay_bytes(hub), (1 << 20) + one);
        ck_assert(strncmp(heard(i), "1 2 3 ", 6) == 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catch_up");
    TCase *tcase = tcase_create("catch_up");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, who_resumes_gets_what_it_missed_once_and_then_what_is_live);
    tcase_add_test(tcase, who_is_at_the_end_opens_without_a_question);
    tcase_add_test(tcase, earliest_is_all_that_is_kept);
    tcase_add_test(tcase, what_was_trimmed_is_a_gap);
    tcase_add_test(tcase, many_who_wait_share_one_question_and_its_answer_is_not_asked_for_again);
    tcase_add_test(tcase, a_hole_is_filled_before_what_is_newer);
    tcase_add_test(tcase, who_comes_while_redis_is_away_is_opened_when_it_is_back);
    tcase_add_test(tcase, who_was_verified_before_redis_went_is_opened_when_it_is_back);
    tcase_add_test(tcase, a_page_that_live_events_have_overtaken_is_followed_by_the_next_at_once);
    tcase_add_test(tcase, who_got_beyond_the_page_by_live_events_asks_for_the_next_one);
    tcase_add_test(tcase, the_next_page_is_asked_for_where_the_last_one_was_whole);
    tcase_add_test(tcase, a_confirmation_that_knows_of_more_is_believed);
    tcase_add_test(tcase, a_history_that_is_short_for_long_is_a_gap_for_all_at_once);
    tcase_add_test(tcase, a_history_that_lags_is_waited_for);
    tcase_add_test(tcase, what_redis_has_before_the_bus_waits_for_the_bus);
    tcase_add_test(tcase, who_was_served_by_a_quicker_gateway_waits_for_what_is_new);
    tcase_add_test(tcase, a_page_that_cannot_be_had_is_a_gap_for_those_who_wait);
    tcase_add_test(tcase, a_question_without_an_answer_is_asked_again);
    tcase_add_loop_test(tcase, a_page_that_was_lost_on_its_way_is_asked_for_again_soon, 0, 2);
    tcase_add_test(tcase, a_question_that_could_not_be_told_is_told_again_soon);
    tcase_add_test(tcase, the_answer_to_another_question_is_not_taken);
    tcase_add_test(tcase, the_answer_to_the_same_question_of_another_time_is_not_taken);
    tcase_add_test(tcase, pages_begin_small_and_grow_by_the_size_of_the_events);
    tcase_add_test(tcase, a_history_that_begins_anew_in_the_past_is_not_taken_for_old_events);
    tcase_add_test(tcase, who_is_behind_when_history_begins_anew_in_the_past_does_not_wait_for_the_clock);
    tcase_add_test(tcase, what_a_failover_put_in_the_place_of_lost_events_is_delivered_behind_a_gap);
    tcase_add_test(tcase, who_looks_for_its_place_keeps_the_one_it_had);
    tcase_add_test(tcase, who_looks_for_its_place_in_a_history_that_can_be_read_no_more_is_told_of_a_gap);
    tcase_add_test(tcase, who_is_ahead_of_what_a_failover_left_is_told_of_a_gap);
    tcase_add_test(tcase, entries_that_lie_about_what_was_before_them_are_given_once);
    tcase_add_test(tcase, entries_of_others_are_announced_once_however_many_they_are);
    tcase_add_test(tcase, a_page_that_brings_nothing_is_not_asked_for_again_at_once);
    tcase_add_test(tcase, events_that_were_in_the_answer_already_are_not_given_again);
    tcase_add_test(tcase, a_page_that_fails_costs_nothing_to_those_who_need_none);
    tcase_add_test(tcase, a_page_that_was_read_before_a_stream_came_does_not_say_that_its_place_is_gone);
    tcase_add_test(tcase, a_page_for_a_channel_that_is_gone_is_released);
    tcase_add_test(tcase, leaving_in_any_order_while_behind_leaves_nothing);
    tcase_add_test(tcase, without_history_who_resumes_gets_one_gap_and_then_what_is_live);
    tcase_add_test(tcase, without_history_a_hole_is_a_gap_before_the_event_behind_it);
    tcase_add_test(tcase, a_new_life_of_the_history_begins_without_a_gap_for_who_was_there);
    tcase_add_test(tcase, a_lost_message_is_asked_for_and_filled);
    tcase_add_test(tcase, who_is_subscribed_anew_waits_for_the_confirmation_that_follows);
    tcase_add_test(tcase, a_channel_of_both_kinds_is_told_of_a_loss_since_no_history_has_the_plain_ones);
    tcase_add_test(tcase, a_message_that_is_lost_before_the_first_confirmation_is_asked_for);
    tcase_add_test(tcase, a_message_that_is_lost_while_a_confirmation_is_on_its_way_is_asked_for);
    tcase_add_test(tcase, a_durable_channel_without_readable_history_is_unknown_in_the_cursor);
    tcase_add_test(tcase, who_is_further_on_gets_its_page_although_others_keep_coming);
    tcase_add_test(tcase, what_is_remembered_stays_below_the_limit_however_many_channels_resume);
    tcase_add_test(tcase, pages_that_were_asked_for_count_before_they_come);
    tcase_add_test(tcase, a_hub_reads_a_page_although_others_hold_the_whole_budget);
    tcase_add_test(tcase, entries_that_became_gaps_count_with_the_size_that_redis_sent);
    tcase_add_test(tcase, a_loss_is_told_where_nobody_said_that_the_channel_has_durable_events_only);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
