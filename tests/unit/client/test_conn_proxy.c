// Connections that begin with a PROXY header: at every split, late, missing, from others than trusted proxies.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "gateway/client/conn_proxy.h"
#include "gateway/client/users.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/log_capture.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static struct client client;
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
    ck_assert(peer_address_parse(&peer, "10.0.0.1", 8) && peer_range_parse(&proxy, "10.0.0.0/8"));
    world.peer = &peer;
    world.settings.users = users_create(&hooks);
    world.settings.trusted = (struct peer_ranges){.items = &proxy, .count = 1};
    world.settings.proxy_protocol = PROXY_ANY;
    world.settings.vouched.channels = "X-Channels";
    client_world_start(&world);
}

static void teardown(void)
{
    client_world_stop(&world);
    users_destroy(world.settings.users);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 60);

#define REQUEST "GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
#define V2 "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x0a\x00\x00\x01\x12\x67\x01\xbb"
#define LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"

static const struct {
    const char *bytes;
    size_t len;
    const char *from;
} headers[] = {
    {"PROXY TCP4 1.2.3.4 10.0.0.1 4711 443\r\n" REQUEST, 38 + sizeof REQUEST - 1, "1.2.3.4"},
    {"PROXY UNKNOWN\r\n" REQUEST, 15 + sizeof REQUEST - 1, "unknown"},
    {V2 REQUEST, sizeof V2 - 1 + sizeof REQUEST - 1, "1.2.3.4"},
    {LOCAL REQUEST, sizeof LOCAL - 1 + sizeof REQUEST - 1, "unknown"},
};

static void turn(void)
{
    ev_run(world.loop, EVRUN_NOWAIT);
}

static void is_answered(const char *from)
{
    char text[PEER_ADDRESS_TEXT];
    client_wait_for(&world, &client, "a page");
    peer_address_print(&client_world_conn(&world)->peer->socket, text);
    ck_assert_str_eq(text, from);
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST_EACH(a_header_and_a_request_may_be_split_anywhere, headers)
{
    for (size_t at = 1; at < headers[_i].len; at++) {
        client_connect(&world, &client);
        client_send(&client, headers[_i].bytes, at);
        turn();
        client_send(&client, headers[_i].bytes + at, headers[_i].len - at);
        is_answered(headers[_i].from);
    }
}

TEST_EACH(a_header_may_come_byte_by_byte_and_does_not_spin_the_loop, headers)
{
    client_connect(&world, &client);
    for (size_t at = 0; at < headers[_i].len; at++) {
        client_send(&client, headers[_i].bytes + at, 1);
        turn();
        struct conn *c = client_world_conn(&world);
        char left;
        ck_assert_int_eq(recv(c->io.fd, &left, 1, MSG_PEEK), -1); // all was taken
    }
    is_answered(headers[_i].from);
}

static void is_closed(const char *bytes, size_t len)
{
    client_connect(&world, &client);
    if (len > 0)
        client_send(&client, bytes, len);
    client_wait_for_end(&world, &client);
    ck_assert_uint_eq(client.len, 0);
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(a_connection_without_a_header_is_closed_and_counted_and_the_log_is_not_filled)
{
    log_capture_start();
    log_set_limit(2, 60000);
    for (int i = 0; i < 30; i++)
        is_closed(REQUEST, sizeof REQUEST - 1);
    ck_assert_uint_eq(log_capture_count("proxy: connection "), 2);
    ck_assert_uint_eq(
        log_capture_count("connection 7.2 from 10.0.0.1 was closed: it began with no PROXY header"), 1);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_PROXY_HEADER), 30);
}

TEST(a_connection_of_an_untrusted_address_is_closed_whatever_it_sends)
{
    peer = peer_address_v4("\x01\x01\x01\x01");
    is_closed("", 0);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_PROXY_HEADER), 1);
}

TEST(a_header_that_does_not_come_in_time_ends_the_connection)
{
    world.settings.head_timeout_ms = 300;
    is_closed("PROXY TCP4 1.2", 14);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_PROXY_HEADER), 1);
}

TEST(a_probe_that_connects_and_leaves_is_no_fault)
{
    client_connect(&world, &client);
    client_close(&client);
    client_world_wait_empty(&world);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_PROXY_HEADER), 0);
}

// The proxy is trusted, but it has only passed on what its client sent.
TEST_EACH(behind_a_header_the_client_is_not_believed_as_the_proxy_would_be, headers)
{
    static const char ask[] = "GET /stream?channel=secret HTTP/1.1\r\nHost: x\r\nX-Channels: *\r\n"
                              "X-Forwarded-For: 10.0.0.9\r\n\r\n";
    client_connect(&world, &client);
    client_send(&client, headers[_i].bytes, headers[_i].len - (sizeof REQUEST - 1));
    client_send(&client, ask, sizeof ask - 1);
    client_wait_for(&world, &client, "HTTP/1.1 403");
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(a_trusted_proxy_behind_a_trusted_proxy_is_believed)
{
    static const char ask[] =
        "PROXY TCP4 10.0.0.7 10.0.0.1 1 2\r\nGET /stream?control=1&channel=secret HTTP/1.1\r\n"
        "Host: x\r\nX-Channels: secret\r\n\r\n";
    client_connect(&world, &client);
    client_send(&client, ask, sizeof ask - 1);
    turn();
    client_world_confirm(&world, "secret");
    client_wait_for(&world, &client, "gateway:open");
    client_close(&client);
    client_world_wait_empty(&world);
}
