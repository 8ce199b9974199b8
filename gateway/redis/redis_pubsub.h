// Pub/Sub over one redis_conn (RESP2): messages are read straight from the reader's buffer, with no reply
// objects. On the bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/channel_ref.h"
#include "gateway/redis/pending_replies.h"
#include "gateway/redis/redis_conn.h"

#define REDIS_PUBSUB_BATCH_MAX 256u // channels of one command

struct redis_pubsub;

struct redis_pubsub_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    size_t
        max_message; // bytes of a payload; one that holds several events may be as large as ENVELOPE_SEVERAL_BYTES
    bool sharded; // sharded Pub/Sub: SSUBSCRIBE, smessage and so on

    // The strings are valid during the call only, and not terminated.
    void (*on_ready)(void *ctx);
    void (*on_down)(void *ctx);
    void (*on_message)(void *ctx, struct channel_ref channel, const char *payload, size_t len);
    void (*on_too_large)(void *ctx, struct channel_ref channel, size_t len);
    void (*on_subscribed)(void *ctx, struct channel_ref channel);
    // By UNSUBSCRIBE, or because the slot has left the node; may be NULL.
    void (*on_unsubscribed)(void *ctx, struct channel_ref channel);
    // Redis refused the SUBSCRIBE of that batch, for `count` channels. Refusals of other commands are logged.
    void (*on_refused)(void *ctx, uint32_t batch, size_t count, const char *error);
    void *ctx;
};

// `settings` is copied. NULL when out of memory.
struct redis_pubsub *redis_pubsub_create(struct ev_loop *loop, const struct redis_pubsub_settings *settings);
void redis_pubsub_destroy(struct redis_pubsub *p);

// Its connection, to be read, replaced and asked for its state.
struct redis_conn *redis_pubsub_conn(const struct redis_pubsub *p);
// SUBSCRIBE or UNSUBSCRIBE for up to REDIS_PUBSUB_BATCH_MAX names, which are of one slot on a cluster. `batch`
// comes back by on_refused. False when not ready or out of memory.
bool redis_pubsub_command(struct redis_pubsub *p, enum asked what, const char *const *names,
                          const size_t *lens, size_t count, uint32_t batch);
