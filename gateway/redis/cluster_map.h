// The map of a Redis Cluster, asked for and kept: over one small connection of its own it asks one node after
// the other until one answers whose word counts. A node that calls the cluster down, or knows an older epoch
// than another did, is not believed: it may be cut off from the rest. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "common/redis_url.h"
#include "gateway/redis/cluster_slots.h"

struct cluster_map;

struct cluster_map_settings {
    const struct redis_url *url; // borrowed, kind CLUSTER: whom to ask first
    const char *client_name;     // borrowed
    // A node has answered: `moved` slots have another owner than before. `slots` is valid until the next
    // call. Never called from within a call to the map.
    void (*on_map)(void *ctx, const struct cluster_slots *slots, size_t moved);
    void *ctx;
};

// Asks for the first map at once. `settings` is copied. NULL when out of memory.
struct cluster_map *cluster_map_create(struct ev_loop *loop, const struct cluster_map_settings *settings);
void cluster_map_destroy(struct cluster_map *m);

// The map may be old: asks again soon, first the node at `hint` (may be NULL), who is said to know.
void cluster_map_refresh(struct cluster_map *m, const struct redis_address *hint);

// The URL of one node, with user, password and TLS as of the cluster's (or of another node's);
// redis_url_deinit is the caller's. The certificate must be one for the host by which the cluster announces
// the node. False when out of memory.
bool cluster_node_url(const struct redis_url *cluster, const struct redis_address *node,
                      struct redis_url *out);
