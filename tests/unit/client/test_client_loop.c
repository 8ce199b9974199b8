// Connections of a loop before and beside their streams: heads in pieces, idle ones, a crowd of them, turns
// that come late.
#include "gateway/client/client_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/channel_ref.h"
#include "common/log.h"
#include "gateway/fanout/frame.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/log_capture.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

// What the program copies, and an allocator that fails at will: in the plain build, where nothing else stands
// in between.
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define COUNTS_CALLS 1
static size_t bytes_copied;
static size_t fails_of_size;

void *counted_copy(void *to, const void *from, size_t n) __asm__("memcpy");

void *counted_copy(void *to, const void *from, size_t n)
{
    volatile char *t = to; // volatile: or the compiler sees a memcpy in this loop
    const char *f = from;
    bytes_copied += n;
    for (size_t i = 0; i < n; i++)
        t[i] = f[i];
    return to;
}

void *__libc_calloc(size_t n, size_t size);

void *calloc(size_t n, size_t size)
{
    return size == fails_of_size ? NULL : __libc_calloc(n, size);
}
#endif

static struct client_world world;
static struct client client;

static void setup(void)
{
    client_world_init(&world);
}

static void teardown(void)
{
    client_world_stop(&world);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static uint64_t closes(enum close_reason reason)
{
    return client_loop_closes(&world.clients, reason);
}

static bool has_closed(void *ctx)
{
    return closes(*(enum close_reason *)ctx) > 0;
}

static void wait_closed(enum close_reason reason)
{
    loop_wait(world.loop, has_closed, &reason);
}

static void turn(void)
{
    ev_run(world.loop, EVRUN_NOWAIT);
}

// The loop does not get to run.
static void stall(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

#ifdef COUNTS_CALLS
TEST(a_head_that_comes_byte_by_byte_is_copied_once)
{
    char head[16000];
    int len = snprintf(head, sizeof head, "GET /page HTTP/1.1\r\nHost: x\r\nX: %*s\r\n\r\n", 15000, "y");
    client_world_start(&world);
    client_connect(&world, &client);
    size_t before = bytes_copied;
    for (int i = 0; i < len; i++) {
        client_send(&client, head + i, 1);
        turn();
    }
    ck_assert_uint_lt(bytes_copied - before, 64u * (unsigned)len); // with what each turn copies
    client_wait_for(&world, &client, "a page");
    client_close(&client);
}

TEST(a_connection_that_there_is_no_memory_for_is_counted)
{
    client_world_start(&world);
    fails_of_size = sizeof(struct conn);
    client_connect(&world, &client);
    fails_of_size = 0;
    client_wait_for_end(&world, &client);
    ck_assert_uint_eq(closes(CLOSE_OUT_OF_MEMORY), 1);
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_SOCKETS_ACCEPTED), 1);
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_SOCKETS_OPEN), 0);
    client_close(&client);
}
#endif

TEST_LOOP(requests_in_pieces_of_any_size_are_answered_one_after_another, 1, 40)
{
    static const char requests[] =
        "GET /page HTTP/1.1\r\nHost: x\r\n\r\nGET /page HTTP/1.1\r\nHost: y\r\n\r\n"
        "GET /nothing HTTP/1.1\r\nHost: z\r\n\r\n";
    size_t len = sizeof requests - 1, step = (size_t)_i;
    client_world_start(&world);
    client_connect(&world, &client);
    for (size_t at = 0; at < len; at += step) {
        client_send(&client, requests + at, len - at < step ? len - at : step);
        turn();
    }
    client_wait_for(&world, &client, "HTTP/1.1 404");
    client_wait_for_end(&world, &client);
    char *second = strstr(client.answer, "a page\n") + 1;
    ck_assert_ptr_nonnull(strstr(second, "a page\n"));
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST_LOOP(a_connection_on_which_nothing_comes_is_closed_with_its_reason, 0, 2)
{
    world.settings.head_timeout_ms = 300;
    world.settings.keep_alive_ms = 300;
    client_world_start(&world);
    client_connect(&world, &client);
    if (_i == 1) {
        client_get(&client, "/page", "");
        client_wait_for(&world, &client, "a page");
    }
    wait_closed(_i == 1 ? CLOSE_IDLE : CLOSE_HEAD_TIMEOUT);
    ck_assert_uint_eq(closes(_i == 1 ? CLOSE_HEAD_TIMEOUT : CLOSE_IDLE), 0);
    client_close(&client);
}

TEST(the_end_of_a_connection_is_logged_with_its_id_and_reason)
{
    world.settings.accounts = true;
    client_world_start(&world);
    log_capture_start();
    log_set_level(LOG_LEVEL_DEBUG);
    for (int i = 0; i < 2; i++) {
        client_connect(&world, &client);
        client_close(&client);
        client_world_wait_empty(&world);
    }
    ck_assert_uint_eq(
        log_capture_count("connection ended connection=7.1 reason=client_gone remote=unknown duration_ms="),
        1);
    ck_assert_uint_eq(
        log_capture_count("connection ended connection=7.2 reason=client_gone remote=unknown duration_ms="),
        1);
}

TEST_LOOP(a_method_that_a_path_does_not_take_is_405_with_those_that_it_takes, 0, 2)
{
    static const char *const requests[] = {"POST /page HTTP/1.1\r\nHost: x\r\n\r\n",
                                           "PUT /stream HTTP/1.1\r\nHost: x\r\n\r\n"};
    static const char *const allows[] = {"\r\nAllow: GET, HEAD\r\n",
                                         "\r\nAllow: GET, HEAD, OPTIONS, POST\r\n"};
    client_world_start(&world);
    client_connect(&world, &client);
    client_send(&client, requests[_i], strlen(requests[_i]));
    client_wait_for(&world, &client, "HTTP/1.1 405");
    client_wait_for(&world, &client, allows[_i]);
    client_close(&client);
}

TEST_LOOP(a_body_in_pieces_of_any_size_is_read_whole, 1, 40)
{
    static const char request[] = "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 29\r\n"
                                  "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
                                  "channel=open1&channel=open2&x";
    size_t len = sizeof request - 1, step = (size_t)_i;
    client_world_start(&world);
    client_connect(&world, &client);
    for (size_t at = 0; at < len; at += step) {
        client_send(&client, request + at, len - at < step ? len - at : step);
        turn();
    }
    ck_assert_uint_eq(client_world_conn(&world)->state, CONN_WAITING);
    client_world_confirm(&world, "open1");
    client_world_confirm(&world, "open2");
    client_wait_for(&world, &client, "retry: 2000\n");
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(the_exit_frees_a_body_that_is_not_whole)
{
    static const char request[] = "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n"
                                  "Content-Type: application/json\r\n\r\n{\"channel\":";
    client_world_start(&world);
    client_connect(&world, &client);
    client_send(&client, request, sizeof request - 1);
    turn();
    ck_assert_uint_eq(client_world_conn(&world)->state, CONN_HEAD);
    client_close(&client);
}

// ---- connections without a stream

#define CROWD 20u
static struct client crowd[CROWD];

static void open_stream(struct client *c)
{
    client_connect(&world, c);
    client_get(c, "/stream?channel=open1", "");
    turn();
    client_world_confirm(&world, "open1");
    client_wait_for(&world, c, "retry: 2000\n");
}

TEST(connections_without_a_stream_have_a_cap_and_the_one_that_was_idle_longest_goes_first)
{
    world.limits.max_sockets = 3 + 8;
    client_world_start(&world);
    struct client streams[3], busy;
    for (int i = 0; i < 3; i++)
        open_stream(&streams[i]);
    client_connect(&world, &busy);
    for (unsigned i = 0; i < CROWD; i++) {
        client_connect(&world, &crowd[i]);
        if (i % 2 == 0)
            client_send(&crowd[i], "GET /stre", 9); // half a head
        client_get(&busy, "/page", "");             // one that asks for something is not idle
        client_wait_for(&world, &busy, "a page\n");
        busy.len = 0;
        ck_assert_uint_le(world.clients.context.conns.count, 3 + 8);
    }
    ck_assert_uint_eq(closes(CLOSE_EVICTED), CROWD + 1 - 8);
    for (unsigned i = 0; i < CROWD + 1 - 8; i++)
        client_wait_for_end(&world, &crowd[i]);
    // The youngest are still served, and so are the streams.
    client_get(&crowd[CROWD - 1], "/page", "");
    client_wait_for(&world, &crowd[CROWD - 1], "a page\n");
    client_loop_drain(&world.clients, &at_once);
    for (int i = 0; i < 3; i++)
        client_wait_for(&world, &streams[i], "0\r\n\r\n");
    for (unsigned i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    for (int i = 0; i < 3; i++)
        client_close(&streams[i]);
    client_close(&busy);
    client_world_wait_empty(&world);
}

TEST(a_stream_takes_no_place_among_connections_without_one)
{
    world.limits.max_sockets = CROWD + 1;
    client_world_start(&world);
    for (unsigned i = 0; i < CROWD; i++)
        open_stream(&crowd[i]);
    ck_assert_uint_eq(closes(CLOSE_EVICTED), 0);
    ck_assert_uint_eq(atomic_load(&world.limits.streamless), 0);
    for (unsigned i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    client_world_wait_empty(&world);
}

TEST(what_is_on_its_way_to_a_slow_reader_of_an_answer_counts_too)
{
    world.limits.max_sockets = 4;
    client_world_start(&world);
    for (unsigned i = 0; i < CROWD; i++) {
        client_connect(&world, &crowd[i]);
        client_get(&crowd[i], "/nothing", ""); // answered, and the client does not close its side
        turn();
        ck_assert_uint_le(world.clients.context.conns.count, 4);
    }
    for (unsigned i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    client_world_wait_empty(&world);
}

// ---- turns that come late

TEST_LOOP(a_request_that_arrived_during_a_stall_is_answered, 0, 2)
{
    static const char *const begins[] = {"", "GET /pa"};
    static const char *const rests[] = {"GET /page HTTP/1.1\r\nHost: x\r\n\r\n",
                                        "ge HTTP/1.1\r\nHost: x\r\n\r\n"};
    world.settings.head_timeout_ms = 500;
    client_world_start(&world);
    client_connect(&world, &client);
    client_send(&client, begins[_i], strlen(begins[_i]));
    turn();
    client_send(&client, rests[_i], strlen(rests[_i]));
    stall(1700);
    client_wait_for(&world, &client, "HTTP/1.1 200");
    ck_assert_uint_eq(closes(CLOSE_HEAD_TIMEOUT), 0);
    client_close(&client);
}

TEST(silence_that_a_stall_does_not_explain_is_judged_at_once)
{
    world.settings.head_timeout_ms = 500;
    client_world_start(&world);
    client_connect(&world, &client);
    turn();
    stall(1700);
    turn();
    turn();
    ck_assert_uint_eq(closes(CLOSE_HEAD_TIMEOUT), 1);
    client_close(&client);
}

TEST(a_confirmation_that_arrived_during_a_stall_opens_the_stream)
{
    client_world_start(&world);
    client_connect(&world, &client);
    client_get(&client, "/stream?channel=open1", "");
    turn();
    ck_assert_int_eq(client_world_conn(&world)->state, CONN_WAITING);
    stall(6500); // 5 s is what a confirmation may take
    turn();
    client_world_confirm(&world, "open1"); // the mail of a later turn
    client_wait_for(&world, &client, "retry: 2000\n");
    client_close(&client);
    client_world_wait_empty(&world);
}

static void deliver(size_t bytes)
{
    static char data[32768];
    memset(data, 'x', sizeof data);
    struct sse_event event = {.data = data, .data_len = bytes};
    struct frame *f = frame_create(&event, channel_ref("open1", 5));
    ck_assert_ptr_nonnull(f);
    client_loop_deliver(&world.clients, f, false);
}

static bool is_watched(void *ctx)
{
    const struct conn *c = ctx;
    return c->queue && c->queue->watched;
}

TEST(a_slow_client_is_not_judged_by_the_time_of_a_stall)
{
    world.settings.heartbeat_ms = 600;
    world.settings.queue_limit = 1u << 30;
    client_world_start(&world);
    open_stream(&client);
    struct conn *c = client_world_conn(&world);
    while (!c->blocked)
        deliver(sizeof(char[30000]));
    deliver(10000);
    loop_wait(world.loop, is_watched, c); // from here on it has a heartbeat interval for its next bytes
    stall(1900);
    turn();
    turn();
    ck_assert_int_eq(c->state, CONN_STREAM);
    ck_assert_uint_eq(closes(CLOSE_SLOW), 0);
    wait_closed(CLOSE_SLOW); // it does not read in its next interval either
    client_close(&client);
    client_world_wait_empty(&world);
}
