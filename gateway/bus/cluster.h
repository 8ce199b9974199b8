// All Redis nodes, and which channel goes to which: one node for a single server; on a cluster one for each
// owner of slots (sharded Pub/Sub), or any one of them (classic). When slots move or nodes go, channels move
// between nodes; a channel that moves may have lost messages, as after a reconnect. The bus' thread alone.
//
//      channel --CRC16--> slot --map of the cluster--> member --> node
//                                       no owner --> the channel is UNOWNED until there is one
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/redis_url.h"
#include "gateway/bus/bus_env.h"

struct cluster;

struct cluster_settings {
    struct bus_env *env;         // borrowed
    const struct redis_url *url; // borrowed, of any kind
    // `proven`: delivery is proven at every node that is used. Called when that has changed.
    void (*on_proven)(void *ctx, bool proven);
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct cluster *cluster_create(const struct cluster_settings *settings);
// Every channel is UNOWNED then. `cl` may be NULL.
void cluster_destroy(struct cluster *cl);

// Worker `worker` wants the channel, or wants it no longer. False when out of memory.
bool cluster_want(struct cluster *cl, unsigned worker, struct channel_ref channel);
void cluster_unwant(struct cluster *cl, unsigned worker, struct channel_ref channel);
// As node_history.
bool cluster_history(struct cluster *cl, unsigned worker, struct channel_ref channel,
                     const struct history_query *query);

// Takes `q` of worker `worker`: MAIL_ANSWER follows (questions.h).
void cluster_ask(struct cluster *cl, unsigned worker, struct question *q);
// Subscribes an internal channel, whose messages come to `handler` (static). Once, before the loop runs. False
// when out of memory.
bool cluster_listen(struct cluster *cl, const char *name, const struct channel_handler *handler, void *ctx);

// Each calls the function of node.h with the same name for every node.
void cluster_read(struct cluster *cl);
void cluster_subscribe_fresh(struct cluster *cl);
void cluster_unsubscribe_expired(struct cluster *cl);
void cluster_retry_denied(struct cluster *cl);

// Why delivery is not proven, in one line without an address, which is not for the public; empty where it is.
void cluster_fault(const struct cluster *cl, char *out, size_t size);

// Every second or so: asks for a new map where a node does not work, and repeats what failed for want of
// memory.
void cluster_tick(struct cluster *cl);
