// Streams of a loop that are ended some at a time, in random order.
#include "gateway/client/end_some.h"

#include <string.h>

#include "common/clock.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

#define STREAMS 24u

static struct client_world world;
static struct client streams[STREAMS];

static void setup(void)
{
    client_world_init(&world);
    client_world_start(&world);
}

static void teardown(void)
{
    client_world_stop(&world);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 60);

static void turn(void)
{
    ev_run(world.loop, EVRUN_NOWAIT);
}

static void open_streams(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        client_connect(&world, &streams[i]);
        client_get(&streams[i], "/stream?channel=open1&control=1", "");
    }
    turn();
    client_world_confirm(&world, "open1");
    turn(); // writes what the confirmation has opened
    for (unsigned i = from; i < to; i++)
        client_wait_for(&world, &streams[i], "gateway:open");
}

static void close_streams(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        client_close(&streams[i]);
    while (world.clients.context.conns.count > 0)
        turn();
}

static size_t end_some(size_t n)
{
    size_t ended = client_loop_end_some(&world.clients, n, 0, CLOSE_DRAIN);
    turn();
    return ended;
}

static bool has_ended(struct client *c)
{
    client_read(c);
    return strstr(c->answer, "\r\n0\r\n\r\n") != NULL;
}

static unsigned ended_streams(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < STREAMS; i++)
        n += has_ended(&streams[i]);
    return n;
}

TEST(as_many_end_as_were_asked_for_and_the_others_stay_open)
{
    open_streams(0, STREAMS);
    ck_assert_uint_eq(client_loop_streams(&world.clients), STREAMS);
    for (unsigned left = STREAMS; left > 0; left -= 3) {
        ck_assert_uint_eq(end_some(3), 3);
        ck_assert_uint_eq(ended_streams(), STREAMS - left + 3);
        ck_assert_uint_eq(client_loop_streams(&world.clients), left - 3);
    }
    ck_assert_uint_eq(end_some(3), 0);
    close_streams();
}

TEST(each_ends_with_the_reason_a_retry_of_its_own_and_a_last_chunk)
{
    open_streams(0, STREAMS);
    ck_assert_uint_eq(end_some(STREAMS + 1), STREAMS);
    unsigned same = 0;
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert(has_ended(&streams[i]));
        const char *close =
            strstr(streams[i].answer, "event: gateway:close\ndata: {\"reason\":\"drain\"}\n\n");
        ck_assert_ptr_nonnull(close);
        ck_assert_ptr_nonnull(strstr(close, "retry: "));
        same += strcmp(strstr(close, "retry: "), strstr(streams[0].answer, "\r\nretry: ")) == 0;
    }
    ck_assert_uint_lt(same, STREAMS / 2);
    close_streams();
}

// Half of 24 streams, drawn 40 times: each stream's share is 20 with a deviation of 3.2.
TEST(each_stream_is_as_likely_as_any_other)
{
    world.clients.context.random = 11;
    unsigned drawn[STREAMS] = {0};
    for (int round = 0; round < 40; round++) {
        open_streams(0, STREAMS);
        ck_assert_uint_eq(end_some(STREAMS / 2), STREAMS / 2);
        for (unsigned i = 0; i < STREAMS; i++)
            drawn[i] += has_ended(&streams[i]);
        close_streams();
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_uint_ge(drawn[i], 8);
        ck_assert_uint_le(drawn[i], 32);
    }
}

static bool is_old_enough(void *ctx)
{
    return clock_monotonic_ms() >= *(uint64_t *)ctx;
}

TEST(streams_younger_than_asked_for_are_left_alone)
{
    open_streams(0, STREAMS / 2);
    uint64_t later = clock_monotonic_ms() + 1600;
    loop_wait(world.loop, is_old_enough, &later);
    open_streams(STREAMS / 2, STREAMS);
    ck_assert_uint_eq(client_loop_end_some(&world.clients, STREAMS, 1000, CLOSE_DRAIN), STREAMS / 2);
    turn();
    for (unsigned i = 0; i < STREAMS; i++)
        ck_assert_int_eq(has_ended(&streams[i]), i < STREAMS / 2);
    close_streams();
}

TEST(connections_without_a_stream_are_left_alone)
{
    struct client idle, half;
    open_streams(0, STREAMS);
    client_connect(&world, &idle);
    client_connect(&world, &half);
    client_send(&half, "GET /pa", 7);
    turn();
    ck_assert_uint_eq(end_some(STREAMS + 2), STREAMS);
    client_get(&idle, "/page", "");
    client_wait_for(&world, &idle, "a page\n");
    client_send(&half, "ge HTTP/1.1\r\nHost: x\r\n\r\n", 24);
    client_wait_for(&world, &half, "a page\n");
    client_close(&idle);
    client_close(&half);
    close_streams();
}
