// The map of a Redis Cluster: which node owns which slot. Asks one node after the other, over one connection,
// until one gives a map that can be trusted. A node that calls the cluster down, or has an older epoch than
// another node had, is not trusted: it may be cut off from the rest. On the bus' thread alone.
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "common/redis_url.h"
#include "gateway/redis/cluster_slots.h"

struct cluster_map;

// Asks for the first map at once. `url`, of kind CLUSTER, has the nodes that are asked first; it and
// `client_name` are borrowed. `on_map` gets each new map, in which `moved` slots have another owner than before;
// `slots` is valid until the next call of on_map, which is never called from within a call to the map. NULL when
// out of memory.
struct cluster_map *
cluster_map_create(struct ev_loop *loop, const struct redis_url *url, const char *client_name,
                   void (*on_map)(void *ctx, const struct cluster_slots *slots, size_t moved), void *ctx);
void cluster_map_destroy(struct cluster_map *m);

// The map may be old: asks again within 100 ms, first the node at `hint` (may be NULL), which was named as an
// owner.
void cluster_map_refresh(struct cluster_map *m, const struct redis_address *hint);

// Makes the URL of one node, with user, password and TLS of `cluster` (or of another node); the caller calls
// redis_url_deinit. The certificate must be one for the host by which the cluster announces the node. False
// when out of memory.
bool cluster_node_url(const struct redis_url *cluster, const struct redis_address *node,
                      struct redis_url *out);
