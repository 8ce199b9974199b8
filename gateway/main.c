// Sets the modules up in order, runs, undoes them in reverse.
//
//      main thread     signals, drain, admin listener
//      bus thread      every connection to Redis
//      worker threads  listeners, connections, streams

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "gateway/auth/authenticator.h"
#include "gateway/client/listen_address.h"
#include "gateway/process/admin.h"
#include "gateway/process/capacity.h"
#include "gateway/process/certificates.h"
#include "gateway/process/client_shared.h"
#include "gateway/process/config.h"
#include "gateway/process/drain.h"
#include "gateway/process/fatal.h"
#include "gateway/process/health.h"
#include "gateway/process/healthcheck.h"
#include "gateway/process/keys.h"
#include "gateway/process/pages.h"
#include "gateway/process/rebalance.h"
#include "gateway/process/sandbox.h"

#define EXIT_USAGE 2
// Milliseconds that the exit waits until the log is written; more after a failure at the start, whose reason
// must not be lost.
#define LOG_STOP_MS 1000u
#define LOG_STOP_FAILED_MS 10000u

struct gateway {
    struct config config;
    struct client_shared clients;
    struct status status;
    struct counters counters; // of the main thread
    struct ev_loop *loop;
    struct mailbox *inbox;
    struct mailbox *worker_boxes[WORKERS_MAX];
    struct worker *workers[WORKERS_MAX];
    struct listen_address listen[LISTEN_MAX], admin_listen;
    int listen_fds[LISTEN_MAX][WORKERS_MAX];
    struct listen_socket worker_sockets[WORKERS_MAX][LISTEN_MAX];
    int admin_fd;
    struct bus *bus;
    struct admin admin;
    struct drain drain;
    struct rebalance rebalance;
};

static int usage_error(const char *error)
{
    fprintf(stderr, "sse-gateway: %s\n", error);
    return EXIT_USAGE;
}

// Whether a step of admission asks Redis.
static bool asks(const struct config *c)
{
    return c->revokes || c->ticket_keys || c->tier_cap > 0;
}

static bool set_capacity(struct gateway *g)
{
    const struct config *c = &g->config;
    const struct capacity_needs needs = {
        .workers = c->workers, .listeners = c->listen.count, .redis = c->redis_url.kind, .asks = asks(c)};
    struct capacity capacity;
    char error[512];
    if (capacity_share(capacity_raise_limit(), capacity_reserved(&needs), c->max_connections, &capacity,
                       error, sizeof error)) {
        g->status.limits.max_streams = capacity.streams;
        g->status.limits.max_sockets = capacity.streams + capacity.streamless;
        return true;
    }
    log_error("main", "%s", error);
    return false;
}

static bool bind_all(struct gateway *g)
{
    char error[512];
    const struct config *c = &g->config;
    for (size_t i = 0; i < c->listen.count; i++) {
        g->listen[i] = (struct listen_address){.text = c->listen.items[i], .access = c->listen_access};
        if (!listen_address_bind(&g->listen[i], c->workers, g->listen_fds[i], error, sizeof error)) {
            log_error("listener", "--listen: %s", error);
            return false;
        }
        for (size_t w = 0; w < c->workers; w++)
            g->worker_sockets[w][i] = (struct listen_socket){
                .fd = g->listen_fds[i][w], .attributes = {.role = LISTENER_PUBLIC, .tls = c->tls != NULL}};
        log_info("listener", "streams at %s://%s%s", c->tls ? "https" : "http", g->listen[i].bound, c->path);
    }
    g->admin_fd = -1;
    if (strcmp(c->admin_listen, "off") == 0)
        return true;
    g->admin_listen = (struct listen_address){.text = c->admin_listen, .access = c->listen_access};
    if (!listen_address_bind(&g->admin_listen, 1, &g->admin_fd, error, sizeof error)) {
        log_error("listener", "--admin-listen: %s", error);
        return false;
    }
    log_info("listener", "metrics at http://%s/metrics, a dashboard at /dashboard", g->admin_listen.bound);
    return true;
}

static bool has_socket_files(const struct gateway *g)
{
    bool has = g->admin_listen.has_file;
    for (size_t i = 0; i < LISTEN_MAX; i++)
        has = has || g->listen[i].has_file;
    return has;
}

static void remove_socket_files(struct gateway *g)
{
    for (size_t i = 0; i < LISTEN_MAX; i++)
        listen_address_remove(&g->listen[i]);
    listen_address_remove(&g->admin_listen);
}

static const char *on_refuse(void *ctx)
{
    return health_refusal(ctx);
}

static void on_mail(void *ctx, const struct mail *mail, bool more)
{
    (void)more;
    struct gateway *g = ctx;
    if (mail->kind == MAIL_EMPTY)
        drain_worker_empty(&g->drain);
}

static bool create_workers(struct gateway *g)
{
    const struct config *c = &g->config;
    for (size_t i = 0; i < c->workers; i++) {
        struct worker_settings settings = {
            .index = (unsigned)i,
            .worker_count = (unsigned)c->workers,
            .drain_window_ms = c->drain_window_ms,
            .client = &g->clients.settings,
            .hooks = {.refuse = on_refuse, .pages = process_pages, .ctx = &g->status},
            .limits = &g->status.limits,
            .backlog_limit = c->backlog_limit,
            .shares_loop = c->workers == 1,
            .listen_sockets = g->worker_sockets[i],
            .listen_count = c->listen.count,
        };
        g->workers[i] = worker_create(&settings);
        if (!g->workers[i])
            return false;
        g->worker_boxes[i] = worker_bus_mailbox(g->workers[i]);
        g->status.worker_count = i + 1;
    }
    return true;
}

static bool create_bus(struct gateway *g)
{
    struct bus_settings settings = {
        .loop = g->config.workers == 1 ? worker_loop(g->workers[0]) : NULL,
        .redis = &g->config.redis_url,
        .sharded = g->config.redis_url.sharded,
        .client_name = "sse-gateway",
        .max_message = g->config.max_message,
        .payload = g->config.payload,
        .durable = g->config.durable_patterns,
        .durable_count = g->config.durable_count,
        .asks = asks(&g->config),
        .revokes = g->config.revokes || g->config.tier_cap > 0,
        .lease_owner = g->config.tier_cap > 0 ? g->config.lease_owner : NULL,
        .revocations = g->clients.revocations,
        .tier = rebalance_tier(&g->rebalance),
        .workers = g->worker_boxes,
        .worker_count = g->config.workers,
    };
    g->bus = bus_create(&settings);
    return g->bus != NULL;
}

static void on_read_redis(void *ctx)
{
    bus_read(ctx);
}

static bool create_rebalance(struct gateway *g)
{
    const struct config *c = &g->config;
    const struct balance_settings settings = {.tolerance = c->tolerance,
                                              .rate = c->rebalance_per_s,
                                              .settle_ms = c->rebalance_settle_ms,
                                              .return_ms = 2 * c->retry_ms}; // with its jitter
    g->status.rebalance = &g->rebalance;
    return rebalance_init(&g->rebalance, &g->status, (enum rebalance_mode)c->rebalance, &settings);
}

static bool gateway_setup(struct gateway *g)
{
    const struct config *c = &g->config;
    const struct users_hooks users = {.end = status_end_stream, .ctx = &g->status};
    if (!create_rebalance(g) || !client_shared_create(&g->clients, &g->config, &users)) {
        log_error("main", "cannot start: out of memory");
        return false;
    }
    g->status.users = g->clients.settings.users;
    g->status.id = g->config.name;
    g->status.workers = g->workers;
    g->status.admin = &g->counters;
    g->status.tls = g->config.tls;
    g->status.authenticator = g->config.authenticator;
    g->status.started_at = clock_monotonic_ms();
    g->status.started_wall = (int64_t)time(NULL);
    g->loop = ev_default_loop(EVBACKEND_EPOLL);
    const struct mailbox_hooks hooks = {.on_mail = on_mail, .ctx = g};
    if (!map_seed() || !g->loop || !(g->inbox = mailbox_create(g->loop, false, 0, &hooks)) ||
        !create_workers(g) || !create_bus(g) ||
        !admin_start(&g->admin, g->loop, &g->clients.settings, &g->counters, &g->status, c->show_channels,
                     g->admin_fd)) {
        log_error("main", "cannot start: out of memory or descriptors");
        return false;
    }
    g->status.bus = g->bus;
    if (g->config.authenticator && !authenticator_start(g->config.authenticator)) {
        log_error("main", "cannot start a thread that fetches the keys of --jwks");
        return false;
    }
    rebalance_start(&g->rebalance, g->loop);
    if (g->config.workers == 1)
        worker_set_read_redis(g->workers[0], on_read_redis, g->bus);
    return true;
}

static void on_reload(void *ctx)
{
    struct gateway *g = ctx;
    if (g->config.authenticator)
        keys_reload(g->config.authenticator);
    if (g->config.ticket_keys)
        keys_reload_tickets(g->config.ticket_keys);
    if (g->config.tls)
        certificates_reload(g->config.tls);
}

static bool enter_sandbox(const struct gateway *g)
{
    char error[512];
    if (!g->config.seccomp || sandbox_enter(has_socket_files(g), error, sizeof error))
        return true;
    log_error("main", "%s", error);
    return false;
}

static bool gateway_start(struct gateway *g)
{
    const struct drain_times times = {.delay_ms = g->config.drain_delay_ms,
                                      .window_ms = g->config.drain_window_ms,
                                      .timeout_ms = g->config.drain_timeout_ms};
    if (!drain_watch(&g->drain, g->loop, &g->status, &times)) {
        log_error("main", "cannot start: out of memory or descriptors");
        return false;
    }
    const struct config *c = &g->config;
    if (c->tls)
        certificates_warn(c->tls);
    if (c->tls || c->authenticator || c->ticket_keys)
        drain_set_reload(&g->drain, on_reload, g);
    if (!enter_sandbox(g))
        return false;
    bool ok = bus_start(g->bus);
    for (size_t i = 0; ok && i < g->config.workers; i++)
        ok = worker_start(g->workers[i], bus_mailbox(g->bus), g->inbox);
    if (!ok)
        log_error("main",
                  "cannot start a thread; raise their limit (ulimit -u, TasksMax=) or lower --workers");
    return ok;
}

// Ends the threads first, then frees what they share: workers post to the bus until they have ended, and the
// bus posts to the workers and may run in a worker's loop.
static void gateway_teardown(struct gateway *g)
{
    for (size_t i = 0; i < g->status.worker_count; i++)
        worker_stop(g->workers[i]);
    if (g->bus)
        bus_stop(g->bus);
    bus_destroy(g->bus);
    rebalance_stop(&g->rebalance);
    rebalance_deinit(&g->rebalance);
    for (size_t i = 0; i < g->status.worker_count; i++)
        worker_destroy(g->workers[i]);
    g->status.worker_count = 0;
    client_shared_destroy(&g->clients);
    mailbox_destroy(g->inbox);
    drain_unwatch(&g->drain);
    if (g->loop)
        ev_loop_destroy(g->loop);
}

static int gateway_run(struct gateway *g)
{
    int code = EXIT_FAILURE;
    if (!set_capacity(g) || !bind_all(g))
        return code;
    if (gateway_setup(g)) {
        if (gateway_start(g)) {
            log_info("main", "sse-gateway %s, id %s, %zu workers", SSE_GATEWAY_VERSION, g->config.name,
                     g->status.worker_count);
            ev_run(g->loop, 0);
            code = EXIT_SUCCESS;
        }
        admin_stop(&g->admin);
    }
    gateway_teardown(g);
    log_info("main", "stopped");
    return code;
}

// Serves with a thread for the log, so that no other thread ever waits for the reader of the log.
static int gateway_serve(struct gateway *g)
{
    log_setup((enum log_level)g->config.log_level, (enum log_format)g->config.log_format, g->config.name);
    if (!drain_hold_signals()) {
        log_error("main", "cannot start: signals cannot be held back");
        return EXIT_FAILURE;
    }
    sandbox_keep_privileges();
    fatal_setup();
    if (!log_start(g->config.log_buffer)) {
        log_error("main", "cannot start: out of memory or threads for the log");
        return EXIT_FAILURE;
    }
    int code = gateway_run(g);
    remove_socket_files(g);
    (void)log_stop(code == EXIT_SUCCESS ? LOG_STOP_MS : LOG_STOP_FAILED_MS); // no log is left for a failure
    return code;
}

int main(int argc, char **argv)
{
    char error[512];
    static struct gateway gateway; // large, and alone in this process
    struct gateway *g = &gateway;
    if (!config_load(&g->config, argc, argv, error, sizeof error))
        return usage_error(error);
    int code = EXIT_SUCCESS;
    if (g->config.help) {
        options_print_help(config_options(), stdout);
    } else if (g->config.version) {
        printf("sse-gateway %s\n", SSE_GATEWAY_VERSION);
    } else if (g->config.healthcheck) {
        code = healthcheck_run(&g->config);
    } else if (g->config.print_config) {
        options_print_config(config_options(), &g->config, stdout);
    } else if (!g->config.check_config) {
        code = gateway_serve(g);
    }
    config_free(&g->config);
    return fflush(stdout) == 0 ? code : EXIT_FAILURE;
}
