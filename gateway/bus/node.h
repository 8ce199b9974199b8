// A node: the connections to one Redis server. The subscriber, the canary that proves it, the reader of histories, and
// the channels that are wanted over it; what comes in goes to delivery. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/bus/channels.h"
#include "gateway/bus/delivery.h"
#include "gateway/threads/mailbox.h"

struct node;

struct node_settings {
    const struct redis_url *url; // borrowed; any kind but CLUSTER
    const char *client_name;     // borrowed
    size_t max_message;          // bytes
    bool sharded;                // Pub/Sub is
    uint16_t canary_slot;        // that the canary's channel is to have, where it is
    bool alone;                  // there is no other node
    // Borrowed: patterns of channels that may have a history.
    const char *const *durable;
    size_t durable_count;
    struct delivery *delivery; // borrowed: all nodes share it
    struct counters *counters; // borrowed: the bus thread's
    uint64_t *queries;         // borrowed, as of resume.h: all nodes share it
    // Delivery is proven, or is no longer.
    void (*on_proven)(void *ctx);
    // There may be a better node for some channels by now: the connection is lost, or the node has given up a
    // slot. `moved` is its word for that ("MOVED 3999 10.0.0.1:6381"), or NULL. May be NULL where it is
    // alone.
    void (*on_doubt)(void *ctx, struct node *p, const char *moved);
    // Which node has the keys of a channel now; NULL: none for the moment. May be NULL where it is
    // alone.
    struct node *(*home)(void *ctx, const char *channel, size_t len);
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct node *node_create(struct ev_loop *loop, const struct node_settings *settings);
void node_destroy(struct node *p);

// Worker `worker` wants the channel, or does not any more.
void node_want(struct node *p, unsigned worker, const struct channel_name *name);
void node_unwant(struct node *p, unsigned worker, const struct channel_name *name);
// Worker `worker` wants a page of the channel's history, as name->query says: it comes by delivery_page.
void node_history(struct node *p, unsigned worker, const struct channel_name *name);
struct interest *node_find(const struct node *p, uint64_t hash, const char *name, size_t len);

// At the end of a turn: all that was wanted in it goes to Redis in few commands.
void node_subscribe_fresh(struct node *p);
// What nobody has wanted for some seconds is unsubscribed. Now and then.
void node_unsubscribe_expired(struct node *p);
// What Redis refused is tried again: rights may have been given meanwhile. Now and then.
void node_retry_denied(struct node *p);

// What was at another node is tried again at this one.
void node_retry_moved(struct node *p);

// The set of what is wanted here, for those who move it between nodes.
struct interest_set *node_wanted(struct node *p);
// Takes leave of channel `i` of this node, which goes to another set (or of one that lingers, which goes for
// good). False when out of memory: then it stays.
bool node_hand_over(struct node *p, struct interest *i, struct interest_set *to);
// What has been moved here goes out together with what is of the same slot, and the canary's channel last.
void node_welcome(struct node *p);
// The canary's channel, which stays.
bool node_is_canary(const struct interest *i);
// The slot of the canary's channel, and another one for it.
uint16_t node_canary_slot(const struct node *p);
void node_move_canary(struct node *p, uint16_t slot);

bool node_is_connected(const struct node *p);
// A canary came back lately, and histories can be read.
bool node_is_proven(const struct node *p);
size_t node_bytes(const struct node *p); // memory of what is wanted
