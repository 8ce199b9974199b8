// When a server is slow, frozen or gone. Seconds pass when a test says so: it fires the deadline. What is
// read and sent is in test_redis_pubsub.c.
#include "gateway/redis/redis_conn.c"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/lib/log_capture.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/peer.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

static struct ev_loop *loop;
static struct redis_server server;
static struct redis_conn *conn;
static unsigned ready, down, pongs;
static bool asks_at_once; // a PING as soon as it is ready

static void send_ping(void)
{
    const char *ping[] = {"PING"};
    ck_assert(redis_conn_send(conn, 1, ping, NULL));
}

static void on_ready(void *ctx)
{
    (void)ctx;
    ready++;
    if (asks_at_once)
        send_ping();
}

static void on_down(void *ctx)
{
    (void)ctx;
    down++;
}

static bool on_pong(void *ctx, void *reply)
{
    (void)ctx;
    redisReply *r = reply;
    pongs += r->type == REDIS_REPLY_STATUS && strcmp(r->str, "PONG") == 0;
    freeReplyObject(r);
    return true;
}

static void on_skipped(void *ctx, size_t len)
{
    (void)ctx, (void)len;
}

static void connect_to(const struct redis_url *url)
{
    struct redis_conn_settings settings = {.url = url,
                                           .purpose = "test",
                                           .client_name = "test",
                                           .limits = {.bulk = 1024, .elements = 8, .bytes = 1024},
                                           .on_ready = on_ready,
                                           .on_reply = on_pong,
                                           .on_skipped = on_skipped,
                                           .on_down = on_down};
    conn = redis_conn_create(loop, &settings);
    ck_assert_ptr_nonnull(conn);
}

static void setup_loop(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    log_capture_start();
}

static void setup(void)
{
    setup_loop();
    redis_server_start(&server, NULL);
    connect_to(&server.url);
}

static void teardown(void)
{
    redis_conn_destroy(conn);
    redis_server_kill(&server);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

static bool has_state(void *ctx)
{
    return conn->state == *(enum redis_conn_state *)ctx;
}

static void wait_for_state(enum redis_conn_state state)
{
    loop_wait(loop, has_state, &state);
}

static void fire_timer(void)
{
    deadline_stop(&conn->deadline);
    conn->deadline.on_over(conn->deadline.ctx);
}

TEST(silence_is_broken_by_a_ping_and_an_answer_is_a_sign_of_life)
{
    loop_wait_count(loop, &ready, 1);
    for (unsigned i = 1; i <= 3; i++) {
        fire_timer();
        loop_wait_count(loop, &pongs, i);
        ck_assert_uint_eq(conn->pings, 1);
        fire_timer(); // a byte has come
        ck_assert_uint_eq(conn->pings, 0);
        ck_assert_uint_eq(conn->link.out.len, 0);
    }
    ck_assert_uint_eq(down, 0);
}

TEST(a_server_that_freezes_is_left_and_found_again_when_it_thaws)
{
    loop_wait_count(loop, &ready, 1);
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    for (double silent = LOOK_S; silent <= 7.5; silent += LOOK_S) {
        ck_assert_uint_eq(down, 0); // it may be busy
        fire_timer();
    }
    ck_assert_uint_eq(down, 1);
    ck_assert(!redis_conn_is_ready(conn));
    ck_assert_uint_eq(log_capture_count("no answer to PING; trying again until it works"), 1);
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    loop_wait_count(loop, &ready, 2);
}

// What is queued leaves now, and the deadline is near.
static void set_deadline(void)
{
    ev_invoke(loop, &conn->link.flush, EV_PREPARE);
    ck_assert_uint_eq(conn->link.out.len, 0);
    deadline_set(&conn->deadline, 0.05);
}

// The loop does not turn, as when the process is stopped or a callback takes long.
static void stall(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    ck_assert_int_eq(nanosleep(&time, NULL), 0);
}

// Test 0: the answer is there when the deadline is over. Test 1: all slept, and the server wakes no sooner
// than this.
static void sleep_through_the_deadline(bool all)
{
    if (all)
        ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    set_deadline();
    stall(all ? 600 : 100);
    ev_run(loop, EVRUN_NOWAIT);
    if (all)
        ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
}

TEST_LOOP(a_greeting_that_was_answered_while_the_loop_slept_is_not_called_late, 0, 2)
{
    if (_i == 1)
        ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    wait_for_state(REDIS_CONN_GREETING);
    sleep_through_the_deadline(_i == 1);
    loop_wait_count(loop, &ready, 1);
    ck_assert_uint_eq(log_capture_count("trying again"), 0);
}

TEST_LOOP(a_ping_that_was_answered_while_the_loop_slept_is_not_called_lost, 0, 2)
{
    loop_wait_count(loop, &ready, 1);
    if (_i == 1)
        ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    for (unsigned i = 0; i < PINGS_MAX; i++)
        fire_timer();
    ck_assert_uint_eq(conn->pings, PINGS_MAX);
    sleep_through_the_deadline(_i == 1);
    loop_wait_count(loop, &pongs, PINGS_MAX);
    fire_timer();
    ck_assert_uint_lt(conn->pings, PINGS_MAX);
    ck_assert_uint_eq(down, 0);
    ck_assert_uint_eq(log_capture_count("trying again"), 0);
}

TEST(a_server_that_is_dead_is_left_although_the_loop_is_always_late)
{
    loop_wait_count(loop, &ready, 1);
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    conn->pings = PINGS_MAX;
    set_deadline();
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(down, 0);
        stall(i == 0 ? 600 : 1500);
        ev_run(loop, EVRUN_NOWAIT);
    }
    ck_assert_uint_eq(down, 1);
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
}

// The kernel takes connections for a server that is frozen: being connected is no proof that it lives.
TEST(a_server_that_does_not_answer_the_greeting_is_tried_again)
{
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    for (int i = 0; i < 3; i++) {
        wait_for_state(REDIS_CONN_GREETING);
        ck_assert(ev_is_active(&conn->deadline.timer));
        ck_assert_double_gt(ev_timer_remaining(loop, &conn->deadline.timer), 1.0); // a slow one has its time
        fire_timer();
        ck_assert_int_eq(conn->state, REDIS_CONN_DOWN);
    }
    ck_assert_uint_eq(log_capture_count("no answer in time; trying again until it works"), 1);
    ck_assert_uint_eq(ready + down, 0);
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    loop_wait_count(loop, &ready, 1);
}

// A thousand gateways whose Redis is back must not come in the same moment, nor minutes later.
TEST(attempts_come_at_growing_spread_and_bounded_times)
{
    loop_wait_count(loop, &ready, 1);
    send_ping();
    loop_wait_count(loop, &pongs, 1);
    redis_server_kill(&server);
    loop_wait_count(loop, &down, 1);
    double least = 0.025, most = 0.05, shortest = 9, longest = 0;
    for (int i = 0; i < 40; i++) {
        double wait = ev_timer_remaining(loop, &conn->deadline.timer) / most;
        ck_assert_double_ge(wait, least / most - 0.01);
        ck_assert_double_le(wait, 1.01);
        shortest = wait < shortest ? wait : shortest;
        longest = wait > longest ? wait : longest;
        fire_timer(); // nobody listens: fails at once
        ck_assert_int_eq(conn->state, REDIS_CONN_DOWN);
        most = most * 2 > 1 ? 1 : most * 2;
        least = most / 2;
    }
    ck_assert_double_lt(shortest, 0.7);
    ck_assert_double_gt(longest, 0.8);
    redis_server_start(&server, NULL);
    loop_wait_count(loop, &ready, 2);
    send_ping();
    loop_wait_count(loop, &pongs, 2);
    redis_conn_replace(conn, "a test");
    ck_assert_double_le(ev_timer_remaining(loop, &conn->deadline.timer), 0.051); // success begins anew
}

TEST_LOOP(nothing_is_called_after_the_end, 0, 3)
{
    wait_for_state(_i == 0 ? REDIS_CONN_OPENING : _i == 1 ? REDIS_CONN_GREETING : REDIS_CONN_READY);
    unsigned before = ready;
    redis_conn_destroy(conn);
    conn = NULL;
    ev_run(loop, EVRUN_NOWAIT); // nothing is left that the loop waits for
    ck_assert_uint_eq(ready, before);
    ck_assert_uint_eq(down, 0);
}

static struct peer peer;

static void setup_peer(void)
{
    static struct redis_url url;
    static char path[128];
    snprintf(path, sizeof path, "%s", scratch_path("peer.sock"));
    url = (struct redis_url){.kind = REDIS_URL_UNIX, .unix_path = path};
    setup_loop();
    peer_start(&peer, loop, path);
    asks_at_once = true;
    connect_to(&url);
}

static void teardown_peer(void)
{
    redis_conn_destroy(conn);
    peer_stop(&peer);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup_peer,
           .teardown = teardown_peer, .timeout_s = 20);

#define FULL "-ERR max number of clients reached\r\n"
#define DENIED "-DENIED Redis is running in protected mode\r\n"

// What a peer says by itself, and to the greeting (CLIENT SETNAME) and the first PING; it closes after the
// last.
static const struct {
    const char *greeting, *answers[2];
    const char *said; // once
} refusals[] = {
    {FULL, {NULL}, "Redis refuses: ERR max number of clients reached; trying again until it works"},
    {NULL, {FULL}, "Redis refuses: ERR max number of clients reached; trying again until it works"},
    {NULL, {DENIED}, "Redis refuses: DENIED Redis is running in protected mode; trying again until it works"},
    {NULL, {"+OK\r\n", "-ERR no\r\n"}, "closed by the server; trying again until it works"},
    {NULL, {"+OK\r\n", ""}, "closed by the server; trying again until it works"},
    {"*100000\r\n:1\r\n", {NULL}, "an answer with too many elements; trying again until it works"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
     {NULL},
     "an answer that is nested too deep; trying again until it works"},
    {NULL, {"$1000000\r\n"}, "an answer that is too large; trying again until it works"},
    {NULL, {"-NOPERM no\r\n", "-LOADING no\r\n"}, "closed by the server; trying again until it works"},
};

TEST_EACH(a_server_that_takes_connections_and_no_command_is_left_in_peace_and_its_words_are_logged_once,
          refusals)
{
    peer.greeting = refusals[_i].greeting;
    memcpy(peer.answers, refusals[_i].answers, sizeof refusals[_i].answers);
    loop_wait_count(loop, &peer.accepted, 7);
    ck_assert_uint_eq(conn->backoff_ms, BACKOFF_MAX_MS);
    ck_assert_uint_eq(log_capture_count("is up"), 0);
    ck_assert_uint_eq(log_capture_count("trying again"), 1);
    ck_assert_uint_eq(log_capture_count(refusals[_i].said), 1);
}

TEST(a_server_that_has_worked_is_tried_again_at_once_and_its_next_outage_is_news)
{
    peer.answers[0] = "+OK\r\n";
    peer.answers[1] = "+PONG\r\n";
    for (unsigned i = 1; i <= 3; i++) {
        loop_wait_count(loop, &down, i);
        ck_assert_uint_eq(conn->backoff_ms, BACKOFF_MIN_MS);
        ck_assert_uint_eq(log_capture_count("is up"), i);
        ck_assert_uint_eq(log_capture_count("trying again"), i);
    }
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown);

TEST(a_redis_with_all_its_clients_is_joined_when_one_of_them_leaves)
{
    static const char *const one[] = {"--maxclients", "1", NULL};
    setup_loop();
    redis_server_start(&server, one);
    redisContext *other = redis_server_connect(&server);
    redis_do(other, "PING");
    asks_at_once = true;
    connect_to(&server.url);
    for (unsigned backoff = 100; backoff < BACKOFF_MAX_MS; backoff *= 2) {
        fire_timer();
        wait_for_state(REDIS_CONN_GREETING);
        wait_for_state(REDIS_CONN_DOWN);
    }
    ck_assert_uint_eq(log_capture_count("Redis refuses: ERR max number of clients reached"), 1);
    ck_assert_uint_eq(log_capture_count("is up"), 0);
    ck_assert_uint_eq(ready, 0);
    redisFree(other);
    loop_wait_count(loop, &pongs, 1);
    ck_assert_uint_eq(log_capture_count("is up"), 1);
    teardown();
}

static unsigned epoll_calls, epoll_fails_at;

// In place of the C library's, for libev: one call fails.
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (op != EPOLL_CTL_DEL && ++epoll_calls == epoll_fails_at) {
        errno = epoll_calls % 2 ? ENOMEM : ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

static void on_tick(struct ev_loop *ticking, ev_timer *w, int events)
{
    (void)ticking, (void)w, (void)events;
}

// The loop turns often: libev tells of a watcher that it dropped in the turn after.
TEST_LOOP(a_connection_that_cannot_be_watched_is_made_again, 0, 4)
{
    ev_timer tick;
    ev_timer_init(&tick, on_tick, 0.01, 0.01);
    asks_at_once = true;
    setup_loop();
    redis_server_start(&server, NULL);
    ev_timer_start(loop, &tick);
    epoll_fails_at = (unsigned)_i + 1;
    epoll_calls = 0;
    connect_to(&server.url);
    loop_wait_count(loop, &pongs, 1);
    ck_assert_uint_gt(epoll_calls, 0);
    ck_assert_uint_eq(log_capture_count("its socket cannot be watched"), epoll_calls >= epoll_fails_at);
    teardown();
}
