#include "gateway/process/health_detailed.h"

#include <jansson.h>

#include "common/clock.h"
#include "gateway/process/health.h"
#include "gateway/process/rebalance.h"

// What anybody may know.
static json_t *detailed(const struct status *s)
{
    char fault[BUS_FAULT_MAX];
    bus_fault(s->bus, fault);
    bool draining = atomic_load(&s->draining), proven = fault[0] == '\0', alive = health_is_alive(s);
    return json_pack("{s:s, s:s, s:b, s:b, s:b, s:{s:b, s:b, s:s, s:I}, s:I, s:I, s:I, s:I}", "id", s->id,
                     "version", SSE_GATEWAY_VERSION, "live", alive, "ready", health_refusal(s) == NULL,
                     "draining", draining, "redis", "connected", status_count(s, COUNTER_REDIS_CONNECTED) > 0,
                     "delivery_proven", proven, "fault", fault, "subscriptions",
                     (json_int_t)status_count(s, COUNTER_SUBSCRIPTIONS), "connections",
                     (json_int_t)status_count(s, COUNTER_STREAMS_OPEN), "capacity",
                     (json_int_t)s->limits.max_streams, "workers", (json_int_t)s->worker_count,
                     "uptime_seconds", (json_int_t)((clock_monotonic_ms() - s->started_at) / 1000));
}

// Milliseconds since then; null where `then` is 0: never.
static json_t *age_json(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms ? json_integer((json_int_t)(now_ms > then_ms ? now_ms - then_ms : 0)) : json_null();
}

static json_t *conn_json(const struct redis_conn_view *c, uint64_t now_ms)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:o}", "for", c->purpose, "address", c->address, "connected",
                     c->is_ready, "last_error", c->error, "last_error_age_ms",
                     age_json(c->error_at_ms, now_ms));
}

static json_t *node_json(const struct bus_node_view *n, uint64_t now_ms)
{
    json_t *conns = json_array();
    for (size_t i = 0; i < n->conn_count; i++)
        (void)json_array_append_new(conns,
                                    conn_json(&n->conns[i], now_ms)); // short of memory the page has less
    return json_pack("{s:s, s:b, s:s, s:o, s:o}", "address", n->conns[0].address, "used", n->is_used, "fault",
                     n->fault, "canary_age_ms", age_json(n->canary_back_ms, now_ms), "connections", conns);
}

static json_t *nodes_json(struct bus *bus)
{
    struct bus_view view;
    json_t *nodes = json_array();
    (void)bus_look(bus, &view); // empty when out of memory
    uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < view.count; i++)
        (void)json_array_append_new(nodes, node_json(&view.nodes[i], now_ms));
    bus_view_free(&view);
    return nodes;
}

static json_t *threads_json(const struct status *s)
{
    char name[STATUS_THREAD_NAME_MAX];
    const struct counters *c;
    json_t *threads = json_object();
    uint64_t now_ns = clock_monotonic_ns();
    for (size_t i = 0; (c = status_thread(s, i, name)); i++)
        (void)json_object_set_new(
            threads, name,
            json_pack("{s:I}", "lag_ms", (json_int_t)(loop_lag_read(&c->lag, now_ns) / 1000000)));
    return threads;
}

static json_t *drain_json(const struct status *s)
{
    uint64_t now = clock_monotonic_ms(), deadline = atomic_load(&s->drain_deadline_ms);
    if (!atomic_load(&s->draining))
        return json_null();
    return json_pack("{s:I, s:I, s:I}", "streams_at_begin", (json_int_t)atomic_load(&s->drain_streams),
                     "ended", (json_int_t)status_count(s, COUNTER_STREAMS_DRAINED), "ms_left",
                     (json_int_t)(deadline > now ? deadline - now : 0));
}

// Adds what those may know who run the gateway: where its servers are, and who the other gateways are.
static void add_inside(const struct status *s, json_t *json)
{
    (void)json_object_set_new(json_object_get(json, "redis"), "nodes", nodes_json(s->bus));
    (void)json_object_set_new(json, "drain", drain_json(s));
    (void)json_object_set_new(json, "threads", threads_json(s));
    json_t *tier = s->rebalance ? json_object() : NULL;
    if (tier && rebalance_add_json(s->rebalance, tier))
        (void)json_object_set_new(json, "tier", tier);
    else
        json_decref(tier);
}

static struct page page_json(json_t *json)
{
    char *body = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    return (struct page){.status = 200, .content_type = "application/json", .body = body};
}

struct page health_detailed(void *status)
{
    return page_json(detailed(status));
}

struct page health_detailed_admin(void *status)
{
    json_t *json = detailed(status);
    if (json)
        add_inside(status, json);
    return page_json(json);
}
