// Pub/Sub over one redis_conn (RESP2): messages are read straight from the reader's buffer, with no reply
// objects. On the bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/redis/redis_conn.h"

struct redis_pubsub;

struct redis_pubsub_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    size_t max_message;          // bytes of a payload
    bool sharded;                // sharded Pub/Sub: SSUBSCRIBE, smessage and so on

    // The strings are valid during the call only, and not terminated.
    void (*on_ready)(void *ctx);
    void (*on_down)(void *ctx);
    void (*on_message)(void *ctx, const char *channel, size_t channel_len, const char *payload, size_t len);
    void (*on_too_large)(void *ctx, const char *channel, size_t channel_len, size_t len);
    void (*on_subscribed)(void *ctx, const char *channel, size_t channel_len);
    // By UNSUBSCRIBE, or because the slot has left the node; may be NULL.
    void (*on_unsubscribed)(void *ctx, const char *channel, size_t channel_len);
    // Redis refused the oldest SUBSCRIBE that is not answered yet. Refusals of other commands are logged.
    void (*on_error)(void *ctx, const char *text);
    void *ctx;
};

// `settings` is copied. NULL when out of memory.
struct redis_pubsub *redis_pubsub_create(struct ev_loop *loop, const struct redis_pubsub_settings *settings);
void redis_pubsub_destroy(struct redis_pubsub *p);

bool redis_pubsub_is_ready(const struct redis_pubsub *p);
// "SUBSCRIBE" or "UNSUBSCRIBE" (with an S before it where Pub/Sub is sharded) for `count` names, which are of
// one slot on a cluster. False when not ready or out of memory.
bool redis_pubsub_command(struct redis_pubsub *p, const char *command, const char *const *names,
                          const size_t *lens, size_t count);
// As redis_conn_fault.
const char *redis_pubsub_fault(const struct redis_pubsub *p);
// Reads the socket now, without waiting for the loop to report it readable.
void redis_pubsub_read(struct redis_pubsub *p);
// Closes the connection and makes a new one. `why` is for the log.
void redis_pubsub_replace(struct redis_pubsub *p, const char *why);
