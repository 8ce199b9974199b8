// All Redis nodes, and which channel goes to which: one node for a single server; on a cluster one for each
// owner of slots (sharded Pub/Sub), or any one of them (classic). When slots move or nodes go, channels move
// between nodes; a channel that moves may have lost messages, as after a reconnect. The bus' thread alone.
//
//      channel --CRC16--> slot --map of the cluster--> node
//                                       no owner --> the channel is UNOWNED until there is one
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/bus/bus_env.h"

struct cluster;
struct node;

// Of the server or cluster of env->url. `env` is borrowed. NULL when out of memory.
struct cluster *cluster_create(struct bus_env *env);
// Every channel is UNOWNED then. `cl` may be NULL.
void cluster_destroy(struct cluster *cl);

// Worker `worker` wants the channel, or wants it no longer. False when out of memory.
bool cluster_want(struct cluster *cl, unsigned worker, struct channel_ref channel);
void cluster_unwant(struct cluster *cl, unsigned worker, struct channel_ref channel);
// Worker `worker` wants a page of a channel's history: it comes by delivery_page. False when out of memory.
bool cluster_history(struct cluster *cl, unsigned worker, struct channel_ref channel,
                     const struct history_query *query);

// Takes `q` of worker `worker`: MAIL_ANSWER follows (questions.h).
void cluster_ask(struct cluster *cl, unsigned worker, struct question *q);
// Subscribes an internal channel, whose messages come to `handler` (static). Once, before the loop runs. False
// when out of memory.
bool cluster_listen(struct cluster *cl, const char *name, const struct channel_handler *handler, void *ctx);

// Publishes `text` at the node that has the channel, once, by the connection of its canary; the hook of `purpose` in
// env->published follows. False where that node is not known or not connected, or memory has run out.
bool cluster_publish(struct cluster *cl, enum publish_purpose purpose, const char *channel, const char *text);
// Writes what was published there now, as far as the socket takes it: the loop does not run any more.
void cluster_publish_now(struct cluster *cl, const char *channel);

// Calls `visit` for each node, until it returns false. False then, and where some keys are at no node that is known.
bool cluster_each_master(struct cluster *cl, bool (*visit)(void *ctx, const struct node *n), void *ctx);

// All nodes that are known, by number; NULL beyond the last. Valid until the next call to the cluster.
size_t cluster_node_count(const struct cluster *cl);
const struct node *cluster_node(const struct cluster *cl, size_t i);
// Whether delivery depends on the node.
bool cluster_uses(const struct cluster *cl, const struct node *n);

// Reads the subscribers' connections now, without waiting for the loop to report them readable.
void cluster_read(struct cluster *cl);
// At the end of a turn: FRESH channels go to Redis in few commands.
void cluster_subscribe_fresh(struct cluster *cl);

// Why delivery is not proven at some node that is used, in one line without an address, which is not for the
// public; empty where it is proven at all of them. Valid until the next call to the cluster.
const char *cluster_fault(const struct cluster *cl);

// Every second: unsubscribes what has lingered, tries denied channels again, asks for a new map where a node
// does not work, and repeats what failed for want of memory.
void cluster_tick(struct cluster *cl);
