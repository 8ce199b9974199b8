// Proof of delivery. Every 2 s the canary publishes a number on a channel of its own, over a connection of
// its own; the subscriber must receive it within 0.9 s. Only a received message shows that a subscriber
// receives: a connection may stay open and deliver nothing. On the bus' thread alone.
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
    bool sharded;                // SPUBLISH, on a channel of `slot`
    uint16_t slot;
    // Delivery became proven, or is no longer: two numbers in a row did not come back.
    void (*on_proven)(void *ctx, bool proven);
    // Redis took the numbers, and the subscriber did not receive them: 2 in a row, or 8 where it received
    // other messages meanwhile.
    void (*on_deaf)(void *ctx);
    // Counts the messages that the subscriber has received so far, of any channel.
    uint64_t (*heard)(void *ctx);
    void *ctx;
};

// `settings` is copied. NULL when out of memory.
struct canary *canary_create(struct ev_loop *loop, const struct canary_settings *settings);
void canary_destroy(struct canary *c);

// The channel that the subscriber must subscribe to; terminated, valid until canary_move.
const char *canary_channel(const struct canary *c);
// The subscriber is subscribed to the channel (again): publishes the next number at once.
void canary_listen(struct canary *c);
// The subscriber received a message of the channel.
void canary_back(struct canary *c, const char *payload, size_t len);
// The channel's slot has left the node: takes a channel of `slot`, to which the subscriber must subscribe.
// Delivery stays proven until numbers are missed.
void canary_move(struct canary *c, uint16_t slot);
// The subscriber was unsubscribed from the channel; its connection is still open.
void canary_unheard(struct canary *c);
// The subscriber's connection is lost: delivery is not proven.
void canary_lost(struct canary *c);
bool canary_is_proven(const struct canary *c);
