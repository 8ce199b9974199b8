#include "tests/unit/lib/hub_world.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/map.h"
#include "gateway/fanout/hub_end.h"
#include "gateway/fanout/message.h"

struct hub_world world;

struct event_id place(uint64_t offset)
{
    return offset ? (struct event_id){.ms = world.life + offset, .offset = offset} : (struct event_id){0};
}

static bool on_interest(void *ctx, struct channel_ref channel, uint64_t subscribe_seq)
{
    (void)ctx, (void)channel;
    world.interests += subscribe_seq != 0;
    world.wanted = subscribe_seq != 0;
    world.last_seq = subscribe_seq ? subscribe_seq : world.last_seq;
    return true;
}

static bool on_history(void *ctx, struct channel_ref channel, const struct history_query *asked_for)
{
    (void)ctx, (void)channel;
    world.asked++;
    world.query = *asked_for;
    return world.bus_has_memory;
}

static void on_frame(void *ctx, struct subscriber *s, struct frame *f)
{
    (void)ctx;
    struct hub_stream *stream = (struct hub_stream *)s;
    if (!stream->open)
        return;
    stream->overs += hub_end_is_told(s);
    stream->has_id = f->id_line_len > 0;
    if (stream->room > 0 && --stream->room == 0)
        stream->readiness = SUBSCRIBER_BLOCKED;
    char word[32];
    snprintf(word, sizeof word,
             f->is_gap        ? "gap"
             : f->is_end      ? "end"
             : f->is_snapshot ? "%u*"
                              : "%u",
             (unsigned)f->at.offset);
    size_t len = strlen(stream->heard);
    snprintf(stream->heard + len, sizeof stream->heard - len, "%s%s", len ? " " : "", word);
}

static void on_ready(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct hub_stream *stream = (struct hub_stream *)s;
    stream->opened++;
    if (stream->open)
        return;
    stream->open = true;
    hub_wake(world.hub, s);
}

static enum subscriber_readiness readiness(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct hub_stream *stream = (struct hub_stream *)s;
    return stream->open ? stream->readiness : SUBSCRIBER_NOT_OPEN;
}

static void on_no_memory(void *ctx, struct subscriber *s)
{
    (void)ctx, (void)s;
    ck_abort_msg("out of memory");
}

void hub_world_create_hub(bool durable_named)
{
    const struct hub_events events = {.on_interest = on_interest,
                                      .on_history = on_history,
                                      .on_frame = on_frame,
                                      .on_ready = on_ready,
                                      .readiness = readiness,
                                      .on_no_memory = on_no_memory};
    world.hub = hub_create(
        &events, &(struct hub_settings){.replay_budget = &world.budget, .durable_named = durable_named});
    ck_assert_ptr_nonnull(world.hub);
}

void hub_world_setup(void)
{
    ck_assert(map_seed());
    world.channel = channel_ref("a", 1);
    world.now = 1000000;
    world.life = 1000;
    world.event_size = 1;
    world.bus_has_memory = true;
    world.budget = (struct replay_budget){.limit = 1 << 20};
    hub_world_create_hub(true);
    hub_tick(world.hub, world.now);
    for (size_t i = 0; i < STREAMS; i++)
        world.streams[i].readiness = SUBSCRIBER_READY;
}

void hub_world_teardown(void)
{
    for (size_t i = 0; i < STREAMS; i++)
        hub_leave(world.hub, &world.streams[i].subscriber);
    ck_assert_uint_eq(hub_channel_count(world.hub), 0);
    ck_assert_uint_eq(hub_replay_bytes(world.hub), 0);
    ck_assert_uint_le(hub_bytes(world.hub), 16 * sizeof(void *));
    hub_destroy(world.hub);
    ck_assert_uint_eq(atomic_load(&world.budget.used), 0);
}

static struct frame *event_behind(uint64_t offset, uint64_t prev)
{
    static char data[1 << 20];
    const struct event_place at = {.at = place(offset),
                                   .prev = place(prev),
                                   .epoch = world.life + 1,
                                   .is_snapshot = offset == world.snapshot,
                                   .ends = world.end != 0 && offset == world.end};
    struct sse_event event = {.data = memset(data, 'x', world.event_size), .data_len = world.event_size};
    struct frame *f = message_durable_frame(world.channel, &at, &event);
    ck_assert_ptr_nonnull(f);
    return f;
}

void feed(void)
{
    while (hub_feed(world.hub, 256))
        ;
}

void live(uint64_t offset)
{
    struct frame *f = event_behind(offset, offset - 1);
    hub_deliver(world.hub, f);
    ck_assert_uint_ge(atomic_load(&f->refs), 1);
    frame_release(f);
    feed();
}

void join_at(size_t i, enum hub_from from, struct event_id at)
{
    const struct hub_name name = {.channel = world.channel, .from = from, .at = at};
    ck_assert(hub_join(world.hub, &world.streams[i].subscriber, &name, 1));
    if (hub_is_ready(&world.streams[i].subscriber))
        on_ready(NULL, &world.streams[i].subscriber);
    feed();
}

void join(size_t i, enum hub_from from, uint64_t at)
{
    join_at(i, from, place(at));
}

void leave(size_t i)
{
    hub_leave(world.hub, &world.streams[i].subscriber);
    world.streams[i].open = false;
    feed();
}

void confirm(uint64_t last)
{
    hub_confirm(world.hub, world.channel,
                &(struct history_tail){.has_history = true,
                                       .last = place(last),
                                       .epoch = world.life + 1,
                                       .has_snapshot = world.snapshot > 0 && world.snapshot <= last,
                                       .ended = world.end != 0 && last == world.end,
                                       .subscribe_seq = world.last_seq});
    feed();
}

void confirm_without_history(void)
{
    hub_confirm(world.hub, world.channel, &(struct history_tail){.subscribe_seq = world.last_seq});
    feed();
}

void answer(struct history_query to, uint64_t first, uint64_t last, bool at_end)
{
    struct frame *frames[300];
    struct history_page p = {.query = to, .at_end = at_end, .frames = frames};
    for (uint64_t n = first; last && n <= last; n++)
        frames[p.count++] = event_behind(n, n - 1);
    hub_page(world.hub, world.channel, &p);
    feed();
}

void page(uint64_t from, uint64_t first, uint64_t last, bool at_end)
{
    ck_assert(event_id_equal(world.query.from, place(from)));
    answer(world.query, first, last, at_end);
}

void page_fails(uint64_t from)
{
    ck_assert(event_id_equal(world.query.from, place(from)));
    hub_page(world.hub, world.channel, &(struct history_page){.query = world.query, .failed = true});
    feed();
}

void later(uint64_t ms)
{
    world.now += ms;
    hub_tick(world.hub, world.now);
    feed();
}

const char *heard(size_t i)
{
    static char copy[sizeof world.streams[0].heard];
    memcpy(copy, world.streams[i].heard, sizeof copy);
    world.streams[i].heard[0] = '\0';
    return copy;
}
