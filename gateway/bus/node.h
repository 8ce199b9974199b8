// A node: the connections to one Redis server (the subscriber, the canary that proves it, the reader of
// histories) and the channels that are subscribed there. Messages go to delivery. The bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/bus/bus_env.h"
#include "gateway/redis/canary.h"
#include "gateway/redis/history.h"
#include "gateway/redis/redis_pubsub.h"

struct questions;

struct node {
    struct bus_env *env;             // borrowed
    struct node_channels channels;   // that are subscribed here, or will be
    const struct redis_url *url;     // of env, or the one below
    struct redis_url url_in_cluster; // of a node of a cluster
    size_t slots;                    // that the node owns
    struct redis_pubsub *pubsub;
    struct canary *canary;
    struct bus_channel *canary_channel;
    struct history *history;     // NULL: no channel may have any
    struct questions *questions; // NULL: workers ask none
    uint64_t messages;           // received from the server, of any channel
    bool connected;              // counted in redis_connected
};

// `at` is the address of a node of a cluster, whose canary is on a channel of `canary_slot`; NULL: there is one
// server. NULL when out of memory.
struct node *node_create(struct bus_env *env, const struct redis_address *at, uint16_t canary_slot);
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

// Another slot for the canary's channel.
void node_move_canary(struct node *n, uint16_t slot);

// A canary came back lately, and histories can be read.
bool node_is_proven(const struct node *n);
// Why delivery is not proven, in one line; empty where it is.
const char *node_fault(const struct node *n);
