// Reads the history of durable channels: plain XRANGE and XREVRANGE on a connection of its own, beside the
// subscriber's. Requests are kept until they are answered, over as many connections as that takes. The bus
// thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/frame.h"

struct history;

// A part of a channel's history.
struct history_page {
    struct position from;
    bool at_end, failed;
    struct frame **frames; // each is one reference, taken by the callee; the array is borrowed
    size_t count;
};

struct history_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    struct counters *counters;   // borrowed
    size_t max_message;          // bytes of an event's data
    // How far a channel has got; `known` false where that cannot be read. Names are borrowed, and not
    // terminated.
    void (*on_last)(void *ctx, unsigned worker, const char *channel, size_t len, bool known,
                    struct position last);
    void (*on_page)(void *ctx, unsigned worker, const char *channel, size_t len,
                    const struct history_page *page);
    // An entry that no stream can carry.
    void (*on_dropped)(void *ctx, enum counter reason, const char *channel, size_t len);
    // On a cluster: who reads the history of a channel now; NULL: nobody for the moment. NULL where there is
    // but one server.
    struct history *(*home)(void *ctx, const char *channel, size_t len);
    // The node says that another one has the channel ("MOVED ..", see cluster_slots.h); may be NULL.
    void (*on_moved)(void *ctx, const char *error);
    void *ctx;
};

// NULL when out of memory.
struct history *history_create(struct ev_loop *loop, const struct history_settings *settings);
// What it has not answered goes to those who are at home there by now.
void history_destroy(struct history *h);

// Both ask once for `worker`; the answer comes by on_last or on_page. False when out of memory.
bool history_ask_last(struct history *h, unsigned worker, const char *channel, size_t len);
bool history_ask_page(struct history *h, unsigned worker, const char *channel, size_t len,
                      struct position from);

// The subscriber's connection is a new one: what is asked from now on is asked on a new one, too. It may be
// another server's.
void history_reconnect(struct history *h);
