#include "tests/unit/lib/client_world.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/map.h"
#include "tests/unit/lib/loop.h"

const struct drain_plan at_once = {.parts = 1};

static const char *on_refuse(void *ctx)
{
    return ((struct client_world *)ctx)->refusal;
}

static struct page on_page(void *ctx)
{
    (void)ctx;
    return (struct page){.status = 200, .content_type = "text/plain", .body = strdup("a page\n")};
}

static const struct route pages[] = {
    {.path = "/page", .methods = ROUTE_PAGE_METHODS, .roles = LISTENER_PUBLIC, .page = on_page},
    {0},
};

static bool on_interest(void *ctx, struct channel_ref channel, uint64_t subscribe_seq)
{
    (void)ctx, (void)channel, (void)subscribe_seq;
    return true;
}

static bool on_history(void *ctx, struct channel_ref channel, const struct history_query *query)
{
    (void)ctx, (void)channel, (void)query;
    return true;
}

void client_world_init(struct client_world *w)
{
    static const char *const open[] = {"open*"};
    *w = (struct client_world){.settings = {.stream_path = "/stream",
                                            .policy = {.gateway_id = "gw-1"},
                                            .anonymous = open,
                                            .anonymous_count = 1,
                                            .max_channels = 8,
                                            .heartbeat_ms = 15000,
                                            .retry_ms = 2000,
                                            .queue_limit = 65536,
                                            .replay_budget = &w->replay_budget,
                                            .refuse_with_status = true,
                                            .head_timeout_ms = 10000,
                                            .keep_alive_ms = 10000},
                               .from = {.role = LISTENER_PUBLIC},
                               .replay_budget = {.limit = 65536},
                               .limits = {.max_streams = 1000, .max_sockets = 2000}};
}

void client_world_start(struct client_world *w)
{
    const struct client_hooks hooks = {.refuse = on_refuse, .pages = pages, .ctx = w};
    const struct hub_events bus = {.on_interest = on_interest, .on_history = on_history, .ctx = w};
    ck_assert(map_seed());
    w->loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(w->loop);
    const struct client_loop_setup setup = {.index = 7,
                                            .loop = w->loop,
                                            .settings = &w->settings,
                                            .hooks = &hooks,
                                            .counters = &w->counters,
                                            .limits = &w->limits};
    ck_assert(client_loop_init(&w->clients, &setup));
    ck_assert(client_loop_enable_streams(&w->clients, &bus));
}

void client_world_stop(struct client_world *w)
{
    client_loop_deinit(&w->clients);
    ck_assert_uint_eq(w->limits.streams, 0);
    ck_assert_uint_eq(w->limits.streamless, 0);
    ck_assert_uint_eq(counter_read(&w->counters, COUNTER_SOCKETS_OPEN), 0);
    ck_assert_uint_eq(counter_read(&w->counters, COUNTER_STREAMS_OPEN), 0);
    ck_assert_uint_eq(counter_read(&w->counters, COUNTER_QUEUED_BYTES), 0);
    ev_loop_destroy(w->loop);
}

void client_world_confirm(struct client_world *w, const char *channel)
{
    const struct history_tail none = {.subscribe_seq = UINT64_MAX};
    hub_confirm(client_loop_hub(&w->clients), channel_ref(channel, strlen(channel)), &none);
}

void client_connect(struct client_world *w, struct client *c)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *c = (struct client){.fd = fds[0]};
    client_loop_add(&w->clients, fds[1], &w->from, w->peer);
}

void client_send(struct client *c, const char *bytes, size_t len)
{
    ck_assert_int_eq(send(c->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

void client_get(struct client *c, const char *target, const char *headers)
{
    char head[4096];
    int len = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target, headers);
    client_send(c, head, (size_t)len);
}

void client_read(struct client *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, sizeof c->answer - 1 - c->len, 0);
    if (n > 0)
        c->len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        c->is_over = true;
    c->answer[c->len] = '\0';
}

struct awaited {
    struct client *client;
    const char *text;
};

static bool has_come(void *ctx)
{
    const struct awaited *a = ctx;
    client_read(a->client);
    return strstr(a->client->answer, a->text) != NULL;
}

static bool has_ended(void *ctx)
{
    struct client *c = ctx;
    client_read(c);
    return c->is_over;
}

void client_wait_for(struct client_world *w, struct client *c, const char *text)
{
    struct awaited a = {.client = c, .text = text};
    ck_assert_msg(loop_run_until(w->loop, has_come, &a), "waited in vain for \"%s\"; came: %s", text,
                  c->answer);
}

void client_wait_for_end(struct client_world *w, struct client *c)
{
    loop_wait(w->loop, has_ended, c);
}

void client_close(struct client *c)
{
    ck_assert_int_eq(close(c->fd), 0);
}

struct conn *client_world_conn(struct client_world *w)
{
    size_t cursor = 0;
    ck_assert_uint_eq(w->clients.context.conns.count, 1);
    return id_table_next(&w->clients.context.conns, &cursor);
}

static bool is_empty(void *ctx)
{
    return ((struct client_world *)ctx)->clients.context.conns.count == 0;
}

void client_world_wait_empty(struct client_world *w)
{
    loop_wait(w->loop, is_empty, w);
}
