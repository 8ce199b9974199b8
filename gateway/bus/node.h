// A node: the connections to one Redis server (the subscriber, the canary that proves it, the reader of
// histories) and the channels that are subscribed there. Messages go to delivery. The bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/bus/bus_env.h"
#include "gateway/bus/subscriptions.h"

struct node;
struct questions;

struct node_settings {
    struct bus_env *env;         // borrowed
    const struct redis_url *url; // borrowed; any kind but CLUSTER
    uint16_t canary_slot;        // of the canary's channel, where Pub/Sub is sharded
    bool alone;                  // there is no other node
    // The result of node_is_proven() has changed.
    void (*on_proven)(void *ctx);
    // Slots may have moved: the connection is lost, or the node has given up a slot. `moved` is the error
    // with which the node said so ("MOVED 3999 10.0.0.1:6381"), or NULL. NULL where the node is alone.
    void (*on_topology_changed)(void *ctx, struct node *n, const char *moved);
    // The node that has the keys of a channel; NULL: none for the moment. NULL where the node is alone.
    struct node *(*owner)(void *ctx, const char *channel, size_t len);
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct node *node_create(const struct node_settings *settings);
// Its channels are UNOWNED then. `n` may be NULL.
void node_destroy(struct node *n);

// The channel, whose slot this node has, is subscribed here from now on; a lingering one is freed instead.
// Its subscription at the node before is given up, and its streams wait until it is confirmed here.
void node_take_channel(struct node *n, struct bus_channel *c);
// The node has lost the channel's slot, and no other node has it: the channel becomes UNOWNED; a lingering
// one is freed instead.
void node_give_up_channel(struct bus_channel *c);
// The node that a channel is at; NULL where it is UNOWNED.
struct node *node_of(const struct bus_channel *c);

// Workers (a bit each) want channel `c` of this node: where it is confirmed already, they are told so.
void node_confirm_workers(struct node *n, uint64_t workers, struct bus_channel *c);
// Worker `worker` missed mails about the ACTIVE channel: it is told that messages may be lost, and that the
// channel is confirmed.
void node_resync_worker(struct node *n, size_t worker, struct bus_channel *c);
// Worker `worker` wants a page of a channel's history: it comes by delivery_page. False when out of memory.
bool node_history(struct node *n, unsigned worker, struct channel_ref channel,
                  const struct history_query *query);

// NULL where the workers ask no questions.
struct questions *node_questions(struct node *n);

// Reads the subscriber's connection now, without waiting for the loop to report it readable.
void node_read(struct node *n);
// At the end of a turn: FRESH channels go to Redis in few commands.
void node_subscribe_fresh(struct node *n);
// The channels that belong to this node.
struct node_channels *node_channels(struct node *n);
struct subscriptions *node_subscriptions(struct node *n);
// Sends the queries again that failed for want of memory. Called now and then.
void node_retry_memory(struct node *n);

// The slot of the canary's channel, and another one for it.
uint16_t node_canary_slot(const struct node *n);
void node_move_canary(struct node *n, uint16_t slot);

bool node_is_connected(const struct node *n);
// A canary came back lately, and histories can be read.
bool node_is_proven(const struct node *n);
// Why delivery is not proven, in one line; empty where it is.
const char *node_fault(const struct node *n);
