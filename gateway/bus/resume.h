// The histories of a path's channels: how far a channel has got before its streams are opened, and what they
// missed. From `history`, which reads them, to delivery. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/bus/channels.h"
#include "gateway/bus/delivery.h"
#include "gateway/threads/mailbox.h"

struct resume;

struct resume_settings {
    const struct redis_url *url; // borrowed
    const char *client_name;     // borrowed
    size_t max_message;          // bytes
    // Borrowed: patterns of channels that may have a history.
    const char *const *durable;
    size_t durable_count;
    struct delivery *delivery; // borrowed
    struct counters *counters; // borrowed
    uint64_t *queries;         // borrowed: how many were asked, by all resumes
    // On a cluster, as of history.h; both NULL elsewhere.
    struct resume *(*home)(void *ctx, const char *channel, size_t len);
    void (*on_moved)(void *ctx, const char *error);
    void (*on_working)(void *ctx); // resume_is_working() says something else now
    void *ctx;
};

// NULL when out of memory. `settings` is copied.
struct resume *resume_create(struct ev_loop *loop, const struct resume_settings *settings);
void resume_destroy(struct resume *r);

// Redis has confirmed channel `i`: all its workers may open its streams, once it is known how far the
// channel's history has got.
void resume_confirm(struct resume *r, struct interest *i);
// The same for a worker that has come to a channel that was confirmed before.
void resume_confirm_worker(struct resume *r, unsigned worker, struct interest *i);
// Worker `worker` wants a page of the channel's history, as name->query says: it comes by delivery_page.
void resume_page(struct resume *r, unsigned worker, const struct channel_name *name);
// Whether histories can be read, so far as there may be any (history.h).
bool resume_is_working(const struct resume *r);
// The subscriber's connection is a new one.
void resume_reconnect(struct resume *r);
