// Reads the history of durable channels: plain XRANGE and XREVRANGE on a connection of its own, beside the
// subscriber's (commands.h). A query is kept until it is answered, over as many connections as that takes,
// for as long as its answer is awaited. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/channel_ref.h"
#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/history_page.h"

struct history;
struct redis_conn;

struct history_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    struct counters *counters;   // borrowed
    size_t max_message;          // bytes of an event's data
    // How far a channel has got; `has_history` false where that cannot be read.
    void (*on_last)(void *ctx, uint64_t query, struct channel_ref channel, const struct history_tail *tail);
    // The references of the frames are the callee's, the array is borrowed.
    void (*on_page)(void *ctx, unsigned worker, struct channel_ref channel, const struct history_page *page);
    // Whether on_last is still awaited.
    bool (*is_awaited)(void *ctx, uint64_t query, struct channel_ref channel);
    // An entry that no stream can carry.
    void (*on_dropped)(void *ctx, enum counter reason, struct channel_ref channel);
    // On a cluster: the history of the node that has the channel's slot now; NULL: no node has it for the
    // moment. NULL where there is but one server.
    struct history *(*owner)(void *ctx, struct channel_ref channel);
    // The node says that another one has the channel ("MOVED ..", see cluster_slots.h); may be NULL.
    void (*on_moved)(void *ctx, const char *error);
    void *ctx;
};

// NULL when out of memory.
struct history *history_create(struct ev_loop *loop, const struct history_settings *settings);
// Queries that it has not answered go to the histories of the nodes that own the slots by now.
void history_destroy(struct history *h);

// The answer comes by on_last or on_page, with the number of the query; a page may have fewer entries than
// were asked for. False when out of memory, or where too many pages are asked for already.
bool history_ask_last(struct history *h, uint64_t query, struct channel_ref channel);
bool history_ask_page(struct history *h, unsigned worker, struct channel_ref channel,
                      const struct history_query *query);

// The subscriber's connection is a new one, maybe to another server: from now on queries go over a new
// connection, too.
void history_reconnect(struct history *h);

// Its connection, to be looked at.
const struct redis_conn *history_conn(const struct history *h);
// Why the server does not answer queries of histories, in one line without the address. Empty where it does: it
// has answered one, was not disconnected for more than a moment since, and did not refuse any with an error
// that may pass (MASTERDOWN, LOADING). An ACL that denies a history is an answer.
const char *history_fault(const struct history *h);
