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
#include "gateway/fanout/hub.h"

struct history;

struct history_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    struct counters *counters;   // borrowed
    size_t max_message;          // bytes of an event's data
    // How far a channel has got; `has_history` false where that cannot be read. Names are borrowed, and not
    // terminated.
    void (*on_last)(void *ctx, uint64_t query, const char *channel, size_t len,
                    const struct history_tail *tail);
    // The references of the frames are the callee's, the array is borrowed.
    void (*on_page)(void *ctx, unsigned worker, const char *channel, size_t len,
                    const struct history_page *page);
    // Whether somebody still waits for on_last.
    bool (*is_awaited)(void *ctx, uint64_t query, const char *channel, size_t len);
    // An entry that no stream can carry.
    void (*on_dropped)(void *ctx, enum counter reason, const char *channel, size_t len);
    // On a cluster: who reads the history of a channel now; NULL: nobody for the moment. NULL where there is
    // but one server.
    struct history *(*home)(void *ctx, const char *channel, size_t len);
    // The node says that another one has the channel ("MOVED ..", see cluster_slots.h); may be NULL.
    void (*on_moved)(void *ctx, const char *error);
    // Of an ASK redirection (history_ask_redirect.h): the history that gets back what cannot be answered; else NULL.
    struct history *redirected_from;
    void *ctx;
};

// NULL when out of memory.
struct history *history_create(struct ev_loop *loop, const struct history_settings *settings);
// What it has not answered goes to those who are at home there by now.
void history_destroy(struct history *h);

// The answer comes by on_last or on_page, with the number of the question. False when out of memory.
bool history_ask_last(struct history *h, uint64_t query, const char *channel, size_t len);
bool history_ask_page(struct history *h, unsigned worker, const char *channel, size_t len,
                      const struct history_query *query);

// The subscriber's connection is a new one: what is asked from now on is asked on a new one, too. It may be
// another server's.
void history_reconnect(struct history *h);

// It has nothing to do, or cannot do it.
bool history_is_idle(const struct history *h);
