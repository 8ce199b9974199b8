// A path: one way to Redis. A subscriber connection, the canary that proves it, the reader of histories, and
// the channels that are wanted over it; what comes in goes to delivery. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/redis/interest.h"
#include "gateway/threads/delivery.h"
#include "gateway/threads/mailbox.h"

struct path;

struct path_settings {
    const struct redis_url *url; // borrowed, kind TCP or UNIX
    const char *client_name;     // borrowed
    size_t max_message;          // bytes
    // Borrowed: patterns of channels that may have a history.
    const char *const *durable;
    size_t durable_count;
    struct delivery *delivery; // borrowed: all paths share it
    struct counters *counters; // borrowed: the bus thread's
    // The path is proven, or is no longer.
    void (*on_proven)(void *ctx);
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct path *path_create(struct ev_loop *loop, const struct path_settings *settings);
void path_destroy(struct path *p);

// Worker `worker` wants the channel, or does not any more.
void path_want(struct path *p, unsigned worker, const struct channel_name *name);
void path_unwant(struct path *p, unsigned worker, const struct channel_name *name);
// Worker `worker` wants a page of the channel's history from name->at on: it comes by delivery_page.
void path_history(struct path *p, unsigned worker, const struct channel_name *name);
struct interest *path_find(const struct path *p, uint64_t hash, const char *name, size_t len);

// At the end of a turn: all that was wanted in it goes to Redis in few commands.
void path_subscribe_fresh(struct path *p);
// What nobody has wanted for some seconds is unsubscribed. Now and then.
void path_unsubscribe_expired(struct path *p);
// What Redis refused is tried again: rights may have been given meanwhile. Now and then.
void path_retry_denied(struct path *p);

bool path_is_proven(const struct path *p); // a canary came back lately
size_t path_bytes(const struct path *p);   // memory of what is wanted
