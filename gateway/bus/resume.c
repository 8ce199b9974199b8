#include "gateway/bus/resume.h"

#include "common/pattern.h"

static bool reads_history(const struct bus_env *env, const struct bus_channel *c)
{
    bool durable = false;
    for (size_t k = 0; k < env->durable_count && !durable; k++)
        durable = pattern_matches(env->durable[k], c->name, c->entry.len);
    return durable && payload_may_be_durable(env->delivery->payload, c->name, c->entry.len);
}

// One query at a time for each channel, for all workers that wait. An answer counts only for workers that
// came before its query was sent: a worker that came later did not get the events that were published in
// between.
static void ask(struct node *n, struct bus_channel *c)
{
    uint64_t number = ++n->env->position_queries;
    if (!history_ask_last(n->history, number, channel_ref_of(&c->entry))) {
        n->env->short_of_memory = true;
        return;
    }
    c->query = (struct position_query){.number = number, .asked_for = c->query.ask_next};
}

void resume_confirm_workers(struct node *n, uint64_t workers, struct bus_channel *c)
{
    if (!reads_history(n->env, c)) {
        delivery_confirm(n->env->delivery, workers, c, &(struct history_tail){0});
        return;
    }
    c->query.asked_for &= ~workers;
    c->query.ask_next |= workers;
    if (c->query.number == 0)
        ask(n, c);
}

void resume_confirm(struct node *n, struct bus_channel *c)
{
    c->query = (struct position_query){0}; // the old query is of a subscription that was lost
    resume_confirm_workers(n, c->workers, c);
}

static struct bus_channel *find_awaiting(const struct node *n, uint64_t number, struct channel_ref channel)
{
    struct bus_channel *c = channels_find(n->env->channels, channel);
    return c && c->query.number == number ? c : NULL;
}

static bool is_awaited(void *ctx, uint64_t number, struct channel_ref channel)
{
    return find_awaiting(ctx, number, channel) != NULL;
}

static void on_last(void *ctx, uint64_t number, struct channel_ref channel, const struct history_tail *tail)
{
    struct node *n = ctx;
    struct bus_channel *c = find_awaiting(n, number, channel);
    if (!c)
        return;
    uint64_t workers = c->query.asked_for & c->workers;
    c->query.number = c->query.asked_for = 0;
    if (c->state != CHANNEL_ACTIVE)
        return; // it will be confirmed again
    delivery_confirm(n->env->delivery, workers, c, tail);
    if (c->query.ask_next & c->workers)
        ask(n, c);
}

static void on_page(void *ctx, unsigned worker, struct channel_ref channel, const struct history_page *page)
{
    const struct node *n = ctx;
    delivery_page(n->env->delivery, worker, channel, page);
}

static struct history *on_owner(void *ctx, struct channel_ref channel)
{
    const struct node *n = ctx, *owner = n->env->owner(n->env->cluster, channel);
    return owner ? owner->history : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    const struct node *n = ctx;
    n->env->on_topology_changed(n->env->cluster, n, error);
}

static void on_dropped(void *ctx, enum counter reason, struct channel_ref channel)
{
    const struct node *n = ctx;
    delivery_drop(n->env->delivery, reason, channel, 0);
}

bool resume_open(struct node *n)
{
    const struct bus_env *env = n->env;
    const struct history_settings settings = {.url = n->url,
                                              .client_name = env->client_name,
                                              .counters = env->counters,
                                              .max_message = env->max_message,
                                              .on_last = on_last,
                                              .is_awaited = is_awaited,
                                              .on_page = on_page,
                                              .on_dropped = on_dropped,
                                              .owner = env->owner ? on_owner : NULL,
                                              .on_moved = env->on_topology_changed ? on_moved : NULL,
                                              .ctx = n};
    if (env->durable_count > 0)
        n->history = history_create(env->loop, &settings);
    return env->durable_count == 0 || n->history;
}

static void ask_if_due(void *ctx, struct bus_channel *c)
{
    if (c->state == CHANNEL_ACTIVE && c->query.number == 0 && (c->query.ask_next & c->workers))
        ask(ctx, c);
}

void resume_retry(struct node *n)
{
    node_channels_each(&n->channels, ask_if_due, n);
}
