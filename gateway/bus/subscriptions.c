#include "gateway/bus/subscriptions.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"

#define LINGERING_MAX 16384u // channels; beyond it the oldest is unsubscribed at once
#define BATCH REDIS_PUBSUB_BATCH_MAX

// Sends one command for each run of channels of one slot: one for all channels, where slots do not matter.
static bool send_command(struct subscriptions *s, enum asked what, struct bus_channel *const *batch,
                         size_t count)
{
    const char *names[BATCH];
    size_t lens[BATCH], first = 0;
    bool ok = true;
    assert(count <= BATCH);
    for (size_t i = 0; ok && i < count; i++) {
        names[i - first] = batch[i]->name;
        lens[i - first] = batch[i]->entry.len;
        if (i + 1 < count && batch[i + 1]->slot == batch[i]->slot)
            continue;
        ok = redis_pubsub_command(s->pubsub, what, names, lens, i + 1 - first, batch[i]->batch);
        first = i + 1;
    }
    return ok;
}

void subscriptions_send_fresh(struct subscriptions *s)
{
    struct redis_conn *conn = redis_pubsub_conn(s->pubsub);
    struct bus_channel *batch[BATCH];
    size_t count;
    while (redis_conn_is_ready(conn) && (count = node_channels_take_batch(&s->channels, batch, BATCH)) > 0)
        if (!send_command(s, ASKED_SUBSCRIBE, batch, count))
            redis_conn_replace(conn, "out of memory");
}

bool subscriptions_end(struct subscriptions *s, struct bus_channel *const *batch, size_t count)
{
    return send_command(s, ASKED_UNSUBSCRIBE, batch, count);
}

static void end_until(struct subscriptions *s, uint64_t now_ms, size_t max)
{
    struct bus_channel *batch[BATCH];
    size_t count;
    while (max > 0 &&
           (count = node_channels_take_expired(&s->channels, now_ms, batch, max < BATCH ? max : BATCH)) > 0) {
        max -= count;
        if (!subscriptions_end(s, batch, count) && redis_conn_is_ready(redis_pubsub_conn(s->pubsub)))
            redis_conn_replace(redis_pubsub_conn(s->pubsub), "out of memory");
        for (size_t i = 0; i < count; i++)
            free(batch[i]);
    }
}

void subscriptions_end_expired(struct subscriptions *s)
{
    end_until(s, clock_monotonic_ms(), SIZE_MAX);
}

void subscriptions_end_surplus(struct subscriptions *s)
{
    if (s->channels.lingering_count > LINGERING_MAX)
        end_until(s, UINT64_MAX, s->channels.lingering_count - LINGERING_MAX);
}
