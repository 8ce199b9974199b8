#include "gateway/threads/recall.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/map.h"
#include "common/pattern.h"
#include "gateway/redis/history.h"

struct recall {
    struct recall_settings settings;
    struct history *history; // NULL: no channel may have any
};

static bool reads_history(const struct recall *r, const struct interest *i)
{
    const struct recall_settings *s = &r->settings;
    bool durable = false;
    for (size_t k = 0; k < s->durable_count && !durable; k++)
        durable = pattern_matches(s->durable[k], i->name, i->entry.len);
    return durable && payload_may_be_durable(s->delivery->payload, i->name, i->entry.len);
}

void recall_confirm(struct recall *r, unsigned worker, const struct interest *i)
{
    if (!reads_history(r, i))
        delivery_confirm(r->settings.delivery, worker, i, &(struct hub_confirmation){0});
    else if (!history_ask_last(r->history, worker, i->name, i->entry.len))
        log_error("bus", "out of memory: the history of %.*s is not read", (int)i->entry.len, i->name);
}

static void on_last(void *ctx, unsigned worker, const char *channel, size_t len, bool known,
                    struct position last)
{
    struct recall *r = ctx;
    const struct delivery *d = r->settings.delivery;
    // Wanted here or, with classic Pub/Sub on a cluster, at another node than the one that keeps the history.
    const struct interest *i = d->find(d->find_ctx, map_hash(channel, len), channel, len);
    const struct hub_confirmation how = {.has_history = known, .last = last};
    // Where the subscription was lost meanwhile, the question will come again.
    if (i && i->state == INTEREST_ACTIVE && i->workers & UINT64_C(1) << worker)
        delivery_confirm(r->settings.delivery, worker, i, &how);
}

static void on_page(void *ctx, unsigned worker, const char *channel, size_t len,
                    const struct history_page *page)
{
    struct recall *r = ctx;
    const struct hub_page mail = {.from = page->from,
                                  .at_end = page->at_end,
                                  .failed = page->failed,
                                  .frames = page->frames,
                                  .count = page->count};
    delivery_page(r->settings.delivery, worker, channel, len, &mail);
}

static struct history *on_home(void *ctx, const char *channel, size_t len)
{
    struct recall *r = ctx;
    const struct recall *home = r->settings.home(r->settings.ctx, channel, len);
    return home ? home->history : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    struct recall *r = ctx;
    r->settings.on_moved(r->settings.ctx, error);
}

static void on_dropped(void *ctx, enum counter reason, const char *channel, size_t len)
{
    struct recall *r = ctx;
    delivery_drop(r->settings.delivery, reason, channel, len, 0);
}

void recall_page(struct recall *r, unsigned worker, const struct channel_name *name)
{
    if (!r->history || !history_ask_page(r->history, worker, name->text, name->len, name->at))
        log_error("bus", "out of memory: the history of %.*s is not read", (int)name->len, name->text);
}

static struct history *open_history(struct recall *r, struct ev_loop *loop)
{
    const struct history_settings settings = {.url = r->settings.url,
                                              .client_name = r->settings.client_name,
                                              .counters = r->settings.counters,
                                              .max_message = r->settings.max_message,
                                              .on_last = on_last,
                                              .on_page = on_page,
                                              .on_dropped = on_dropped,
                                              .home = r->settings.home ? on_home : NULL,
                                              .on_moved = r->settings.on_moved ? on_moved : NULL,
                                              .ctx = r};
    return history_create(loop, &settings);
}

struct recall *recall_create(struct ev_loop *loop, const struct recall_settings *settings)
{
    struct recall *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->settings = *settings;
    if (settings->durable_count == 0 || (r->history = open_history(r, loop)))
        return r;
    free(r);
    return NULL;
}

void recall_destroy(struct recall *r)
{
    if (!r)
        return;
    history_destroy(r->history);
    free(r);
}

void recall_reconnect(struct recall *r)
{
    if (r->history)
        history_reconnect(r->history);
}
