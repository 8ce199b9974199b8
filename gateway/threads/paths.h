// All ways to Redis, and which channel goes which: one path to a single server; on a cluster one to each
// owner of slots (sharded Pub/Sub), or one to any node (classic). When slots move or nodes go, channels move
// between paths; what moves may have a hole, as after a reconnect. The bus thread's alone.
//
//      channel --CRC16--> slot --map of the cluster--> node --> path
//                                                  nobody's --> homeless, until it has an owner
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/threads/delivery.h"
#include "gateway/threads/mailbox.h"

struct paths;

struct paths_settings {
    const struct redis_url *url; // borrowed, kind TCP, UNIX or CLUSTER
    bool sharded;                // Pub/Sub is
    const char *client_name;     // borrowed
    size_t max_message;          // bytes
    // Borrowed: patterns of channels that may have a history.
    const char *const *durable;
    size_t durable_count;
    struct delivery *delivery; // borrowed
    struct counters *counters; // borrowed: the bus thread's
    // Delivery is proven on every path that owns something, or is no longer.
    void (*on_proven)(void *ctx, bool proven);
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct paths *paths_create(struct ev_loop *loop, const struct paths_settings *settings);
void paths_destroy(struct paths *ps);

// Worker `worker` wants the channel, or does not any more.
void paths_want(struct paths *ps, unsigned worker, const struct channel_name *name);
void paths_unwant(struct paths *ps, unsigned worker, const struct channel_name *name);
// As path_history.
void paths_history(struct paths *ps, unsigned worker, const struct channel_name *name);
struct interest *paths_find(const struct paths *ps, uint64_t hash, const char *name, size_t len);

// As of path.h, for each of them.
void paths_subscribe_fresh(struct paths *ps);
void paths_unsubscribe_expired(struct paths *ps);
void paths_retry_denied(struct paths *ps);
size_t paths_bytes(const struct paths *ps);

// Every second or so: looks for other ways where one does not work.
void paths_look_after(struct paths *ps);
