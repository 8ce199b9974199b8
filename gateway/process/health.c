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

const char *health_refusal(const struct status *s)
{
    if (atomic_load(&s->draining))
        return "This gateway is draining; another one will serve you.";
    if (!bus_is_proven(s->bus))
        return "This gateway has no proof that Redis delivers; try again.";
    if (limits_full(&s->limits))
        return "This gateway is full; another one will serve you.";
    return NULL;
}

static void page_text(struct page *out, int status, const char *text)
{
    out->status = status;
    out->content_type = "text/plain; charset=utf-8";
    out->body = strdup(text);
    out->body_len = out->body ? strlen(out->body) : 0;
}

void health_live(void *status, const struct http_request *req, struct page *out)
{
    bool alive = is_alive(status);
    (void)req;
    page_text(out, alive ? 200 : 503, alive ? "live\n" : "a thread is stuck\n");
}

void health_ready(void *status, const struct http_request *req, struct page *out)
{
    const struct status *s = status;
    (void)req;
    // 404 while draining: HAProxy's disable-on-404 reads it as drain.
    if (atomic_load(&s->draining))
        page_text(out, 404, "draining\n");
    else if (!bus_is_proven(s->bus))
        page_text(out, 503, "not ready: no proof that Redis delivers\n");
    else if (limits_full(&s->limits))
        page_text(out, 503, "not ready: full\n");
    else
        page_text(out, 200, "ready\n");
}

void health_detailed(void *status, const struct http_request *req, struct page *out)
{
    const struct status *s = status;
    char fault[BUS_FAULT_MAX];
    (void)req;
    bus_fault(s->bus, fault);
    bool draining = atomic_load(&s->draining), proven = fault[0] == '\0', alive = is_alive(s);
    json_t *json = json_pack("{s:s, s:s, s:b, s:b, s:b, s:{s:b, s:b, s:s, s:I}, s:I, s:I, s:I, s:I}", "id",
                             s->id, "version", SSE_GATEWAY_VERSION, "live", alive, "ready",
                             health_refusal(s) == NULL, "draining", draining, "redis", "connected",
                             status_count(s, COUNTER_REDIS_CONNECTED) > 0, "delivery_proven", proven, "fault",
                             fault, "subscriptions", (json_int_t)status_count(s, COUNTER_SUBSCRIPTIONS),
                             "connections", (json_int_t)status_count(s, COUNTER_STREAMS_OPEN), "capacity",
                             (json_int_t)s->limits.max_streams, "workers", (json_int_t)s->worker_count,
                             "uptime_seconds", (json_int_t)((clock_monotonic_ms() - s->started_at) / 1000));
    out->status = 200;
    out->content_type = "application/json";
    out->body = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    out->body_len = out->body ? strlen(out->body) : 0;
    json_decref(json);
}
