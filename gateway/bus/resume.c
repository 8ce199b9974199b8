#include "gateway/bus/resume.h"

#include <stdlib.h>

#include "common/pattern.h"
#include "gateway/redis/history.h"

struct resume {
    struct resume_settings settings;
    struct history *history; // NULL: no channel may have any
};

static bool reads_history(const struct resume *r, const struct bus_channel *c)
{
    const struct bus_env *env = r->settings.env;
    bool durable = false;
    for (size_t k = 0; k < env->durable_count && !durable; k++)
        durable = pattern_matches(env->durable[k], c->name, c->entry.len);
    return durable && payload_may_be_durable(env->delivery->payload, c->name, c->entry.len);
}

static void confirm(const struct resume *r, uint64_t workers, const struct bus_channel *c,
                    const struct history_tail *tail)
{
    struct delivery *d = r->settings.env->delivery;
    for (unsigned w = 0; w < d->worker_count; w++)
        if (workers & c->workers & UINT64_C(1) << w)
            delivery_confirm(d, w, c, tail);
}

// One query at a time for each channel, for all workers that wait. An answer counts only for workers that
// came before its query was sent: a worker that came later did not get the events that were published in
// between.
static void ask(struct resume *r, struct bus_channel *c)
{
    uint64_t number = ++r->settings.env->position_queries;
    if (!history_ask_last(r->history, number, c->name, c->entry.len)) {
        r->settings.env->short_of_memory = true;
        return;
    }
    c->query = (struct position_query){.number = number, .asked_for = c->query.ask_next};
}

void resume_confirm_workers(struct resume *r, uint64_t workers, struct bus_channel *c)
{
    if (!reads_history(r, c)) {
        confirm(r, workers, c, &(struct history_tail){0});
        return;
    }
    c->query.asked_for &= ~workers;
    c->query.ask_next |= workers;
    if (c->query.number == 0)
        ask(r, c);
}

void resume_confirm(struct resume *r, struct bus_channel *c)
{
    c->query = (struct position_query){0}; // the old query is of a subscription that was lost
    resume_confirm_workers(r, c->workers, c);
}

static struct bus_channel *find_awaiting(const struct resume *r, uint64_t number, const char *channel,
                                         size_t len)
{
    const struct channel_ref ref = channel_ref(channel, len);
    struct bus_channel *c = channels_find(r->settings.env->channels, ref);
    return c && c->query.number == number ? c : NULL;
}

static bool is_awaited(void *ctx, uint64_t number, const char *channel, size_t len)
{
    return find_awaiting(ctx, number, channel, len) != NULL;
}

static void on_last(void *ctx, uint64_t number, const char *channel, size_t len,
                    const struct history_tail *tail)
{
    struct resume *r = ctx;
    struct bus_channel *c = find_awaiting(r, number, channel, len);
    if (!c)
        return;
    uint64_t workers = c->query.asked_for;
    c->query.number = c->query.asked_for = 0;
    if (c->state != CHANNEL_ACTIVE)
        return; // it will be confirmed again
    confirm(r, workers, c, tail);
    if (c->query.ask_next & c->workers)
        ask(r, c);
}

static void on_page(void *ctx, unsigned worker, const char *channel, size_t len,
                    const struct history_page *page)
{
    const struct resume *r = ctx;
    const struct channel_ref ref = channel_ref(channel, len);
    delivery_page(r->settings.env->delivery, worker, ref, page);
}

static struct history *on_owner(void *ctx, const char *channel, size_t len)
{
    const struct resume *r = ctx;
    const struct resume *owner = r->settings.owner(r->settings.ctx, channel, len);
    return owner ? owner->history : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    const struct resume *r = ctx;
    r->settings.on_moved(r->settings.ctx, error);
}

static void on_working(void *ctx)
{
    const struct resume *r = ctx;
    if (r->settings.on_working)
        r->settings.on_working(r->settings.ctx);
}

static void on_dropped(void *ctx, enum counter reason, const char *channel, size_t len)
{
    const struct resume *r = ctx;
    const struct channel_ref ref = channel_ref(channel, len);
    delivery_drop(r->settings.env->delivery, reason, ref, 0);
}

bool resume_page(struct resume *r, unsigned worker, struct channel_ref channel,
                 const struct history_query *query)
{
    return !r->history || history_ask_page(r->history, worker, channel.name, channel.len, query);
}

static struct history *open_history(struct resume *r)
{
    const struct bus_env *env = r->settings.env;
    const struct history_settings settings = {.url = r->settings.url,
                                              .client_name = env->client_name,
                                              .counters = env->counters,
                                              .max_message = env->max_message,
                                              .on_last = on_last,
                                              .is_awaited = is_awaited,
                                              .on_page = on_page,
                                              .on_dropped = on_dropped,
                                              .owner = r->settings.owner ? on_owner : NULL,
                                              .on_working = on_working,
                                              .on_moved = r->settings.on_moved ? on_moved : NULL,
                                              .ctx = r};
    return history_create(env->loop, &settings);
}

struct resume *resume_create(const struct resume_settings *settings)
{
    struct resume *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->settings = *settings;
    if (settings->env->durable_count == 0 || (r->history = open_history(r)))
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

bool resume_is_working(const struct resume *r)
{
    return !r->history || history_is_working(r->history);
}

const char *resume_fault(const struct resume *r)
{
    return r->history ? history_fault(r->history) : "";
}

void resume_reconnect(struct resume *r)
{
    if (r->history)
        history_reconnect(r->history);
}

static void ask_if_due(void *ctx, struct bus_channel *c)
{
    struct resume *r = ctx;
    if (c->state == CHANNEL_ACTIVE && c->query.number == 0 && (c->query.ask_next & c->workers))
        ask(r, c);
}

void resume_retry(struct resume *r, struct node_channels *channels)
{
    if (r->settings.env->short_of_memory)
        node_channels_each(channels, ask_if_due, r);
}
