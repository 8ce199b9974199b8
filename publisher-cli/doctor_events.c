#include "publisher-cli/doctor_events.h"

#include "common/clock.h"
#include "publisher-cli/publish.h"
#include "publisher-cli/target.h"

#include <stdio.h>
#include <string.h>

#define BETWEEN_MS (DOCTOR_EVENTS_MS / DOCTOR_EVENTS)
// Pages that listen to the channel do not hear an event of this name.
#define EVENT_NAME "sse-publish-doctor"

bool doctor_events_init(struct doctor_events *events, const struct settings *settings, const char *channel)
{
    *events = (struct doctor_events){.channel = channel};
    struct publisher_settings publisher = {.target = &events->target, .channel = channel};
    if (!target_init(settings, &events->url, &events->target, &events->failure))
        return false;
    publisher.is_sharded = events->url.sharded;
    events->publisher = publisher_create(&publisher, &events->failure);
    return events->publisher != NULL;
}

void doctor_events_deinit(struct doctor_events *events)
{
    publisher_destroy(events->publisher);
    redis_url_deinit(&events->url);
}

static bool publish(struct doctor_events *events)
{
    char data[16];
    int len = snprintf(data, sizeof data, "%d", events->sent);
    struct message_fields fields = {.event = EVENT_NAME};
    struct buf buffer = {0};
    struct span payload;
    events->sent_ms[events->sent] = clock_monotonic_ms();
    bool ok = message_compose(&fields, (struct span){data, (size_t)len}, &buffer, &payload) &&
              publisher_send(events->publisher, payload, false, &events->failure) &&
              publisher_flush(events->publisher, &events->failure);
    buf_free(&buffer);
    if (ok && events->sent == 0)
        events->receivers = publisher_totals(events->publisher).receivers_max;
    return ok;
}

int64_t doctor_events_turn(struct doctor_events *events)
{
    uint64_t now = clock_monotonic_ms();
    if (events->has_failed || events->sent == DOCTOR_EVENTS)
        return INT64_MAX;
    if (now >= events->next_ms) {
        events->has_failed = !publish(events);
        events->sent += !events->has_failed;
        events->next_ms = now + BETWEEN_MS;
    }
    return (int64_t)(events->next_ms - now);
}

void doctor_events_hear(struct doctor_events *events, const struct sse_event *event)
{
    int number = event->data.len == 1 ? event->data.bytes[0] - '0' : -1;
    if (event->type.len == sizeof EVENT_NAME - 1 &&
        memcmp(event->type.bytes, EVENT_NAME, event->type.len) == 0 && number >= 0 && number < events->sent &&
        events->came_ms[number] == 0)
        events->came_ms[number] = clock_monotonic_ms();
}

uint64_t doctor_events_slowest(const struct doctor_events *events, int *lost)
{
    uint64_t slowest = 0;
    *lost = 0;
    for (int i = 0; i < events->sent; i++) {
        uint64_t way = events->came_ms[i] ? events->came_ms[i] - events->sent_ms[i] : 0;
        *lost += events->came_ms[i] == 0;
        slowest = way > slowest ? way : slowest;
    }
    return slowest;
}
