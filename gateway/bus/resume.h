// Resume position queries: before the streams of a durable channel are opened, Redis is asked how far the
// channel's history has got; and pages of history for streams that resume. Passes the answers of one node's
// `history` on to delivery. The bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/redis_url.h"
#include "gateway/bus/bus_env.h"

struct resume;

struct resume_settings {
    struct bus_env *env;         // borrowed
    const struct redis_url *url; // borrowed: the node's
    // On a cluster, as of history.h; both NULL elsewhere.
    struct resume *(*owner)(void *ctx, const char *channel, size_t len);
    void (*on_moved)(void *ctx, const char *error);
    void (*on_working)(void *ctx); // the result of resume_is_working() has changed; may be NULL
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct resume *resume_create(const struct resume_settings *settings);
void resume_destroy(struct resume *r);

// Redis has confirmed channel `c`: all its workers may open its streams, once it is known how far the
// channel's history has got.
void resume_confirm(struct resume *r, struct bus_channel *c);
// The same for workers (a bit each) that came to a channel that was confirmed before.
void resume_confirm_workers(struct resume *r, uint64_t workers, struct bus_channel *c);
// Worker `worker` wants a page of the channel's history: it comes by delivery_page. False when out of memory.
bool resume_page(struct resume *r, unsigned worker, struct channel_ref channel,
                 const struct history_query *query);
// Whether histories can be read, so far as there may be any (history.h).
bool resume_is_working(const struct resume *r);
// Why histories cannot be read, in one line; empty where they can.
const char *resume_fault(const struct resume *r);
// The subscriber's connection is a new one.
void resume_reconnect(struct resume *r);
// Sends the queries again that failed for want of memory. Called now and then.
void resume_retry(struct resume *r, struct node_channels *channels);
