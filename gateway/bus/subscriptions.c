#include "gateway/bus/subscriptions.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"

#define LINGERING_MAX 16384u // channels; beyond it the oldest is unsubscribed at once
#define BATCH REDIS_PUBSUB_BATCH_MAX

// Sends one command for each run of channels of one slot: one for all channels, where slots do not matter.
static bool send_command(struct node *n, enum asked what, struct bus_channel *const *batch, size_t count)
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
        ok = redis_pubsub_command(n->pubsub, what, names, lens, i + 1 - first, batch[i]->batch);
        first = i + 1;
    }
    return ok;
}

void subscriptions_send_fresh(struct node *n)
{
    struct redis_conn *conn = redis_pubsub_conn(n->pubsub);
    struct bus_channel *batch[BATCH];
    size_t count;
    while (redis_conn_is_ready(conn) && (count = node_channels_take_batch(&n->channels, batch, BATCH)) > 0)
        if (!send_command(n, ASKED_SUBSCRIBE, batch, count))
            redis_conn_replace(conn, "out of memory");
}

bool subscriptions_end(struct node *n, struct bus_channel *c)
{
    return send_command(n, ASKED_UNSUBSCRIBE, &c, 1);
}

static void end_until(struct node *n, uint64_t now_ms, size_t max)
{
    struct redis_conn *conn = redis_pubsub_conn(n->pubsub);
    struct bus_channel *batch[BATCH];
    size_t count;
    while (max > 0 &&
           (count = node_channels_take_expired(&n->channels, now_ms, batch, max < BATCH ? max : BATCH)) > 0) {
        max -= count;
        if (!send_command(n, ASKED_UNSUBSCRIBE, batch, count) && redis_conn_is_ready(conn))
            redis_conn_replace(conn, "out of memory");
        for (size_t i = 0; i < count; i++)
            free(batch[i]);
    }
}

void subscriptions_end_expired(struct node *n)
{
    end_until(n, clock_monotonic_ms(), SIZE_MAX);
}

void subscriptions_end_surplus(struct node *n)
{
    if (n->channels.lingering_count > LINGERING_MAX)
        end_until(n, UINT64_MAX, n->channels.lingering_count - LINGERING_MAX);
}
