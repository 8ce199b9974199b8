// A path: one way to Redis. A subscriber connection, the canary that proves it, the reader of histories, and
// the channels that are wanted over it; what comes in goes to delivery. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/redis/interest.h"
#include "gateway/threads/delivery.h"
#include "gateway/threads/mailbox.h"

struct path;

struct path_settings {
    const struct redis_url *url; // borrowed; any kind but CLUSTER
    const char *client_name;     // borrowed
    size_t max_message;          // bytes
    bool sharded;                // Pub/Sub is
    uint16_t canary_slot;        // that the canary's channel is to have, where it is
    bool alone;                  // there is no other path
    // Borrowed: patterns of channels that may have a history.
    const char *const *durable;
    size_t durable_count;
    struct delivery *delivery; // borrowed: all paths share it
    struct counters *counters; // borrowed: the bus thread's
    uint64_t *questions;       // borrowed, as of recall.h: all paths share it
    // The path is proven, or is no longer.
    void (*on_proven)(void *ctx);
    // There may be a better path for some channels by now: the connection is lost, or the node has given up a
    // slot. `moved` is its word for that ("MOVED 3999 10.0.0.1:6381"), or NULL. May be NULL where it is
    // alone.
    void (*on_doubt)(void *ctx, struct path *p, const char *moved);
    // Which path leads to the keys of a channel now; NULL: none for the moment. May be NULL where it is
    // alone.
    struct path *(*home)(void *ctx, const char *channel, size_t len);
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct path *path_create(struct ev_loop *loop, const struct path_settings *settings);
void path_destroy(struct path *p);

// Worker `worker` wants the channel, or does not any more.
void path_want(struct path *p, unsigned worker, const struct channel_name *name);
void path_unwant(struct path *p, unsigned worker, const struct channel_name *name);
// Worker `worker` wants a page of the channel's history, as name->question says: it comes by delivery_page.
void path_history(struct path *p, unsigned worker, const struct channel_name *name);
struct interest *path_find(const struct path *p, uint64_t hash, const char *name, size_t len);

// At the end of a turn: all that was wanted in it goes to Redis in few commands.
void path_subscribe_fresh(struct path *p);
// What nobody has wanted for some seconds is unsubscribed. Now and then.
void path_unsubscribe_expired(struct path *p);
// What Redis refused is tried again: rights may have been given meanwhile. Now and then.
void path_retry_denied(struct path *p);

// What was at another node is tried again at this one.
void path_retry_strayed(struct path *p);

// The set of what is wanted here, for those who move it between paths.
struct interest_set *path_wanted(struct path *p);
// Takes leave of channel `i` of this path, which goes to another set (or of one that lingers, which goes for
// good). False when out of memory: then it stays.
bool path_hand_over(struct path *p, struct interest *i, struct interest_set *to);
// What has been moved here goes out together with what is of the same slot, and the canary's channel last.
void path_welcome(struct path *p);
// The canary's channel, which stays.
bool path_is_canary(const struct interest *i);
// The slot of the canary's channel, and another one for it.
uint16_t path_canary_slot(const struct path *p);
void path_move_canary(struct path *p, uint16_t slot);

bool path_is_connected(const struct path *p);
bool path_is_proven(const struct path *p); // a canary came back lately
size_t path_bytes(const struct path *p);   // memory of what is wanted
