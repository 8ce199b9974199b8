// All ways to Redis, and which channel goes which: one path to a single server; on a cluster one to each
// owner of slots (sharded Pub/Sub), or one to any node (classic). When slots move or nodes go, channels move
// between cluster; what moves may have a hole, as after a reconnect. The bus thread's alone.
//
//      channel --CRC16--> slot --map of the cluster--> node --> path
//                                                  nobody's --> unowned, until it has an owner
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/bus/delivery.h"
#include "gateway/threads/mailbox.h"

struct cluster;

struct cluster_settings {
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
struct cluster *cluster_create(struct ev_loop *loop, const struct cluster_settings *settings);
void cluster_destroy(struct cluster *ps);

// Worker `worker` wants the channel, or does not any more.
void cluster_want(struct cluster *ps, unsigned worker, const struct channel_name *name);
void cluster_unwant(struct cluster *ps, unsigned worker, const struct channel_name *name);
// As node_history.
void cluster_history(struct cluster *ps, unsigned worker, const struct channel_name *name);
struct interest *cluster_find(const struct cluster *ps, uint64_t hash, const char *name, size_t len);

// As of node.h, for each of them.
void cluster_subscribe_fresh(struct cluster *ps);
void cluster_unsubscribe_expired(struct cluster *ps);
void cluster_retry_denied(struct cluster *ps);
size_t cluster_bytes(const struct cluster *ps);

// Every second or so: looks for other ways where one does not work.
void cluster_look_after(struct cluster *ps);
