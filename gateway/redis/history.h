// Reads the history of durable channels: plain XRANGE and XREVRANGE on a connection of its own, beside the
// subscriber's (commands.h). A query is kept until it is answered, over as many connections as that takes,
// for as long as its answer is awaited. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/history_page.h"

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
    // Whether on_last is still awaited.
    bool (*is_awaited)(void *ctx, uint64_t query, const char *channel, size_t len);
    // An entry that no stream can carry.
    void (*on_dropped)(void *ctx, enum counter reason, const char *channel, size_t len);
    // On a cluster: the history of the node that has the channel's slot now; NULL: no node has it for the
    // moment. NULL where there is but one server.
    struct history *(*owner)(void *ctx, const char *channel, size_t len);
    // The result of history_is_working() has changed. May be NULL.
    void (*on_working)(void *ctx);
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
bool history_ask_last(struct history *h, uint64_t query, const char *channel, size_t len);
bool history_ask_page(struct history *h, unsigned worker, const char *channel, size_t len,
                      const struct history_query *query);

// The subscriber's connection is a new one, maybe to another server: from now on queries go over a new
// connection, too.
void history_reconnect(struct history *h);

// Whether the server answers queries of histories: it has answered one, was not disconnected for more than a
// moment since, and did not refuse any with an error that may pass (MASTERDOWN, LOADING). An ACL that denies
// a history is an answer.
bool history_is_working(const struct history *h);
// Why it does not work, in one line without the address; empty where it works.
const char *history_fault(const struct history *h);
