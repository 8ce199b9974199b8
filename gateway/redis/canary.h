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
struct redis_conn;

struct canary_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    struct counters *counters;   // borrowed
    bool sharded;                // SPUBLISH, on a channel of `slot`
    uint16_t slot;
    // Redis took the numbers, and the subscriber did not receive them: 2 in a row, or 8 where it received
    // other messages meanwhile.
    void (*on_deaf)(void *ctx);
    const uint64_t *heard; // borrowed: messages that the subscriber has received so far, of any channel
    // What canary_publish sent was taken (`error` is NULL), or refused by Redis. May be NULL.
    void (*on_published)(void *ctx, const char *error);
    void *ctx;
};

// `settings` is copied. NULL when out of memory.
struct canary *canary_create(struct ev_loop *loop, const struct canary_settings *settings);
void canary_destroy(struct canary *c);

// The channel that the subscriber must subscribe to; terminated, valid until canary_move.
const char *canary_channel(const struct canary *c);
// When the newest canary came back, monotonic; 0: none did.
uint64_t canary_back_ms(const struct canary *c);
// Its connection, to be looked at.
const struct redis_conn *canary_conn(const struct canary *c);
// The callbacks of the channel: `canary` is a struct canary. The subscriber is subscribed (again): publishes the
// next number at once.
void canary_listen(void *canary);
// The subscriber received a message.
void canary_back(void *canary, const char *payload, size_t len);
// The subscriber was unsubscribed; its connection is still open.
void canary_unheard(void *canary);

// Publishes `text` over the canary's connection, once: nothing of it is tried again. False where the connection is not
// up, or memory has run out.
bool canary_publish(struct canary *c, const char *channel, const char *text);

// Writes now what was published, as far as the socket takes it.
void canary_flush(struct canary *c);

// The channel's slot has left the node: takes a channel of `slot`, to which the subscriber must subscribe.
// Delivery stays proven until numbers are missed.
void canary_move(struct canary *c, uint16_t slot);
// The subscriber's connection is lost: delivery is not proven.
void canary_lost(struct canary *c);
// No two numbers in a row did not come back.
bool canary_is_proven(const struct canary *c);
