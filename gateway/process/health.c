#include "gateway/process/health.h"

#include <string.h>

#include "common/clock.h"

// Each loop updates its alive_at every second; one that has not for STUCK_AFTER_MS is stuck.
#define STUCK_AFTER_MS 10000u

bool health_is_alive(const struct status *s)
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

static struct page page_text(int status, const char *text)
{
    return (struct page){.status = status, .content_type = "text/plain; charset=utf-8", .body = strdup(text)};
}

struct page health_live(void *status)
{
    return health_is_alive(status) ? page_text(200, "live\n") : page_text(503, "a thread is stuck\n");
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
