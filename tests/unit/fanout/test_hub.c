#include "gateway/fanout/hub.h"

#include <stdio.h>
#include <string.h>

#include "common/jitter.h"
#include "common/map.h"
#include "gateway/fanout/hub_channel.h"
#include "tests/unit/lib/unit_main.h"

enum { STREAMS = 40, CHANNELS = 12 };

static struct hub *hub;
static struct replay_budget budget;
static struct stream {
    struct subscriber subscriber;
    unsigned frames, confirmed;
    struct frame *last;
} streams[STREAMS];

// By channel: is it wanted, as the bus was told, and how often was it told.
static bool wanted[CHANNELS];
static size_t untold = CHANNELS; // a channel whose interest the bus does not take
static unsigned told;
static char names[CHANNELS][16];

static struct channel_ref ref_of(size_t channel)
{
    return channel_ref(names[channel], strlen(names[channel]));
}

static struct hub_name name_of(size_t channel)
{
    return (struct hub_name){.channel = ref_of(channel)};
}

static uint64_t last_seq; // the number of the last subscribe_seq

static size_t channel_named(const char *name, size_t len)
{
    for (size_t c = 0; c < CHANNELS; c++)
        if (len == strlen(names[c]) && memcmp(names[c], name, len) == 0)
            return c;
    ck_abort_msg("unknown channel %.*s", (int)len, name);
    return CHANNELS;
}

static bool on_interest(void *ctx, struct channel_ref channel, uint64_t subscribe_seq)
{
    size_t c = channel_named(channel.name, channel.len);
    bool is_wanted = subscribe_seq != 0;
    if (ctx != &hub || channel.hash != ref_of(c).hash || wanted[c] == is_wanted)
        ck_abort_msg("told %d of channel %zu again", is_wanted, c);
    if (is_wanted && c == untold)
        return false;
    wanted[c] = is_wanted;
    last_seq = is_wanted ? subscribe_seq : last_seq;
    told++;
    return true;
}

static void on_frame(void *ctx, struct subscriber *s, struct frame *f)
{
    struct stream *stream = (struct stream *)s;
    if (ctx != &hub)
        ck_abort_msg("not the context that was given");
    stream->frames++;
    stream->last = f;
}

static void on_confirmed(void *ctx, struct subscriber *s)
{
    ck_assert_ptr_eq(ctx, &hub);
    ((struct stream *)s)->confirmed++;
}

static void setup(void)
{
    struct hub_events events = {
        .on_interest = on_interest, .on_frame = on_frame, .on_ready = on_confirmed, .ctx = &hub};
    ck_assert(map_seed());
    for (size_t c = 0; c < CHANNELS; c++)
        snprintf(names[c], sizeof names[c], "channel:%zu", c);
    budget = (struct replay_budget){.limit = 1 << 20};
    hub = hub_create(&events, &(struct hub_settings){.replay_budget = &budget, .durable_named = true});
    ck_assert_ptr_nonnull(hub);
}

static void teardown(void)
{
    for (size_t i = 0; i < STREAMS; i++)
        hub_leave(hub, &streams[i].subscriber);
    ck_assert_uint_eq(hub_channel_count(hub), 0);
    // Of all that was accounted for, the smallest table remains.
    ck_assert_uint_le(hub_bytes(hub), 16 * sizeof(void *));
    hub_destroy(hub);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static struct stream *join(size_t i, const size_t *channels, size_t count)
{
    struct hub_name list[CHANNELS];
    for (size_t n = 0; n < count; n++)
        list[n] = name_of(channels[n]);
    ck_assert(hub_join(hub, &streams[i].subscriber, list, count));
    return &streams[i];
}

#define JOIN(i, ...)                                                                                         \
    join(i, (const size_t[]){__VA_ARGS__}, sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

static void leave(size_t i)
{
    hub_leave(hub, &streams[i].subscriber);
}

static size_t deliver(size_t channel)
{
    struct sse_event event = {.data = "x", .data_len = 1};
    struct frame *f = frame_create(&event, ref_of(channel));
    for (size_t i = 0; i < STREAMS; i++) {
        streams[i].frames = 0;
        streams[i].last = NULL;
    }
    size_t count = hub_deliver(hub, f);
    for (size_t i = 0; i < STREAMS; i++)
        if (streams[i].frames > 0)
            ck_assert_ptr_eq(streams[i].last, f);
    ck_assert_uint_eq(atomic_load(&f->refs), 1); // borrowed
    frame_release(f);
    return count;
}

static void confirm(size_t channel)
{
    hub_confirm(hub, ref_of(channel), &(struct history_tail){.subscribe_seq = last_seq});
}

TEST(the_bus_is_told_of_the_first_that_comes_and_the_last_that_goes)
{
    JOIN(0, 3);
    ck_assert(wanted[3] && told == 1);
    JOIN(1, 3);
    leave(0);
    ck_assert(wanted[3] && told == 1);
    leave(1);
    ck_assert(!wanted[3] && told == 2);
    JOIN(0, 3);
    ck_assert(wanted[3] && told == 3);
}

TEST(a_join_that_the_bus_does_not_take_fails_whole)
{
    struct hub_name list[] = {name_of(1), name_of(2), name_of(3)};
    untold = 2;
    ck_assert(!hub_join(hub, &streams[0].subscriber, list, 3));
    ck_assert(!wanted[1] && !wanted[2] && !wanted[3]);
    ck_assert_uint_eq(hub_channel_count(hub), 0);
    leave(0); // no effect
    untold = CHANNELS;
    JOIN(0, 2);
    untold = 2; // known already: nothing to be told
    JOIN(1, 2);
    ck_assert_uint_eq(deliver(2), 2);
}

TEST(a_frame_goes_to_the_streams_of_its_channel_and_no_other)
{
    JOIN(0, 1);
    JOIN(1, 1, 2);
    JOIN(2, 2);
    ck_assert_uint_eq(deliver(1), 2);
    ck_assert_uint_eq(streams[0].frames, 1);
    ck_assert_uint_eq(streams[1].frames, 1);
    ck_assert_uint_eq(streams[2].frames, 0);
    ck_assert_uint_eq(deliver(5), 0);
}

TEST(leaving_twice_or_without_joining_has_no_effect)
{
    leave(7);
    JOIN(0, 1, 2);
    leave(0);
    leave(0);
    ck_assert_uint_eq(told, 4);
    ck_assert_ptr_null(streams[0].subscriber.subscriptions);
}

TEST(a_stream_knows_the_names_of_its_channels_in_order)
{
    static const size_t channels[] = {4, 2, 9};
    join(0, channels, 3);
    ck_assert_uint_eq(streams[0].subscriber.count, 3);
    for (size_t i = 0; i < 3; i++) {
        struct channel_ref channel = hub_channel_name(&streams[0].subscriber, i);
        ck_assert_uint_eq(channel_named(channel.name, channel.len), channels[i]);
    }
}

TEST(a_stream_is_confirmed_with_its_last_channel_and_once)
{
    struct stream *both = JOIN(0, 1, 2), *one = JOIN(1, 1);
    ck_assert(!hub_is_ready(&both->subscriber));
    confirm(1);
    ck_assert_uint_eq(both->confirmed, 0);
    ck_assert_uint_eq(one->confirmed, 1);
    confirm(2);
    ck_assert_uint_eq(both->confirmed, 1);
    ck_assert(hub_is_ready(&both->subscriber));
    confirm(1); // again: nobody waits for it
    confirm(2);
    ck_assert_uint_eq(both->confirmed, 1);
    ck_assert_uint_eq(one->confirmed, 1);
    confirm(11); // nobody's
}

TEST(who_comes_to_a_confirmed_channel_is_confirmed)
{
    JOIN(0, 1);
    confirm(1);
    ck_assert(hub_is_ready(&JOIN(1, 1)->subscriber));
    ck_assert(!hub_is_ready(&JOIN(2, 1, 2)->subscriber));
}

TEST(a_channel_that_was_left_by_all_must_be_confirmed_anew)
{
    JOIN(0, 1);
    confirm(1);
    leave(0);
    ck_assert(!hub_is_ready(&JOIN(0, 1)->subscriber));
}

// Years of others that come and go.
TEST(a_channel_is_confirmed_however_many_were_wanted_since)
{
    const uint64_t many[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(3) << 31};
    JOIN(0, 1);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        hub->subscribe_seq = many[i];
        JOIN(1, 2);
        ck_assert_uint_gt(last_seq, many[i]);
        hub_unconfirm_all(hub);
        confirm(1);
        ck_assert(hub_is_ready(&streams[0].subscriber));
        confirm(2);
        ck_assert(hub_is_ready(&streams[1].subscriber));
        leave(1);
    }
}

TEST(without_redis_nothing_is_confirmed)
{
    JOIN(0, 1, 2);
    JOIN(1, 3);
    for (size_t c = 1; c <= 3; c++)
        confirm(c);
    hub_unconfirm_all(hub);
    ck_assert(!hub_is_ready(&streams[0].subscriber));
    ck_assert(!hub_is_ready(&streams[1].subscriber));
    confirm(3);
    ck_assert(hub_is_ready(&streams[1].subscriber));
    ck_assert_uint_eq(streams[1].confirmed, 2);
}

TEST(a_stream_without_channels_is_not_confirmed)
{
    struct subscriber nobody = {0};
    ck_assert(!hub_is_ready(&nobody));
}

// An assertion of Check writes to a file, so in what is done a million times only the broken ones may be
// made.
#define CHECK_EACH(i, count, condition)                                                                      \
    for (size_t i = 0; i < (count); i++)                                                                     \
        if (!(condition))                                                                                    \
    ck_abort_msg("%s: not so for %zu", #condition, i)

// The model: a table of who is in what, looked through from end to end for every question.
static bool in[STREAMS][CHANNELS];
static bool joined[STREAMS], confirmed[CHANNELS];
static uint64_t random_state = 0xb0b;

static size_t random_below(size_t n)
{
    return jitter_next(&random_state) % n;
}

static size_t model_count(size_t channel)
{
    size_t count = 0;
    for (size_t i = 0; i < STREAMS; i++)
        count += in[i][channel];
    return count;
}

static bool model_confirmed(size_t i)
{
    for (size_t c = 0; c < CHANNELS; c++)
        if (in[i][c] && !confirmed[c])
            return false;
    return joined[i];
}

// True where it succeeds. At times the bus takes no new channel of one name.
static bool random_join(size_t i)
{
    struct hub_name list[CHANNELS];
    // Mostly one channel, at times nearly all.
    size_t count = 0, chance = random_below(2) ? 1 : random_below(10) + 1, one = random_below(CHANNELS);
    bool expected = true;
    untold = random_below(2 * CHANNELS);
    for (size_t c = 0; c < CHANNELS; c++) {
        if (c != one && random_below(11) >= chance - 1)
            continue;
        expected = expected && (c != untold || model_count(c) > 0);
        list[count++] = name_of(c);
    }
    if (hub_join(hub, &streams[i].subscriber, list, count) != expected)
        ck_abort_msg("a join %s", expected ? "failed" : "succeeded");
    for (size_t n = 0; expected && n < count; n++)
        in[i][channel_named(list[n].channel.name, list[n].channel.len)] = true;
    return expected;
}

static void random_join_or_leave(void)
{
    size_t i = random_below(STREAMS);
    if (joined[i]) {
        leave(i);
        memset(in[i], 0, sizeof in[i]);
        joined[i] = false;
    } else {
        joined[i] = random_join(i);
    }
    for (size_t c = 0; c < CHANNELS; c++)
        confirmed[c] = confirmed[c] && model_count(c) > 0;
}

static void random_deliver(void)
{
    size_t c = random_below(CHANNELS);
    ck_assert_uint_eq(deliver(c), model_count(c));
    CHECK_EACH(i, STREAMS, streams[i].frames == in[i][c]);
}

static void random_confirm(void)
{
    bool before[STREAMS];
    size_t c = random_below(CHANNELS);
    for (size_t i = 0; i < STREAMS; i++) {
        before[i] = model_confirmed(i);
        streams[i].confirmed = 0;
    }
    confirm(c);
    confirmed[c] = model_count(c) > 0;
    CHECK_EACH(i, STREAMS, streams[i].confirmed == (!before[i] && model_confirmed(i)));
}

static void check_as_model(void)
{
    size_t channels = 0;
    for (size_t c = 0; c < CHANNELS; c++)
        channels += model_count(c) > 0;
    ck_assert_uint_eq(hub_channel_count(hub), channels);
    CHECK_EACH(c, CHANNELS, wanted[c] == (model_count(c) > 0));
    CHECK_EACH(i, STREAMS, hub_is_ready(&streams[i].subscriber) == model_confirmed(i));
}

TEST(behaves_as_a_table_of_who_is_in_what)
{
    for (int step = 0; step < 10000; step++) {
        size_t dice = random_below(100);
        if (dice < 60)
            random_join_or_leave();
        else if (dice < 80)
            random_deliver();
        else if (dice < 99)
            random_confirm();
        else {
            hub_unconfirm_all(hub);
            memset(confirmed, 0, sizeof confirmed);
        }
        check_as_model();
    }
}
