// What the bus is connected to, for a page: a copy that the bus makes of its state, so that other threads may read it.
// It has addresses of servers and their error texts, so no client may see it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/redis/redis_conn.h"

#define BUS_VIEW_CONNS_MAX 4u

struct cluster;

struct bus_node_view {
    bool is_used;                // owns slots; with classic Pub/Sub on a cluster: has the subscriptions
    char fault[REDIS_FAULT_MAX]; // why delivery is not proven here; empty where it is
    uint64_t canary_back_ms;     // monotonic: when the newest canary came back; 0: none did
    struct redis_conn_view conns[BUS_VIEW_CONNS_MAX];
    size_t conn_count;
};

struct bus_view {
    struct bus_node_view *nodes;
    size_t count, capacity;
};

// Makes `v` a copy of the nodes of `cl`. Where memory is short it has the first ones alone. The bus' thread; others
// must not read `v` meanwhile.
void bus_view_take(struct bus_view *v, const struct cluster *cl);
// False when out of memory: `to` is empty then.
bool bus_view_copy(struct bus_view *to, const struct bus_view *from);
// `v` is empty then. All zero is an empty view.
void bus_view_free(struct bus_view *v);
