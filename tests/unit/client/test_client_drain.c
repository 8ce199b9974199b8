// The drain of one loop, and streams that are too old.
#include "gateway/client/client_drain.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

#define STREAMS 40u

static struct client_world world;
static struct client streams[STREAMS];

static void setup(void)
{
    client_world_init(&world);
}

static void teardown(void)
{
    client_world_stop(&world);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static void turn(void)
{
    ev_run(world.loop, EVRUN_NOWAIT);
}

static void open_streams(void)
{
    client_world_start(&world);
    for (unsigned i = 0; i < STREAMS; i++) {
        client_connect(&world, &streams[i]);
        client_get(&streams[i], "/stream?channel=open1&control=1", "");
    }
    turn();
    client_world_confirm(&world, "open1");
    turn();
    for (unsigned i = 0; i < STREAMS; i++)
        client_wait_for(&world, &streams[i], "gateway:open");
}

static void close_streams(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        client_close(&streams[i]);
    client_world_wait_empty(&world);
}

static size_t ended_streams(void)
{
    return STREAMS - client_loop_streams(&world.clients);
}

static bool is_later(void *ctx)
{
    return clock_monotonic_ms() >= *(uint64_t *)ctx;
}

static void run_until(uint64_t at_ms)
{
    loop_wait(world.loop, is_later, &at_ms);
}

static void deliver(const char *data)
{
    const struct sse_event event = {.data = data, .data_len = strlen(data)};
    client_loop_deliver(&world.clients, frame_create(&event, channel_ref("open1", 5)), false);
}

// By the lateness of a busy machine the counts may run behind, and never ahead.
TEST(streams_end_evenly_over_the_window_and_events_are_delivered_to_those_that_are_open)
{
    open_streams();
    uint64_t begin = clock_monotonic_ms();
    client_loop_drain(&world.clients, &(struct drain_plan){.begin_ms = begin, .window_ms = 1000, .parts = 1});
    ck_assert_uint_eq(ended_streams(), 0);
    run_until(begin + 500);
    size_t half = ended_streams();
    ck_assert_uint_ge(half, 15);
    deliver("in the middle");
    turn();
    size_t got = 0;
    for (unsigned i = 0; i < STREAMS; i++) {
        client_read(&streams[i]);
        got += strstr(streams[i].answer, "data: in the middle\n\n") != NULL;
    }
    ck_assert_uint_le(got, STREAMS - half);
    ck_assert_uint_ge(got, STREAMS - half - 4);
    ck_assert(!client_loop_is_drained(&world.clients));
    for (unsigned i = 0; i < STREAMS; i++)
        client_wait_for(&world, &streams[i], "{\"reason\":\"drain\"}");
    ck_assert_uint_ge(clock_monotonic_ms(), begin + 980);
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_STREAMS_DRAINED), STREAMS);
    close_streams();
    ck_assert(client_loop_is_drained(&world.clients));
}

TEST(a_stream_that_ends_by_itself_counts)
{
    open_streams();
    uint64_t begin = clock_monotonic_ms();
    client_loop_drain(&world.clients, &(struct drain_plan){.begin_ms = begin, .window_ms = 2000, .parts = 1});
    for (unsigned i = 0; i < STREAMS / 2; i++)
        client_close(&streams[i]);
    run_until(begin + 700);
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_STREAMS_DRAINED), 0);
    for (unsigned i = STREAMS / 2; i < STREAMS; i++)
        client_wait_for(&world, &streams[i], "{\"reason\":\"drain\"}");
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_STREAMS_DRAINED), STREAMS / 2);
    for (unsigned i = STREAMS / 2; i < STREAMS; i++)
        client_close(&streams[i]);
    client_world_wait_empty(&world);
}

TEST(a_window_that_was_over_before_the_drain_was_heard_of_ends_all_at_once)
{
    open_streams();
    const struct drain_plan late = {.begin_ms = clock_monotonic_ms() - 5000, .window_ms = 4000, .parts = 1};
    client_loop_drain(&world.clients, &late);
    ck_assert_uint_eq(client_loop_streams(&world.clients), 0);
    close_streams();
}

TEST(a_stream_that_is_too_old_ends_with_the_reason_and_a_short_retry_a_tenth_earlier_or_later)
{
    world.settings.max_stream_age_ms = 3000;
    uint64_t begin = clock_monotonic_ms();
    open_streams();
    run_until(begin + 2400);
    ck_assert_uint_eq(ended_streams(), 0);
    run_until(begin + 3000);
    ck_assert_uint_gt(ended_streams(), 0);
    for (unsigned i = 0; i < STREAMS; i++) {
        client_wait_for(&world, &streams[i], "event: gateway:close\ndata: {\"reason\":\"age\"}\n\n");
        const char *retry = strstr(strstr(streams[i].answer, "gateway:close"), "retry: ");
        ck_assert_ptr_nonnull(retry);
        ck_assert_int_ge(atoi(retry + 7), 500);
        ck_assert_int_le(atoi(retry + 7), 1000);
    }
    ck_assert_uint_lt(clock_monotonic_ms(), begin + 5500);
    close_streams();
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_AGE), STREAMS);
}

// Its heartbeats go on, and say nothing about its age.
TEST(a_stream_that_sends_heartbeats_gets_old_too)
{
    world.settings.max_stream_age_ms = 1000;
    world.settings.heartbeat_ms = 250;
    open_streams();
    for (unsigned i = 0; i < STREAMS; i++)
        client_wait_for(&world, &streams[i], "{\"reason\":\"age\"}");
    ck_assert_uint_gt(counter_read(&world.counters, COUNTER_HEARTBEATS), STREAMS);
    close_streams();
}
