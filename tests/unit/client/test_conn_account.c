#include "gateway/client/conn_account.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "gateway/client/conn_tls.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/log_capture.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static struct client client;

static void setup(void)
{
    client_world_init(&world);
    world.settings.accounts = world.settings.access_log = true;
}

static void teardown(void)
{
    client_world_stop(&world);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static void open_stream(const char *target)
{
    client_connect(&world, &client);
    client_get(&client, target, "");
    ev_run(world.loop, EVRUN_ONCE); // reads the request
    client_world_confirm(&world, "open");
    client_wait_for(&world, &client, "retry: ");
}

static void end_stream(void)
{
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(a_gateway_without_an_access_log_has_no_byte_more_for_a_connection)
{
    const struct client_settings off = {.accounts = false}, on = {.accounts = true};
    client_world_start(&world);
    ck_assert_uint_eq(conn_block_size(&off, false), sizeof(struct conn));
    ck_assert_uint_eq(conn_block_size(&off, true), sizeof(struct conn_tls));
    ck_assert_uint_eq(conn_block_size(&on, false), sizeof(struct conn) + 64); // docs/options.md says so
}

TEST(a_stream_that_ended_is_one_line_with_what_it_was_sent)
{
    client_world_start(&world);
    log_capture_start();
    open_stream("/stream?channel=open");
    struct frame *f =
        frame_create(&(struct sse_event){.data = "hello", .data_len = 5}, channel_ref("open", 4));
    ck_assert_ptr_nonnull(f);
    client_loop_deliver(&world.clients, f, false);
    client_loop_flush(&world.clients);
    client_wait_for(&world, &client, "data: hello\n\n");
    char want[200];
    snprintf(want, sizeof want, "events=1 bytes=%zu resumed=false reason=client_gone\n", client.len);
    end_stream();
    ck_assert_uint_eq(log_capture_count("info  access: stream ended connection=7.1 remote=unknown subject=- "
                                        "channels=open channel_count=1 duration_ms="),
                      1);
    ck_assert_uint_eq(log_capture_count(want), 1);
    ck_assert_uint_eq(log_capture_count("stream ended"), 1);
}

TEST(pages_and_refusals_are_no_lines_of_the_access_log)
{
    world.refusal = "no Redis";
    client_world_start(&world);
    log_capture_start();
    static const char *const targets[] = {"/page", "/stream?channel=open", "/stream", "/nothing"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        client_connect(&world, &client);
        client_get(&client, targets[i], "");
        client_wait_for(&world, &client, "HTTP/1.1 ");
        end_stream();
    }
    ck_assert_uint_eq(log_capture_count("access"), 0);
}

TEST(without_the_option_there_is_no_line)
{
    world.settings.access_log = false; // the accounts are there for debug
    client_world_start(&world);
    log_capture_start();
    open_stream("/stream?channel=open");
    end_stream();
    ck_assert_uint_eq(log_capture_count("access"), 0);
}

// Of CHANNEL_NAME_MAX bytes.
static void long_name(int i, char name[CHANNEL_NAME_MAX + 1])
{
    memset(name, 'x', CHANNEL_NAME_MAX);
    name[CHANNEL_NAME_MAX] = '\0';
    name[snprintf(name, 16, "open%d", i)] = '-';
}

TEST(a_stream_of_many_channels_names_some_and_counts_all)
{
    char target[4000] = "/stream?channel=open", name[CHANNEL_NAME_MAX + 1];
    world.settings.max_channels = 20;
    client_world_start(&world);
    log_capture_start();
    for (int i = 1; i < 20; i++) {
        size_t used = strlen(target);
        long_name(i, name);
        snprintf(target + used, sizeof target - used, "&channel=%s", name);
    }
    client_connect(&world, &client);
    client_get(&client, target, "");
    ev_run(world.loop, EVRUN_ONCE); // reads the request
    client_world_confirm(&world, "open");
    for (int i = 1; i < 20; i++) {
        long_name(i, name);
        client_world_confirm(&world, name);
    }
    client_wait_for(&world, &client, "retry: ");
    end_stream();
    ck_assert_uint_eq(log_capture_count("channels=open,open1-xxx"), 1);
    ck_assert_uint_eq(log_capture_count(",open3-xxx"), 1);
    ck_assert_uint_eq(log_capture_count(",open4-xxx"), 0); // LOG_FIELD_MAX bytes of names
    ck_assert_uint_eq(log_capture_count("xxx channel_count=20 "), 1);
}
