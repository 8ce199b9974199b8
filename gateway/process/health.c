#include "gateway/process/health.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

// Each loop updates its alive_at every second; one that has not for STUCK_AFTER_MS is stuck.
#define STUCK_AFTER_MS 10000u

static bool is_alive(const struct status *s)
{
    uint64_t now = clock_monotonic_ms();
    bool alive = bus_alive_at(s->bus) + STUCK_AFTER_MS > now;
    for (size_t i = 0; i < s->worker_count; i++)
        alive = alive && worker_alive_at(s->workers[i]) + STUCK_AFTER_MS > now;
    return alive;
}

const char *health_outage(const struct status *s)
{
    if (atomic_load(&s->draining))
        return "This gateway is draining; another one will serve you.";
    if (!bus_is_proven(s->bus))
        return "This gateway has no proof that Redis delivers; try again.";
    return NULL;
}

bool health_is_ready(const struct status *s)
{
    return !health_outage(s) && !limits_full(&s->limits);
}

static struct page page_text(int status, const char *text)
{
    return (struct page){.status = status, .content_type = "text/plain; charset=utf-8", .body = strdup(text)};
}

struct page health_live(void *status)
{
    return is_alive(status) ? page_text(200, "live\n") : page_text(503, "a thread is stuck\n");
}

struct page health_ready(void *status)
{
    const struct status *s = status;
    // 404 while draining: HAProxy's disable-on-404 reads it as drain.
    if (atomic_load(&s->draining))
        return page_text(404, "draining\n");
    if (!bus_is_proven(s->bus))
        return page_text(503, "not ready: no proof that Redis delivers\n");
    if (limits_full(&s->limits))
        return page_text(503, "not ready: full\n");
    return page_text(200, "ready\n");
}

struct page health_detailed(void *status)
{
    const struct status *s = status;
    char fault[BUS_FAULT_MAX];
    bus_fault(s->bus, fault);
    bool draining = atomic_load(&s->draining), proven = fault[0] == '\0', alive = is_alive(s);
    json_t *json = json_pack("{s:s, s:s, s:b, s:b, s:b, s:{s:b, s:b, s:s, s:I}, s:I, s:I, s:I, s:I}", "id",
                             s->id, "version", SSE_GATEWAY_VERSION, "live", alive, "ready",
                             health_is_ready(s), "draining", draining, "redis", "connected",
                             status_count(s, COUNTER_REDIS_CONNECTED) > 0, "delivery_proven", proven, "fault",
                             fault, "subscriptions", (json_int_t)status_count(s, COUNTER_SUBSCRIPTIONS),
                             "connections", (json_int_t)status_count(s, COUNTER_STREAMS_OPEN), "capacity",
                             (json_int_t)s->limits.max_streams, "workers", (json_int_t)s->worker_count,
                             "uptime_seconds", (json_int_t)((clock_monotonic_ms() - s->started_at) / 1000));
    char *body = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    return (struct page){.status = 200, .content_type = "application/json", .body = body};
}
