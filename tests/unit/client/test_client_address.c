// Streams by where they come from: caps of addresses, and who believes a proxy what.
#include <stdio.h>
#include <string.h>

#include "gateway/client/admission.h"
#include "gateway/client/connect_rate.h"
#include "gateway/client/users.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static struct client clients[8];
static struct peer_address peer;
static struct peer_range proxy;

static bool on_end(void *ctx, uint64_t id, enum close_reason reason)
{
    (void)ctx, (void)id, (void)reason;
    return false;
}

static void setup(void)
{
    const struct users_hooks hooks = {.end = on_end};
    client_world_init(&world);
    ck_assert(peer_range_parse(&proxy, "10.0.0.0/8"));
    world.settings.users = users_create(&hooks);
    world.settings.trusted = (struct peer_ranges){.items = &proxy, .count = 1};
    world.settings.vouched = (struct vouched_headers){.channels = "X-Channels", .subject = "X-Subject"};
    world.peer = &peer;
    client_world_start(&world);
}

static void teardown(void)
{
    client_world_stop(&world);
    users_destroy(world.settings.users);
    connect_rate_destroy(world.settings.connect_rate);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static void ask(struct client *c, const char *from, const char *channel, const char *headers)
{
    char target[64];
    peer = (struct peer_address){.family = ADDRESS_UNIX};
    ck_assert(strcmp(from, "unix") == 0 || peer_address_parse(&peer, from, strlen(from)));
    snprintf(target, sizeof target, "/stream?control=1&channel=%s", channel);
    client_connect(&world, c);
    client_get(c, target, headers);
}

static void is_let_in(struct client *c, const char *from, const char *channel, const char *headers)
{
    ask(c, from, channel, headers);
    ev_run(world.loop, EVRUN_NOWAIT);
    client_world_confirm(&world, channel);
    client_wait_for(&world, c, "gateway:open");
}

static void is_refused(const char *from, const char *channel, const char *headers, const char *status)
{
    struct client c;
    ask(&c, from, channel, headers);
    client_wait_for(&world, &c, status);
    client_wait_for_end(&world, &c);
    client_close(&c);
}

static void close_all(size_t count)
{
    for (size_t i = 0; i < count; i++)
        client_close(&clients[i]);
    client_world_wait_empty(&world);
}

static bool is_alone(void *ctx)
{
    (void)ctx;
    return world.clients.context.conns.count == 1;
}

TEST(an_address_has_as_many_streams_as_its_cap)
{
    world.settings.address_cap.max = 2;
    is_let_in(&clients[0], "1.1.1.1", "open", "");
    is_let_in(&clients[1], "1.1.1.1", "open", "X-Forwarded-For: 2.2.2.2\r\n"); // from nobody that is trusted
    is_refused("1.1.1.1", "open", "X-Forwarded-For: 2.2.2.2\r\n", "HTTP/1.1 429");
    is_refused("::ffff:1.1.1.1", "open", "", "HTTP/1.1 429");
    is_let_in(&clients[2], "1.1.1.2", "open", "");
    is_let_in(&clients[3], "2001:db8:0:1::1", "open", "");
    is_let_in(&clients[4], "2001:db8:0:1::2", "open", "");
    is_refused("2001:db8:0:1:ffff::3", "open", "", "HTTP/1.1 429");
    is_let_in(&clients[5], "2001:db8:0:2::1", "open", "");
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_REFUSED_ADDRESS), 3);
    close_all(6);
}

TEST(behind_a_proxy_each_client_has_a_cap_of_its_own)
{
    world.settings.address_cap.max = 1;
    is_let_in(&clients[0], "10.0.0.1", "open", "X-Forwarded-For: 6.6.6.6, 1.1.1.1\r\n");
    is_let_in(&clients[1], "10.0.0.2", "open", "X-Forwarded-For: 6.6.6.6, 2.2.2.2\r\n");
    is_refused("10.0.0.1", "open", "X-Forwarded-For: 7.7.7.7, 1.1.1.1, 10.0.0.2\r\n", "HTTP/1.1 429");
    is_refused("2.2.2.2", "open", "", "HTTP/1.1 429");
    client_close(&clients[0]);
    loop_wait(world.loop, is_alone, NULL);
    is_let_in(&clients[0], "10.0.0.1", "open", "Forwarded: for=\"1.1.1.1:80\"\r\n");
    close_all(2);
}

TEST(a_unix_socket_has_no_address_to_count)
{
    world.settings.address_cap.max = 1;
    for (size_t i = 0; i < 3; i++)
        is_let_in(&clients[i], "unix", "open", "X-Forwarded-For: 1.1.1.1\r\n");
    close_all(3);
}

TEST(a_proxy_on_a_unix_socket_is_believed_where_unix_is_trusted)
{
    ck_assert(peer_range_parse(&proxy, "unix"));
    world.settings.address_cap.max = 1;
    is_let_in(&clients[0], "unix", "secret", "X-Forwarded-For: 1.1.1.1\r\nX-Channels: secret\r\n");
    is_refused("unix", "open", "X-Forwarded-For: 1.1.1.1\r\n", "HTTP/1.1 429");
    close_all(1);
}

TEST(new_streams_come_as_fast_as_the_rate_of_their_address)
{
    world.settings.connect_rate = connect_rate_create(1, 3);
    for (size_t i = 0; i < 3; i++)
        is_let_in(&clients[i], "1.1.1.1", "open", "");
    is_refused("1.1.1.1", "open", "", "HTTP/1.1 429");
    is_let_in(&clients[3], "1.1.1.2", "open", "");
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_REFUSED_RATE), 1);
    close_all(4);
}

#define POST_HEAD                                                                                            \
    "POST /stream?control=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"      \
    "Content-Length: 12\r\n\r\n"

static void send_text(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
    ev_run(world.loop, EVRUN_NOWAIT);
}

TEST(the_rate_of_an_address_counts_a_post_once_and_refuses_it_before_its_body_comes)
{
    world.settings.connect_rate = connect_rate_create(1, 2);
    ck_assert(peer_address_parse(&peer, "1.1.1.1", 7));
    client_connect(&world, &clients[0]);
    send_text(&clients[0], POST_HEAD "channel=open");
    client_connect(&world, &clients[1]);
    send_text(&clients[1], POST_HEAD);
    send_text(&clients[1], "channel");
    send_text(&clients[1], "=open");
    client_world_confirm(&world, "open");
    for (size_t i = 0; i < 2; i++)
        client_wait_for(&world, &clients[i], "gateway:open");
    client_connect(&world, &clients[2]);
    send_text(&clients[2], POST_HEAD);
    client_wait_for(&world, &clients[2], "HTTP/1.1 429");
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_REFUSED_RATE), 1);
    close_all(3);
}

TEST(what_a_trusted_proxy_vouches_for_opens_channels)
{
    is_let_in(&clients[0], "10.0.0.1", "secret:7", "X-Channels: news, secret:*\r\nX-Subject: ann\r\n");
    ck_assert_str_eq(client_world_conn(&world)->principal->subject, "ann");
    is_refused("10.0.0.1", "other", "X-Channels: news, secret:*\r\n", "HTTP/1.1 403");
    is_refused("10.0.0.1", "secret:7", "X-Channels:\r\n", "HTTP/1.1 403");
    is_refused("10.0.0.1", "news", "X-Channels: news\r\nX-Channels: secret:*\r\n", "HTTP/1.1 400");
    close_all(1);
}

TEST(a_client_that_sends_these_headers_itself_gains_nothing)
{
    is_refused("1.1.1.1", "secret:7", "X-Channels: secret:*\r\nX-Subject: ann\r\n", "HTTP/1.1 403");
    is_refused("1.1.1.1", "secret:7", "X-Channels: secret:*\r\nX-Forwarded-For: 10.0.0.1\r\n",
               "HTTP/1.1 403");
    is_refused("unix", "secret:7", "X-Channels: secret:*\r\n", "HTTP/1.1 403");
    is_let_in(&clients[0], "1.1.1.1", "open", "X-Channels: a\r\nX-Channels: b\r\nX-Subject: ann\r\n");
    ck_assert_ptr_null(client_world_conn(&world)->principal);
    close_all(1);
}

TEST(each_request_of_a_connection_is_of_its_own_client)
{
    world.settings.address_cap.max = 1;
    is_let_in(&clients[0], "1.1.1.1", "open", "");
    peer = (struct peer_address){0};
    ck_assert(peer_address_parse(&peer, "10.0.0.1", 8));
    client_connect(&world, &clients[1]);
    static const char page[] = "GET /page HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n";
    client_send(&clients[1], page, sizeof page - 1);
    client_wait_for(&world, &clients[1], "a page");
    client_get(&clients[1], "/stream?control=1&channel=open", "X-Forwarded-For: 2.2.2.2\r\n");
    client_wait_for(&world, &clients[1], "gateway:open");
    close_all(2);
}
