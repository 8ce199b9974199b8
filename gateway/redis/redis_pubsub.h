// Pub/Sub over one redis_conn (RESP2): what subscribers are sent is read straight from the reader's buffer,
// with no reply objects.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/redis/redis_conn.h"

struct redis_pubsub;

struct redis_pubsub_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    size_t max_message;          // bytes of a payload
    bool sharded;                // Pub/Sub is (smessage and the like)

    // Pointers are valid during the call only, and not terminated.
    void (*on_ready)(void *ctx);
    void (*on_down)(void *ctx);
    void (*on_message)(void *ctx, const char *channel, size_t channel_len, const char *payload, size_t len);
    void (*on_too_large)(void *ctx, const char *channel, size_t channel_len, size_t len);
    void (*on_subscribed)(void *ctx, const char *channel, size_t channel_len);
    // Whether it was asked for, or a slot has left the node; may be NULL.
    void (*on_unsubscribed)(void *ctx, const char *channel, size_t channel_len);
    // Redis refused the oldest SUBSCRIBE that is not answered yet. What else it refuses is logged.
    void (*on_error)(void *ctx, const char *text);
    void *ctx;
};

// NULL when out of memory. The bus thread's alone.
struct redis_pubsub *redis_pubsub_create(struct ev_loop *loop, const struct redis_pubsub_settings *settings);
void redis_pubsub_destroy(struct redis_pubsub *p);

bool redis_pubsub_is_ready(const struct redis_pubsub *p);
// "SUBSCRIBE" or "UNSUBSCRIBE" (with an S before it where Pub/Sub is sharded) for `count` names, which are of
// one slot on a cluster. False when not ready or out of memory.
bool redis_pubsub_command(struct redis_pubsub *p, const char *command, const char *const *names,
                          const size_t *lens, size_t count);
// Reads what has come, without waiting for the loop to say so.
void redis_pubsub_read(struct redis_pubsub *p);
// Gives the connection up and makes a new one.
void redis_pubsub_replace(struct redis_pubsub *p, const char *why);
