// A feed gives each client the newest frame that it can take, and waits for nobody.
#include "gateway/client/feed.h"

#include <string.h>

#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static struct client client;

static struct frame *frame_of(const char *data, size_t len)
{
    const struct sse_event event = {.data = data, .data_len = len};
    return frame_create(&event, NO_CHANNEL);
}

static void on_feed(struct conn *c, const struct http_request *req, const struct route *r)
{
    (void)r;
    feed_begin(c, req, frame_of("first", 5));
}

static const struct route pages[] = {
    {.path = "/feed", .methods = ROUTE_PAGE_METHODS, .roles = LISTENER_PUBLIC, .handle = on_feed},
    {0},
};

static void setup(void)
{
    client_world_init(&world);
    client_world_start(&world);
    world.clients.context.hooks.pages = pages;
}

static void teardown(void)
{
    client_world_stop(&world);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static void send_all(const char *data, size_t len)
{
    struct frame *f = frame_of(data, len);
    feed_send(&world.clients.context, f);
    frame_release(f);
    ev_run(world.loop, EVRUN_NOWAIT);
}

static void begin(void)
{
    client_connect(&world, &client);
    client_get(&client, "/feed", "");
    client_wait_for(&world, &client, "data: first\n\n");
    ck_assert_uint_eq(feed_count(&world.clients.context), 1);
}

TEST(a_feed_begins_with_a_frame_and_goes_on)
{
    begin();
    ck_assert_ptr_nonnull(strstr(client.answer, "Content-Type: text/event-stream\r\n"));
    send_all("second", 6);
    client_wait_for(&world, &client, "data: second\n\n");
    feed_send(&world.clients.context, NULL); // no memory for the third
    send_all("fourth", 6);
    client_wait_for(&world, &client, "data: fourth\n\n");
    client_close(&client);
    client_world_wait_empty(&world);
    ck_assert_uint_eq(feed_count(&world.clients.context), 0);
}

TEST(head_gets_the_head_alone)
{
    static const char head[] = "HEAD /feed HTTP/1.1\r\nHost: x\r\n\r\n";
    client_connect(&world, &client);
    client_send(&client, head, sizeof head - 1);
    client_wait_for_end(&world, &client);
    ck_assert_ptr_nonnull(strstr(client.answer, "text/event-stream"));
    ck_assert_ptr_null(strstr(client.answer, "data:"));
    client_close(&client);
}

TEST(one_frame_waits_for_a_slow_client_which_is_closed_when_it_takes_none)
{
    static char large[40000];
    memset(large, 'x', sizeof large);
    begin();
    struct conn *c = client_world_conn(&world);
    for (int i = 0; i < 100 && !c->queue; i++)
        send_all(large, sizeof large);
    ck_assert_ptr_nonnull(c->queue);
    uint64_t queued = counter_read(&world.counters, COUNTER_QUEUED_BYTES);
    ck_assert_uint_le(queued, sizeof large + 100);
    for (int i = 0; i < 100; i++)
        send_all(large, sizeof large);
    ck_assert_uint_eq(counter_read(&world.counters, COUNTER_QUEUED_BYTES), queued);
    conn_set_deadline(c, 0); // FEED_TIMEOUT_MS are over
    client_world_wait_empty(&world);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_SLOW), 1);
    client_close(&client);
}

TEST(a_client_of_a_feed_that_sends_and_sends_is_closed)
{
    static char noise[5000];
    begin();
    client_send(&client, noise, sizeof noise);
    client_world_wait_empty(&world);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_NOISY), 1);
    client_close(&client);
}
