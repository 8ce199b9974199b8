#include "gateway/bus/node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/container_of.h"
#include "common/log.h"
#include "gateway/bus/questions.h"
#include "gateway/bus/resume.h"
#include "gateway/bus/subscriptions.h"
#include "gateway/redis/canary.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/redis_pubsub.h"

struct node {
    struct node_settings settings;
    struct subscriptions subscriptions;
    struct bus_channel *canary_channel;
    struct canary *canary;
    struct resume *resume;
    struct questions *questions; // NULL: the workers ask none
    uint64_t messages;           // received from the server, of any channel
    bool connected;              // counted in redis_connected
};

struct node *node_of(const struct bus_channel *c)
{
    return c->node ? container_of(c->node, struct node, subscriptions.channels) : NULL;
}

static void on_message(void *ctx, const char *channel, size_t channel_len, const char *payload, size_t len)
{
    struct node *n = ctx;
    struct bus_env *env = n->settings.env;
    const struct channel_ref ref = channel_ref(channel, channel_len);
    struct bus_channel *c = channels_find(env->channels, ref);
    n->messages++;
    // A node that has lost the slot may still send: the node that has it now sends the same.
    if (c && c->node != &n->subscriptions.channels)
        c = NULL;
    if (c && c->handler) {
        c->handler->on_message(c->handler_ctx, payload, len);
        return;
    }
    counter_add(env->counters, COUNTER_MESSAGES_RECEIVED, 1);
    counter_add(env->counters, COUNTER_MESSAGE_BYTES, (int64_t)len);
    if (c && c->workers != 0)
        delivery_message(env->delivery, c, payload, len);
    else
        counter_add(env->counters, COUNTER_DROPPED_UNWANTED, 1);
}

static void on_too_large(void *ctx, const char *channel, size_t channel_len, size_t len)
{
    const struct node *n = ctx;
    const struct bus_env *env = n->settings.env;
    const struct channel_ref ref = channel_ref(channel, channel_len);
    struct bus_channel *c = channels_find(env->channels, ref);
    counter_add(env->counters, COUNTER_MESSAGES_RECEIVED, 1);
    if (c && c->node == &n->subscriptions.channels && !c->handler)
        delivery_lost(env->delivery, COUNTER_DROPPED_TOO_LARGE, c, len);
    else
        delivery_drop(env->delivery, COUNTER_DROPPED_TOO_LARGE, ref, len);
}

// Messages that were published while the channel was not subscribed did not come.
static void report_gap(const struct node *n, struct bus_channel *c,
                       void (*tell)(struct delivery *d, struct bus_channel *c, size_t w))
{
    struct delivery *d = n->settings.env->delivery;
    for (size_t w = 0; c->was_active && w < d->worker_count; w++)
        if (c->workers & UINT64_C(1) << w)
            tell(d, c, w);
}

static void on_subscribed(void *ctx, const char *channel, size_t channel_len)
{
    struct node *n = ctx;
    const struct channel_ref ref = channel_ref(channel, channel_len);
    struct bus_channel *c = node_channels_confirm(&n->subscriptions.channels, ref);
    if (c && c->handler) {
        c->handler->on_subscribed(c->handler_ctx);
    } else if (c) {
        report_gap(n, c, delivery_resubscribed);
        resume_confirm(n->resume, c);
        c->was_active = false;
    }
}

static void topology_changed(struct node *n, const char *moved)
{
    if (n->settings.on_topology_changed)
        n->settings.on_topology_changed(n->settings.ctx, n, moved);
    else
        node_channels_retry_moved(&n->subscriptions.channels); // there is no other node
}

// The channel's streams wait until it is confirmed again; those that come now wait for the same answer.
static void tell_unconfirmed(const struct node *n, const struct bus_channel *c)
{
    struct delivery *d = n->settings.env->delivery;
    for (size_t w = 0; w < d->worker_count; w++)
        if (c->workers & UINT64_C(1) << w)
            delivery_unconfirm_channel(d, w, c);
}

// The channel is unsubscribed. Without an UNSUBSCRIBE that means that its slot has left the node.
static void on_unsubscribed(void *ctx, const char *channel, size_t channel_len)
{
    struct node *n = ctx;
    const struct channel_ref ref = channel_ref(channel, channel_len);
    struct bus_channel *c;
    if (!node_channels_unsubscribed(&n->subscriptions.channels, ref, &c))
        return;
    if (c && c->handler)
        c->handler->on_unsubscribed(c->handler_ctx);
    else if (c)
        tell_unconfirmed(n, c);
    topology_changed(n, NULL);
}

static void on_redis_error(void *ctx, const char *text)
{
    struct node *n = ctx;
    struct cluster_moved moved;
    counter_add(n->settings.env->counters, COUNTER_REDIS_ERRORS, 1);
    if (n->settings.on_topology_changed && cluster_error_passes(text)) {
        node_channels_batch_moved(&n->subscriptions.channels,
                                  cluster_moved_parse(text, "", &moved) ? moved.slot : -1);
        topology_changed(n, text);
        return;
    }
    struct bus_channel *denied = node_channels_refuse_oldest(&n->subscriptions.channels);
    if (!denied)
        return;
    if (denied->told_denied)
        return;
    report_gap(n, denied, delivery_gap);
    if (!denied->handler)
        log_warn("redis", "cannot subscribe to %.*s: %s; its new streams are refused until Redis allows it",
                 (int)denied->entry.len, denied->name, text);
    else if (!denied->handler->of_node)
        log_error("redis", "cannot subscribe to %.*s: %s; revoked users keep their open streams",
                  (int)denied->entry.len, denied->name, text);
    denied->told_denied = true;
}

static void on_redis_ready(void *ctx)
{
    struct node *n = ctx;
    counter_add(n->settings.env->counters, COUNTER_REDIS_CONNECTS, 1);
    counter_add(n->settings.env->counters, COUNTER_REDIS_CONNECTED, 1);
    n->connected = true;
}

static void count_disconnect(struct node *n)
{
    if (n->connected)
        counter_add(n->settings.env->counters, COUNTER_REDIS_CONNECTED, -1);
    n->connected = false;
}

static void unconfirm_if_active(void *ctx, struct bus_channel *c)
{
    if (c->state == CHANNEL_ACTIVE && !c->handler)
        tell_unconfirmed(ctx, c);
}

static void on_redis_down(void *ctx)
{
    struct node *n = ctx;
    count_disconnect(n);
    canary_lost(n->canary);
    resume_reconnect(n->resume);
    if (n->questions)
        questions_reconnect(n->questions);
    if (n->settings.alone)
        delivery_unconfirm(n->settings.env->delivery);
    else
        node_channels_each(&n->subscriptions.channels, unconfirm_if_active, n);
    node_channels_reset(&n->subscriptions.channels);
    if (n->settings.env->sharded)
        node_channels_sort_fresh(&n->subscriptions.channels);
    topology_changed(n, NULL);
}

void node_read(struct node *n)
{
    redis_pubsub_read(n->subscriptions.pubsub);
}

void node_subscribe_fresh(struct node *n)
{
    subscriptions_send_fresh(&n->subscriptions);
}

struct questions *node_questions(struct node *n)
{
    return n->questions;
}

struct node_channels *node_channels(struct node *n)
{
    return &n->subscriptions.channels;
}

struct subscriptions *node_subscriptions(struct node *n)
{
    return &n->subscriptions;
}

void node_retry_memory(struct node *n)
{
    resume_retry(n->resume, &n->subscriptions.channels);
}

void node_confirm_workers(struct node *n, uint64_t workers, struct bus_channel *c)
{
    assert(c->node == &n->subscriptions.channels);
    if (c->state == CHANNEL_ACTIVE)
        resume_confirm_workers(n->resume, workers, c);
}

void node_resync_worker(struct node *n, size_t worker, struct bus_channel *c)
{
    delivery_resubscribed(n->settings.env->delivery, c, worker);
    node_confirm_workers(n, UINT64_C(1) << worker, c);
}

bool node_history(struct node *n, unsigned worker, struct channel_ref channel,
                  const struct history_query *query)
{
    return resume_page(n->resume, worker, channel, query);
}

static void give_up_subscription(struct node *n, struct bus_channel *c)
{
    struct bus_channel *const batch[] = {c};
    // Where the slot has left the node already, Redis answers with an error that is ignored; where
    // UNSUBSCRIBE cannot be sent, messages of the channel that still come are dropped.
    if (c->state == CHANNEL_ACTIVE || c->state == CHANNEL_SENT)
        (void)subscriptions_end(&n->subscriptions, batch, 1);
    if (c->state == CHANNEL_ACTIVE)
        tell_unconfirmed(n, c);
}

static void move(struct channels *all, struct bus_channel *c, struct node_channels *to)
{
    struct node *from = node_of(c);
    if (from)
        give_up_subscription(from, c);
    if (c->lingering)
        channels_forget(all, c);
    else
        channel_move(all, c, to);
}

void node_take_channel(struct node *n, struct bus_channel *c)
{
    if (c->node != &n->subscriptions.channels)
        move(n->settings.env->channels, c, &n->subscriptions.channels);
}

void node_give_up_channel(struct bus_channel *c)
{
    if (c->node)
        move(c->node->all, c, NULL);
}

static void on_canary_message(void *ctx, const char *payload, size_t len)
{
    const struct node *n = ctx;
    canary_back(n->canary, payload, len);
}

static void on_canary_subscribed(void *ctx)
{
    const struct node *n = ctx;
    canary_listen(n->canary);
}

static void on_canary_unsubscribed(void *ctx)
{
    const struct node *n = ctx;
    canary_unheard(n->canary);
}

static bool add_canary_channel(struct node *n)
{
    static const struct channel_handler handler = {.on_message = on_canary_message,
                                                   .on_subscribed = on_canary_subscribed,
                                                   .on_unsubscribed = on_canary_unsubscribed,
                                                   .of_node = true};
    const char *name = canary_channel(n->canary);
    const struct channel_ref ref = channel_ref(name, strlen(name));
    uint16_t slot = n->settings.env->sharded ? cluster_slot(name, ref.len) : 0;
    n->canary_channel = channels_add_internal(n->settings.env->channels, ref, slot, &handler, n);
    if (n->canary_channel)
        channel_move(n->settings.env->channels, n->canary_channel, &n->subscriptions.channels);
    return n->canary_channel != NULL;
}

static void forget_canary_channel(struct node *n)
{
    if (n->canary_channel)
        channels_forget(n->settings.env->channels, n->canary_channel);
    n->canary_channel = NULL;
}

uint16_t node_canary_slot(const struct node *n)
{
    const char *name = canary_channel(n->canary);
    return cluster_slot(name, strlen(name));
}

void node_move_canary(struct node *n, uint16_t slot)
{
    struct bus_channel *const batch[] = {n->canary_channel};
    if (n->canary_channel && n->canary_channel->state == CHANNEL_ACTIVE)
        (void)subscriptions_end(&n->subscriptions, batch,
                                1); // a failure for want of memory leaves one subscription too many
    forget_canary_channel(n);
    canary_move(n->canary, slot);
    if (!add_canary_channel(n))
        log_error("bus", "out of memory: the canary has no channel, and delivery is not proven");
}

static void on_proven(void *ctx, bool proven)
{
    (void)proven; // node_is_proven says it
    struct node *n = ctx;
    n->settings.on_proven(n->settings.ctx);
}

static uint64_t on_heard(void *ctx)
{
    const struct node *n = ctx;
    return n->messages;
}

static void on_deaf(void *ctx)
{
    struct node *n = ctx;
    redis_pubsub_replace(n->subscriptions.pubsub, "connected, but what is published does not arrive");
}

static struct redis_pubsub *open_pubsub(struct node *n)
{
    const struct bus_env *env = n->settings.env;
    const struct redis_pubsub_settings settings = {
        .url = n->settings.url,
        .client_name = env->client_name,
        .max_message = env->max_message,
        .sharded = env->sharded,
        .on_ready = on_redis_ready,
        .on_down = on_redis_down,
        .on_message = on_message,
        .on_too_large = on_too_large,
        .on_subscribed = on_subscribed,
        .on_unsubscribed = on_unsubscribed,
        .on_error = on_redis_error,
        .ctx = n,
    };
    return redis_pubsub_create(env->loop, &settings);
}

static struct canary *open_canary(struct node *n)
{
    const struct bus_env *env = n->settings.env;
    const struct canary_settings settings = {.url = n->settings.url,
                                             .client_name = env->client_name,
                                             .counters = env->counters,
                                             .sharded = env->sharded,
                                             .slot = n->settings.canary_slot,
                                             .on_proven = on_proven,
                                             .on_deaf = on_deaf,
                                             .heard = on_heard,
                                             .ctx = n};
    return canary_create(env->loop, &settings);
}

static struct resume *on_owner(void *ctx, const char *channel, size_t len)
{
    const struct node *n = ctx;
    const struct node *owner = n->settings.owner(n->settings.ctx, channel, len);
    return owner ? owner->resume : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    topology_changed(ctx, error);
}

static void on_working(void *ctx)
{
    struct node *n = ctx;
    n->settings.on_proven(n->settings.ctx);
}

static struct resume *open_resume(struct node *n)
{
    const struct resume_settings settings = {.env = n->settings.env,
                                             .url = n->settings.url,
                                             .owner = n->settings.owner ? on_owner : NULL,
                                             .on_moved = n->settings.on_topology_changed ? on_moved : NULL,
                                             .on_working = on_working,
                                             .ctx = n};
    return resume_create(&settings);
}

static struct questions *on_question_owner(void *ctx, const char *key, size_t len)
{
    const struct node *n = ctx;
    const struct node *owner = n->settings.owner(n->settings.ctx, key, len);
    return owner ? owner->questions : NULL;
}

static struct questions *open_questions(struct node *n)
{
    const struct questions_settings settings = {.env = n->settings.env,
                                                .url = n->settings.url,
                                                .owner = n->settings.owner ? on_question_owner : NULL,
                                                .on_moved = n->settings.on_topology_changed ? on_moved : NULL,
                                                .ctx = n};
    return questions_create(&settings);
}

struct node *node_create(const struct node_settings *settings)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->settings = *settings;
    subscriptions_init(&n->subscriptions, settings->env->channels, open_pubsub(n), settings->env->sharded);
    n->resume = open_resume(n);
    n->canary = open_canary(n);
    n->questions = settings->env->asks ? open_questions(n) : NULL;
    if (n->subscriptions.pubsub && n->resume && n->canary && (n->questions || !settings->env->asks) &&
        add_canary_channel(n))
        return n;
    node_destroy(n);
    return NULL;
}

static void release_channel(void *ctx, struct bus_channel *c)
{
    struct channels *all = ctx;
    if (c->lingering)
        channels_forget(all, c);
    else
        channel_move(all, c, NULL);
}

void node_destroy(struct node *n)
{
    if (!n)
        return;
    count_disconnect(n);
    forget_canary_channel(n);
    node_channels_each(&n->subscriptions.channels, release_channel, n->settings.env->channels);
    redis_pubsub_destroy(n->subscriptions.pubsub);
    canary_destroy(n->canary);
    resume_destroy(n->resume);
    questions_destroy(n->questions);
    free(n);
}

bool node_is_proven(const struct node *n)
{
    return canary_is_proven(n->canary) && resume_is_working(n->resume);
}

bool node_is_connected(const struct node *n)
{
    return n->connected;
}

const char *node_fault(const struct node *n)
{
    const char *subscriber = redis_pubsub_fault(n->subscriptions.pubsub), *history = resume_fault(n->resume);
    if (node_is_proven(n))
        return "";
    return subscriber[0] ? subscriber : history[0] ? history : "the canary did not come back";
}
