#include "gateway/bus/node.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "gateway/redis/canary.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/redis_pubsub.h"
#include "gateway/bus/resume.h"

// The canary is one more that wants a channel, beside the workers: it is resubscribed as they are.
#define CANARY_BIT 63u
#define LINGER_MS 5000u
#define LINGERING_MAX 16384u // channels; beyond it the oldest goes at once
#define BATCH 256

struct node {
    struct node_settings settings;
    struct redis_pubsub *pubsub;
    struct canary *canary;
    uint64_t heard; // messages of any channel
    struct resume *resume;
    struct interest_set interest;
    size_t active; // channels that Redis has confirmed, the canary's aside
    bool connected, proven;
};

bool node_is_canary(const struct interest *i)
{
    return i->workers & UINT64_C(1) << CANARY_BIT;
}

static void on_message(void *ctx, const char *channel, size_t channel_len, const char *payload, size_t len)
{
    struct node *p = ctx;
    p->heard++;
    uint64_t hash = map_hash(channel, channel_len);
    struct interest *i = interest_find(&p->interest, hash, channel, channel_len);
    if (i && node_is_canary(i)) {
        canary_back(p->canary, payload, len);
        return;
    }
    counter_add(p->settings.counters, COUNTER_MESSAGES_RECEIVED, 1);
    counter_add(p->settings.counters, COUNTER_MESSAGE_BYTES, (int64_t)len);
    if (!i || i->workers == 0) {
        counter_add(p->settings.counters, COUNTER_DROPPED_UNWANTED, 1);
        return;
    }
    delivery_message(p->settings.delivery, i, payload, len);
}

static void on_too_large(void *ctx, const char *channel, size_t channel_len, size_t len)
{
    struct node *p = ctx;
    counter_add(p->settings.counters, COUNTER_MESSAGES_RECEIVED, 1);
    delivery_drop(p->settings.delivery, COUNTER_DROPPED_TOO_LARGE, channel, channel_len, len);
}

static void node_count_active(struct node *p, int64_t more)
{
    p->active += (size_t)more;
    counter_add(p->settings.counters, COUNTER_SUBSCRIPTIONS, more);
}

// What was published while nobody was subscribed did not come.
static void node_tell_loss(struct node *p, struct interest *i,
                           void (*tell)(struct delivery *d, struct interest *i, size_t w))
{
    struct delivery *d = p->settings.delivery;
    for (size_t w = 0; i->was_active && w < d->worker_count; w++)
        if (i->workers & UINT64_C(1) << w)
            tell(d, i, w);
}

// Redis has confirmed the channel: what is published from now on comes in.
static void node_confirmed(struct node *p, struct interest *i)
{
    node_count_active(p, 1);
    node_tell_loss(p, i, delivery_resubscribed);
    resume_confirm(p->resume, i);
    i->was_active = false;
}

static void on_subscribed(void *ctx, const char *channel, size_t channel_len)
{
    struct node *p = ctx;
    struct interest *i = interest_confirm(&p->interest, map_hash(channel, channel_len), channel, channel_len);
    if (i && node_is_canary(i))
        canary_listen(p->canary);
    else if (i)
        node_confirmed(p, i);
}

static void node_doubt(struct node *p, const char *moved)
{
    if (p->settings.on_doubt)
        p->settings.on_doubt(p->settings.ctx, p, moved);
    else
        interest_retry_moved(&p->interest); // there is nowhere else to go
}

// Its streams wait, those that come now for the answer, until it is confirmed again.
static void node_tell_unconfirmed(struct node *p, const struct interest *i)
{
    struct delivery *d = p->settings.delivery;
    for (size_t w = 0; w < d->worker_count; w++)
        if (i->workers & UINT64_C(1) << w)
            delivery_unconfirm_channel(d, w, i);
}

// Where nobody asked for it, the slot of the channel has left the node.
static void on_unsubscribed(void *ctx, const char *channel, size_t channel_len)
{
    struct node *p = ctx;
    size_t lingering = p->interest.lingering_count;
    struct interest *i = interest_moved(&p->interest, map_hash(channel, channel_len), channel, channel_len);
    if (i && node_is_canary(i)) {
        canary_unheard(p->canary);
    } else if (i || p->interest.lingering_count < lingering) {
        node_count_active(p, -1);
        if (i)
            node_tell_unconfirmed(p, i);
    } else {
        return;
    }
    node_doubt(p, NULL);
}

static void on_redis_error(void *ctx, const char *text)
{
    struct node *p = ctx;
    counter_add(p->settings.counters, COUNTER_REDIS_ERRORS, 1);
    struct cluster_moved moved;
    if (p->settings.on_doubt && cluster_error_passes(text)) {
        interest_batch_moved(&p->interest, cluster_moved_parse(text, &moved) ? moved.slot : -1);
        node_doubt(p, text);
        return;
    }
    struct interest *denied = interest_refuse_oldest(&p->interest);
    if (!denied)
        return;
    node_tell_loss(p, denied, delivery_gap);
    if (!denied->told_denied)
        log_warn("redis", "cannot subscribe to %.*s: %s; its new streams are refused until Redis allows it",
                 (int)denied->entry.len, denied->name, text);
    denied->told_denied = true;
}

static void on_redis_ready(void *ctx)
{
    struct node *p = ctx;
    counter_add(p->settings.counters, COUNTER_REDIS_CONNECTS, 1);
    counter_add(p->settings.counters, COUNTER_REDIS_CONNECTED, 1);
    p->connected = true;
}

static struct interest *node_canary_interest(const struct node *p)
{
    const char *name = canary_channel(p->canary);
    return node_find(p, map_hash(name, strlen(name)), name, strlen(name));
}

static void node_unconfirm_all(struct node *p)
{
    size_t cursor = 0;
    const struct interest *i;
    if (p->settings.alone)
        delivery_unconfirm(p->settings.delivery);
    while (!p->settings.alone && (i = interest_next(&p->interest, &cursor)))
        if (i->state == INTEREST_ACTIVE && !node_is_canary(i))
            node_tell_unconfirmed(p, i);
}

static void node_count_down(struct node *p)
{
    if (p->connected)
        counter_add(p->settings.counters, COUNTER_REDIS_CONNECTED, -1);
    p->connected = false;
    node_count_active(p, -(int64_t)p->active);
}

static void on_redis_down(void *ctx)
{
    struct node *p = ctx;
    node_count_down(p);
    canary_lost(p->canary);
    resume_reconnect(p->resume);
    node_unconfirm_all(p);
    // The canary's channel behind all others: when it is heard again, they are heard, too.
    interest_reset(&p->interest, node_canary_interest(p));
    if (p->settings.sharded)
        node_welcome(p);
    node_doubt(p, NULL);
}

static void on_proven(void *ctx, bool proven)
{
    struct node *p = ctx;
    p->proven = proven;
    p->settings.on_proven(p->settings.ctx);
}

static uint64_t on_heard(void *ctx)
{
    const struct node *p = ctx;
    return p->heard;
}

static void on_deaf(void *ctx)
{
    struct node *p = ctx;
    redis_pubsub_replace(p->pubsub, "connected, but what is published does not arrive");
}

// One command for each run of channels of one slot: for all of them, where slots do not matter.
static bool node_command(struct node *p, const char *command, struct interest *const *batch, size_t count)
{
    const char *names[BATCH];
    size_t lens[BATCH], first = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        names[i - first] = batch[i]->name;
        lens[i - first] = batch[i]->entry.len;
        if (i + 1 < count && batch[i + 1]->slot == batch[i]->slot)
            continue;
        ok = redis_pubsub_command(p->pubsub, command, names, lens, i + 1 - first);
        first = i + 1;
    }
    return ok;
}

static bool node_subscribe(struct node *p, struct interest *const *batch, size_t count)
{
    return node_command(p, p->settings.sharded ? "SSUBSCRIBE" : "SUBSCRIBE", batch, count);
}

static bool node_unsubscribe(struct node *p, struct interest *const *batch, size_t count)
{
    return node_command(p, p->settings.sharded ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", batch, count);
}

void node_subscribe_fresh(struct node *p)
{
    struct interest *batch[BATCH];
    size_t n;
    while (redis_pubsub_is_ready(p->pubsub) && (n = interest_take_batch(&p->interest, batch, BATCH)) > 0)
        if (!node_subscribe(p, batch, n))
            redis_pubsub_replace(p->pubsub, "out of memory");
}

static void node_take_expired(struct node *p, uint64_t now_ms, size_t max)
{
    struct interest *batch[BATCH];
    size_t n;
    while (max > 0 &&
           (n = interest_take_expired(&p->interest, now_ms, batch, max < BATCH ? max : BATCH)) > 0) {
        max -= n;
        for (size_t i = 0; i < n; i++)
            if (batch[i]->state == INTEREST_ACTIVE)
                node_count_active(p, -1);
        if (!node_unsubscribe(p, batch, n) && redis_pubsub_is_ready(p->pubsub))
            redis_pubsub_replace(p->pubsub, "out of memory");
        for (size_t i = 0; i < n; i++)
            free(batch[i]);
    }
}

void node_unsubscribe_expired(struct node *p)
{
    node_take_expired(p, clock_monotonic_ms(), SIZE_MAX);
}

void node_retry_denied(struct node *p)
{
    interest_retry_denied(&p->interest);
}

void node_want(struct node *p, unsigned worker, const struct channel_name *name)
{
    struct interest *i = interest_want(&p->interest, worker, name->hash, name->text, name->len);
    if (i && p->settings.sharded)
        i->slot = cluster_slot(name->text, name->len);
    if (!i)
        log_error("bus", "out of memory: channel %.*s is not subscribed", (int)name->len, name->text);
    else if (i->state == INTEREST_ACTIVE)
        resume_confirm_worker(p->resume, worker, i);
}

void node_history(struct node *p, unsigned worker, const struct channel_name *name)
{
    resume_page(p->resume, worker, name);
}

void node_unwant(struct node *p, unsigned worker, const struct channel_name *name)
{
    interest_unwant(&p->interest, worker, name->hash, name->text, name->len,
                    clock_monotonic_ms() + LINGER_MS);
    if (p->interest.lingering_count > LINGERING_MAX)
        node_take_expired(p, UINT64_MAX, p->interest.lingering_count - LINGERING_MAX);
}

struct interest *node_find(const struct node *p, uint64_t hash, const char *name, size_t len)
{
    return interest_find(&p->interest, hash, name, len);
}

void node_retry_moved(struct node *p)
{
    interest_retry_moved(&p->interest);
}

struct interest_set *node_wanted(struct node *p)
{
    return &p->interest;
}

bool node_hand_over(struct node *p, struct interest *i, struct interest_set *to)
{
    bool active = i->state == INTEREST_ACTIVE, told = active || i->state == INTEREST_SENT;
    struct interest *const batch[] = {i};
    if (!i->lingering && !interest_move(&p->interest, to, i))
        return false;
    // Where the slot has left the node already, this is an error that nothing waits for; where it cannot be
    // sent, what still comes is dropped.
    if (told)
        (void)node_unsubscribe(p, batch, 1);
    if (active) {
        node_count_active(p, -1);
        node_tell_unconfirmed(p, i);
    }
    if (i->lingering)
        interest_forget(&p->interest, i);
    return true;
}

void node_welcome(struct node *p)
{
    interest_sort_fresh(&p->interest, node_canary_interest(p));
}

static bool node_want_canary(struct node *p)
{
    const char *name = canary_channel(p->canary);
    size_t len = strlen(name);
    struct interest *i = interest_want(&p->interest, CANARY_BIT, map_hash(name, len), name, len);
    if (i && p->settings.sharded)
        i->slot = cluster_slot(name, len);
    return i != NULL;
}

uint16_t node_canary_slot(const struct node *p)
{
    const char *name = canary_channel(p->canary);
    return cluster_slot(name, strlen(name));
}

void node_move_canary(struct node *p, uint16_t slot)
{
    struct interest *i = node_canary_interest(p), *const batch[] = {i};
    if (i && i->state == INTEREST_ACTIVE)
        (void)node_unsubscribe(p, batch, 1); // lost without memory, which costs one channel of ours
    if (i)
        interest_forget(&p->interest, i);
    canary_move(p->canary, slot);
    if (!node_want_canary(p))
        log_error("bus", "out of memory: the canary has no channel");
}

static struct redis_pubsub *open_pubsub(struct node *p, struct ev_loop *loop)
{
    const struct redis_pubsub_settings settings = {
        .url = p->settings.url,
        .client_name = p->settings.client_name,
        .max_message = p->settings.max_message,
        .sharded = p->settings.sharded,
        .on_ready = on_redis_ready,
        .on_down = on_redis_down,
        .on_message = on_message,
        .on_too_large = on_too_large,
        .on_subscribed = on_subscribed,
        .on_unsubscribed = on_unsubscribed,
        .on_error = on_redis_error,
        .ctx = p,
    };
    return redis_pubsub_create(loop, &settings);
}

static bool open_canary(struct node *p, struct ev_loop *loop)
{
    const struct canary_settings settings = {.url = p->settings.url,
                                             .client_name = p->settings.client_name,
                                             .counters = p->settings.counters,
                                             .sharded = p->settings.sharded,
                                             .slot = p->settings.canary_slot,
                                             .on_proven = on_proven,
                                             .on_deaf = on_deaf,
                                             .heard = on_heard,
                                             .ctx = p};
    p->canary = canary_create(loop, &settings);
    return p->canary && node_want_canary(p);
}

static struct resume *on_home(void *ctx, const char *channel, size_t len)
{
    struct node *p = ctx;
    struct node *home = p->settings.home(p->settings.ctx, channel, len);
    return home ? home->resume : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    node_doubt(ctx, error);
}

static void on_working(void *ctx)
{
    struct node *p = ctx;
    p->settings.on_proven(p->settings.ctx);
}

static struct resume *open_resume(struct node *p, struct ev_loop *loop)
{
    const struct node_settings *s = &p->settings;
    const struct resume_settings settings = {.url = s->url,
                                             .client_name = s->client_name,
                                             .max_message = s->max_message,
                                             .durable = s->durable,
                                             .durable_count = s->durable_count,
                                             .delivery = s->delivery,
                                             .counters = s->counters,
                                             .queries = s->queries,
                                             .home = s->home ? on_home : NULL,
                                             .on_moved = s->on_doubt ? on_moved : NULL,
                                             .on_working = on_working,
                                             .ctx = p};
    return resume_create(loop, &settings);
}

struct node *node_create(struct ev_loop *loop, const struct node_settings *settings)
{
    struct node *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->settings = *settings;
    interest_init(&p->interest);
    p->pubsub = open_pubsub(p, loop);
    p->resume = open_resume(p, loop);
    if (p->pubsub && p->resume && open_canary(p, loop))
        return p;
    node_destroy(p);
    return NULL;
}

void node_destroy(struct node *p)
{
    if (!p)
        return;
    node_count_down(p);
    redis_pubsub_destroy(p->pubsub);
    canary_destroy(p->canary);
    resume_destroy(p->resume);
    interest_deinit(&p->interest);
    free(p);
}

bool node_is_proven(const struct node *p)
{
    return p->proven && resume_is_working(p->resume);
}

size_t node_bytes(const struct node *p)
{
    return interest_bytes(&p->interest);
}

bool node_is_connected(const struct node *p)
{
    return p->connected;
}
