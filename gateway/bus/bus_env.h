// The values that all parts of the bus share; filled once by bus_create and cluster_create. The bus' thread
// alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/bus/channels.h"
#include "gateway/bus/delivery.h"
#include "gateway/fanout/counters.h"
#include "gateway/redis/canary.h"

struct cluster;
struct node;

// What cluster_publish sent was taken by Redis (`error` is NULL), or refused. NULL: it does not matter.
struct published_hook {
    void (*on_published)(void *ctx, const char *error);
    void *ctx;
};

struct bus_env {
    struct ev_loop *loop;
    struct channels *channels;
    struct delivery *delivery;
    struct counters *counters;
    const struct redis_url *url; // of any kind
    const char *client_name;     // CLIENT SETNAME
    size_t max_message;          // bytes
    bool sharded;                // sharded Pub/Sub
    const char *const *durable;  // patterns of channels that may have a history
    size_t durable_count;
    bool asks;                       // workers may ask questions (questions.h)
    struct revocations *revocations; // NULL: revocations are not loaded

    struct published_hook published[PUBLISH_PURPOSES];

    // Of a cluster; NULL where there is one server.
    struct cluster *cluster;
    // The node that has the keys of a channel; NULL: none for the moment.
    struct node *(*owner)(const struct cluster *cl, struct channel_ref channel);
    // Slots may have moved: node `n` has lost its connection, or given up a slot. `error`: with which the node
    // said so ("MOVED 3999 10.0.0.1:6381"), or NULL.
    void (*on_topology_changed)(struct cluster *cl, const struct node *n, const char *error);

    bool short_of_memory;      // a position query was not sent: cluster_tick has it sent
    uint64_t position_queries; // numbers that were given to position queries, at all nodes
};
