#include "gateway/bus/resume.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/map.h"
#include "common/pattern.h"
#include "gateway/redis/history.h"

struct resume {
    struct resume_settings settings;
    struct history *history; // NULL: no channel may have any
};

static bool reads_history(const struct resume *r, const struct interest *i)
{
    const struct resume_settings *s = &r->settings;
    bool durable = false;
    for (size_t k = 0; k < s->durable_count && !durable; k++)
        durable = pattern_matches(s->durable[k], i->name, i->entry.len);
    return durable && payload_may_be_durable(s->delivery->payload, i->name, i->entry.len);
}

static void confirm(const struct resume *r, uint64_t workers, const struct interest *i,
                    const struct history_tail *tail)
{
    struct delivery *d = r->settings.delivery;
    for (unsigned w = 0; w < d->worker_count; w++)
        if (workers & i->workers & UINT64_C(1) << w)
            delivery_confirm(d, w, i, tail);
}

// One question at a time for each channel, for all who wait. An answer counts for those alone who came before
// it was asked for: the history may have been another one then, and what was published meanwhile went past
// them.
static void ask(struct resume *r, struct interest *i)
{
    uint64_t query = ++*r->settings.queries;
    if (!history_ask_last(r->history, query, i->name, i->entry.len)) {
        log_error("bus", "out of memory: the history of %.*s is not read", (int)i->entry.len, i->name);
        return; // the next one to come asks
    }
    i->query = query;
    i->asked_for = i->ask_next;
    i->ask_next = 0;
}

static void want_answer(struct resume *r, uint64_t workers, struct interest *i)
{
    i->asked_for &= ~workers;
    i->ask_next |= workers;
    if (i->query == 0)
        ask(r, i);
}

void resume_confirm(struct resume *r, struct interest *i)
{
    i->query = i->asked_for = i->ask_next = 0; // of a subscription that was lost
    if (reads_history(r, i))
        want_answer(r, i->workers, i);
    else
        confirm(r, i->workers, i, &(struct history_tail){0});
}

void resume_confirm_worker(struct resume *r, unsigned worker, struct interest *i)
{
    uint64_t workers = UINT64_C(1) << worker;
    if (reads_history(r, i))
        want_answer(r, workers, i);
    else
        confirm(r, workers, i, &(struct history_tail){0});
}

// The channel that waits for that answer. It is wanted here or, with classic Pub/Sub on a cluster, at another
// node than the one that keeps the history. NULL where it was subscribed anew meanwhile, or is gone.
static struct interest *find_awaiting(const struct resume *r, uint64_t query, const char *channel, size_t len)
{
    const struct delivery *d = r->settings.delivery;
    struct interest *i = d->find(d->find_ctx, map_hash(channel, len), channel, len);
    return i && i->query == query ? i : NULL;
}

static bool is_awaited(void *ctx, uint64_t query, const char *channel, size_t len)
{
    return find_awaiting(ctx, query, channel, len) != NULL;
}

static void on_last(void *ctx, uint64_t query, const char *channel, size_t len,
                    const struct history_tail *tail)
{
    struct resume *r = ctx;
    struct interest *i = find_awaiting(r, query, channel, len);
    if (!i)
        return;
    uint64_t workers = i->asked_for;
    i->query = i->asked_for = 0;
    if (i->state != INTEREST_ACTIVE)
        return; // it will be confirmed again
    confirm(r, workers, i, tail);
    if (i->ask_next & i->workers)
        ask(r, i);
}

static void on_page(void *ctx, unsigned worker, const char *channel, size_t len,
                    const struct history_page *page)
{
    struct resume *r = ctx;
    delivery_page(r->settings.delivery, worker, channel, len, page);
}

static struct history *on_home(void *ctx, const char *channel, size_t len)
{
    struct resume *r = ctx;
    const struct resume *home = r->settings.home(r->settings.ctx, channel, len);
    return home ? home->history : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    struct resume *r = ctx;
    r->settings.on_moved(r->settings.ctx, error);
}

static void on_working(void *ctx)
{
    struct resume *r = ctx;
    r->settings.on_working(r->settings.ctx);
}

static void on_dropped(void *ctx, enum counter reason, const char *channel, size_t len)
{
    struct resume *r = ctx;
    delivery_drop(r->settings.delivery, reason, channel, len, 0);
}

void resume_page(struct resume *r, unsigned worker, const struct channel_name *name)
{
    if (!r->history || !history_ask_page(r->history, worker, name->text, name->len, &name->query))
        log_error("bus", "out of memory: the history of %.*s is not read", (int)name->len, name->text);
}

static struct history *open_history(struct resume *r, struct ev_loop *loop)
{
    const struct history_settings settings = {.url = r->settings.url,
                                              .client_name = r->settings.client_name,
                                              .counters = r->settings.counters,
                                              .max_message = r->settings.max_message,
                                              .on_last = on_last,
                                              .is_awaited = is_awaited,
                                              .on_page = on_page,
                                              .on_dropped = on_dropped,
                                              .home = r->settings.home ? on_home : NULL,
                                              .on_working = on_working,
                                              .on_moved = r->settings.on_moved ? on_moved : NULL,
                                              .ctx = r};
    return history_create(loop, &settings);
}

struct resume *resume_create(struct ev_loop *loop, const struct resume_settings *settings)
{
    struct resume *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->settings = *settings;
    if (settings->durable_count == 0 || (r->history = open_history(r, loop)))
        return r;
    free(r);
    return NULL;
}

void resume_destroy(struct resume *r)
{
    if (!r)
        return;
    history_destroy(r->history);
    free(r);
}

void resume_reconnect(struct resume *r)
{
    if (r->history)
        history_reconnect(r->history);
}

bool resume_is_working(const struct resume *r)
{
    return !r->history || history_is_working(r->history);
}
