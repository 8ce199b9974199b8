// What a client gets depends on the bytes that it sends, never on how the network has cut them; and what it sends behind
// its request is borne up to a bound.
#include "gateway/client/conn_read.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

static const char *const origins[] = {"https://app.example"};
static struct client_world world;
static struct client client;

static void setup(void)
{
    client_world_init(&world);
    world.settings.policy.cors_origins = origins;
    world.settings.policy.cors_origin_count = 1;
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

// ---- any cut

#define H "Host: h\r\n"
#define O "Origin: https://app.example\r\n"

static const char *const requests[] = {
    "GET /stream?channel=open1 HTTP/1.1\r\n" H O "\r\n",
    "GET /stream?channel=open1 HTTP/1.0\r\n\r\n",
    "GET http://h/stream?channel=open1 HTTP/1.1\r\n" H "\r\n",
    "GET /stream?channel=open1 HTTP/1.1\r\n" H "\r\nbytes that nobody asked for",
    "GET /stream?channel=open1 HTTP/1.1\r\nLast-Event-ID: \x01odd\r\n" H "\r\n",
    "HEAD /stream?channel=open1 HTTP/1.1\r\n" H "\r\n",
    "GET /page HTTP/1.1\r\n" H "\r\nGET /nothing HTTP/1.1\r\n" H "\r\n",
    "\r\nGET /page HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /page HTTP/1.1\r\n" H "\r\n",
    "GET /page HTTP/1.1\r\n" H "\r\n\r\n\r\nGET /stream?channel=open1 HTTP/1.1\r\n" H "\r\n",
    "OPTIONS * HTTP/1.1\r\n" H "\r\n",
    "OPTIONS /stream HTTP/1.1\r\n" H O "Access-Control-Request-Method: GET\r\n\r\n",
    "POST /stream HTTP/1.1\r\n" H O "Content-Length: 5\r\n\r\nGET /",
    "GET /stream?channel=closed HTTP/1.1\r\n" H O "\r\n",
    "GET /stream HTTP/1.1\r\n" H "Accept: text/html\r\n\r\n",
    "GET /stream?channel=open1 HTTP/1.1\r\n" H O "Content-Length: 5\r\n\r\nhello",
    "GET /stream?channel=open1 HTTP/1.1\r\n" H O "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /stream?channel=open1 HTTP/1.1\r\n" O "\r\n",
    "GET /page HTTP/1.1\r\n" H O "X: a\r\n b\r\n\r\n",
    "GET /page HTTP/1.1\r\n" H "X: a\r\n b\r\n" O "\r\n",
    "G@T /page HTTP/1.1\r\n" H O "\r\n",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n" H O "\r\n",
    "GET /page HTTP/1.1\n" H O "\r\n",
    "GET /page HTTP/3.0\r\n" H O "\r\n",
    "\r\n\r\n\r\nGET /page HTTP/1.1\r\n" H O "\r\n",
    "GET /page HTTP/1.1\r\n" H "\r\nG@T / HTTP/1.1\r\n" H "\r\n",
};

// The answer without the lines that name the time.
static const char *undated(const struct client *c)
{
    static char text[CLIENT_ANSWER_MAX];
    char *end = text;
    for (const char *line = c->answer, *next; *line; line = next) {
        next = strchr(line, '\n') ? strchr(line, '\n') + 1 : line + strlen(line);
        if (strncmp(line, "Date: ", 6) != 0)
            end = stpncpy(end, line, (size_t)(next - line));
    }
    *end = '\0';
    return text;
}

struct expected {
    struct client *client;
    const char *answer;
};

static bool is_answered(void *ctx)
{
    const struct expected *e = ctx;
    client_read(e->client);
    return strcmp(undated(e->client), e->answer) == 0;
}

// Sends the first `cut` bytes, later the rest, and leaves the connection as soon as there is an answer to both.
static void send_cut(const char *request, size_t cut)
{
    client_connect(&world, &client);
    client_send(&client, request, cut);
    turn();
    client_send(&client, request + cut, strlen(request) - cut);
    turn();
    client_world_confirm(&world, "open1");
    for (int i = 0; i < 3; i++)
        turn();
}

static void leave(void)
{
    client_close(&client);
    // A turn ends its connections when the next one begins: there is nothing to sleep for.
    for (int i = 0; i < 10 && world.clients.context.conns.count > 0; i++)
        turn();
    client_world_wait_empty(&world);
}

TEST_EACH(a_request_that_is_cut_anywhere_gets_the_same_answer, requests)
{
    static char answer[CLIENT_ANSWER_MAX];
    const char *request = requests[_i];
    send_cut(request, strlen(request));
    client_read(&client);
    strcpy(answer, undated(&client));
    ck_assert_msg(strncmp(answer, "HTTP/1.1 ", 9) == 0, "no answer to %s", request);
    leave();
    for (size_t cut = 1; cut < strlen(request); cut++) {
        send_cut(request, cut);
        struct expected e = {.client = &client, .answer = answer};
        ck_assert_msg(loop_run_until(world.loop, is_answered, &e),
                      "cut at byte %zu of:\n%s\ncame:\n%s\nnot:\n%s", cut, request, undated(&client), answer);
        leave();
    }
}

// ---- 100 Continue

static bool has_opened(void *ctx)
{
    client_read(ctx);
    return strstr(((struct client *)ctx)->answer, "retry: ") != NULL;
}

// Sends a request behind another one, in three pieces.
static void check_continue(const char *both, size_t first, size_t second)
{
    static const char said[] = "HTTP/1.1 100 Continue\r\n\r\n";
    client_connect(&world, &client);
    client_send(&client, both, first);
    turn();
    client_send(&client, both + first, second - first);
    turn();
    client_send(&client, both + second, strlen(both) - second);
    turn();
    client_world_confirm(&world, "open1");
    ck_assert_msg(loop_run_until(world.loop, has_opened, &client), "cut at %zu and %zu:\n%s", first, second,
                  client.answer);
    const char *begin = strstr(client.answer, said);
    ck_assert_msg(begin && !strstr(begin + 1, said), "cut at %zu and %zu:\n%s", first, second, client.answer);
    leave();
}

TEST(continue_is_said_once_however_the_request_and_the_one_before_it_are_cut)
{
    static const char page[] = "GET /page HTTP/1.1\r\n" H "\r\n";
    static const char post[] = "POST /stream HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 13\r\n"
                               "Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    char both[1024];
    snprintf(both, sizeof both, "%s%schannel=open1", page, post);
    size_t head = strlen(page) + strlen(post);
    for (size_t first = 1; first < head; first++)
        for (size_t second = head; second < strlen(both); second += 6)
            check_continue(both, first, second);
}

TEST(options_of_the_server_itself_says_its_methods)
{
    client_connect(&world, &client);
    client_send(&client, "OPTIONS * HTTP/1.1\r\n" H "\r\n", 31);
    client_wait_for(&world, &client, "HTTP/1.1 204 No Content\r\n");
    client_wait_for(&world, &client, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
    client_wait_for_end(&world, &client);
    leave();
}

// ---- behind the request

#define NOISE_MAX 4096

static bool is_noisy(void *ctx)
{
    return client_loop_closes(ctx, CLOSE_NOISY) > 0;
}

static void open_stream(const char *request, size_t len)
{
    client_connect(&world, &client);
    client_send(&client, request, len);
    turn();
    client_world_confirm(&world, "open1");
    client_wait_for(&world, &client, "retry: 2000\n");
}

// `step`: bytes of one read.
static void make_noise(size_t bytes, size_t step)
{
    static const char noise[NOISE_MAX + 1];
    for (size_t n; bytes > 0; bytes -= n) {
        n = bytes < step ? bytes : step;
        client_send(&client, noise, n);
        turn();
    }
}

static const size_t steps[] = {1, 100, NOISE_MAX + 1};

TEST_EACH(four_kib_behind_a_request_are_ignored_and_a_byte_more_ends_the_stream, steps)
{
    static const char request[] = "GET /stream?channel=open1 HTTP/1.1\r\n" H "\r\n";
    open_stream(request, sizeof request - 1);
    make_noise(NOISE_MAX, steps[_i]);
    ck_assert_int_eq(client_world_conn(&world)->state, CONN_STREAM);
    ck_assert(!is_noisy(&world.clients));
    make_noise(1, 1);
    loop_wait(world.loop, is_noisy, &world.clients);
    client_wait_for_end(&world, &client);
    leave();
}

TEST(more_than_four_kib_before_the_stream_is_open_end_the_connection)
{
    static const char request[] = "GET /stream?channel=open1 HTTP/1.1\r\n" H "\r\n";
    client_connect(&world, &client);
    client_send(&client, request, sizeof request - 1);
    turn();
    ck_assert_int_eq(client_world_conn(&world)->state, CONN_WAITING);
    make_noise(NOISE_MAX + 1, NOISE_MAX + 1);
    loop_wait(world.loop, is_noisy, &world.clients);
    leave();
}

// ---- memory

static bool counts_more_than_nothing(void *ctx)
{
    (void)ctx;
    return counter_read(&world.counters, COUNTER_CONNECTION_BYTES) > 0;
}

static bool counts_more(void *ctx)
{
    return counter_read(&world.counters, COUNTER_CONNECTION_BYTES) > *(uint64_t *)ctx + 65536;
}

static const bool comes_whole[] = {true, false};

TEST_EACH(a_body_that_is_not_whole_counts_as_memory_of_its_connection, comes_whole)
{
    static const char head[] = "POST /stream HTTP/1.1\r\n" H "Content-Length: 65536\r\n"
                               "Content-Type: application/x-www-form-urlencoded\r\n\r\nchannel=open1&";
    static char body[65536 - 14];
    uint64_t idle = 0;
    memset(body, 'x', sizeof body);
    client_connect(&world, &client);
    loop_wait(world.loop, counts_more_than_nothing, NULL);
    idle = counter_read(&world.counters, COUNTER_CONNECTION_BYTES);
    client_send(&client, head, sizeof head - 1);
    turn();
    client_send(&client, body, sizeof body - 1);
    loop_wait(world.loop, counts_more, &idle);
    if (comes_whole[_i]) {
        client_send(&client, body, 1);
        turn();
        client_world_confirm(&world, "open1");
        client_wait_for(&world, &client, "retry: 2000\n");
        ck_assert_uint_eq(world.clients.context.head_bytes, 0);
    }
    leave();
    ck_assert_uint_eq(world.clients.context.head_bytes, 0);
}

TEST(a_gateway_that_lets_nobody_in_refuses_a_post_before_its_body_comes)
{
    static const char head[] = "POST /stream HTTP/1.1\r\n" H "Content-Length: 65536\r\n"
                               "Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    world.refusal = "Not ready.";
    client_connect(&world, &client);
    client_send(&client, head, sizeof head - 1);
    client_wait_for(&world, &client, "Not ready.");
    leave();
    world.refusal = NULL;
    world.limits.max_streams = 0;
    client_connect(&world, &client);
    client_send(&client, head, sizeof head - 1);
    client_wait_for(&world, &client, "This gateway is full");
    leave();
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_REFUSED_NOT_READY), 1);
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_REFUSED_FULL), 1);
}

// ---- the deadline of a head

struct drip {
    ev_timer timer;
    unsigned sent;
};

static void on_drip(struct ev_loop *loop, ev_timer *w, int events)
{
    static const char head[] = "GET /page HTTP/1.1\r\nX: ";
    (void)events;
    struct drip *d = (struct drip *)w;
    if (client.is_over || strstr(client.answer, "HTTP/1.1 408")) {
        ev_timer_stop(loop, w);
        return;
    }
    client_send(&client, d->sent < sizeof head - 1 ? head + d->sent : "y", 1);
    d->sent++;
}

TEST_LOOP(a_head_that_trickles_in_has_an_absolute_deadline, 0, 2)
{
    struct drip drip = {0};
    world.settings.head_timeout_ms = 1000;
    client_connect(&world, &client);
    if (_i == 1) { // behind another request, too
        client_get(&client, "/page", "");
        client_wait_for(&world, &client, "a page");
    }
    ev_timer_init(&drip.timer, on_drip, 0, 0.02);
    ev_timer_start(world.loop, &drip.timer);
    ev_tstamp begin = ev_time();
    client_wait_for(&world, &client, "HTTP/1.1 408");
    ev_tstamp took = ev_time() - begin;
    ck_assert_msg(took >= 0.9 && took < 3, "after %.1f s, %u bytes", took, drip.sent);
    ck_assert_uint_gt(drip.sent, 30);
    ev_timer_stop(world.loop, &drip.timer);
    leave();
}
