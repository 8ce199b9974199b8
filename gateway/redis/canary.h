// Proof of delivery: a message published on one connection must come back on the subscriber's. A subscriber
// can be connected and deaf for ever; nothing but a message that comes back shows that it is not.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"

struct canary;

struct canary_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    struct counters *counters;   // borrowed
    bool sharded;                // by SPUBLISH, on a channel of `slot`
    uint16_t slot;
    // Delivery is proven, or is no longer.
    void (*on_proven)(void *ctx, bool proven);
    // Redis takes what is published, but the subscriber does not get it; sooner where it gets nothing else
    // either.
    void (*on_deaf)(void *ctx);
    // Messages that the subscriber has got so far, of any channel.
    uint64_t (*heard)(void *ctx);
    void *ctx;
};

// NULL when out of memory or without random bytes for its channel. The bus thread's alone.
struct canary *canary_create(struct ev_loop *loop, const struct canary_settings *settings);
void canary_destroy(struct canary *c);

// The channel that the subscriber must listen on; terminated, valid until canary_move.
const char *canary_channel(const struct canary *c);
// The subscriber is subscribed to it (again): the next canary flies at once.
void canary_listen(struct canary *c);
// A message of that channel came.
void canary_back(struct canary *c, const char *payload, size_t len);
// The channel's slot has left the node: it flies on a channel of another slot, which the subscriber must
// listen on. Proof stands until canaries are missed.
void canary_move(struct canary *c, uint16_t slot);
// The subscriber was unsubscribed from it, and its connection stands.
void canary_unheard(struct canary *c);
// The subscriber's connection is gone: nothing is proven.
void canary_lost(struct canary *c);
bool canary_is_proven(const struct canary *c);
