#include "gateway/bus/node.h"

#include <stdlib.h>
#include <string.h>

#include "common/container_of.h"
#include "common/log.h"
#include "gateway/bus/questions.h"
#include "gateway/bus/resume.h"
#include "gateway/bus/subscriptions.h"
#include "gateway/fanout/revocations.h"
#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"

struct node *node_of(const struct bus_channel *c)
{
    return c->node ? container_of(c->node, struct node, channels) : NULL;
}

// The channel, where it is at this node: a node that has lost the slot may still send, and the node that has
// it now sends the same.
static struct bus_channel *find_here(const struct node *n, struct channel_ref channel)
{
    struct bus_channel *c = channels_find(n->env->channels, channel);
    return c && c->node == &n->channels ? c : NULL;
}

static void on_message(void *ctx, struct channel_ref channel, const char *payload, size_t len)
{
    struct node *n = ctx;
    struct bus_channel *c = find_here(n, channel);
    n->messages++;
    if (c && c->handler) {
        c->handler->on_message(c->handler_ctx, payload, len);
        return;
    }
    counter_add(n->env->counters, COUNTER_MESSAGES_RECEIVED, 1);
    counter_add(n->env->counters, COUNTER_MESSAGE_BYTES, (int64_t)len);
    if (c && c->workers != 0)
        delivery_message(n->env->delivery, c, payload, len,
                         redis_conn_read_at_ns(redis_pubsub_conn(n->pubsub)));
    else
        counter_add(n->env->counters, COUNTER_DROPPED_UNWANTED, 1);
}

static void on_too_large(void *ctx, struct channel_ref channel, size_t len)
{
    const struct node *n = ctx;
    struct bus_channel *c = find_here(n, channel);
    counter_add(n->env->counters, COUNTER_MESSAGES_RECEIVED, 1);
    if (c && !c->handler)
        delivery_lost(n->env->delivery, COUNTER_DROPPED_TOO_LARGE, c, len);
    else
        delivery_drop(n->env->delivery, COUNTER_DROPPED_TOO_LARGE, channel, len);
}

static void on_subscribed(void *ctx, struct channel_ref channel)
{
    struct node *n = ctx;
    struct bus_channel *c = node_channels_confirm(&n->channels, channel);
    if (c && c->handler) {
        c->handler->on_subscribed(c->handler_ctx);
    } else if (c) {
        if (c->was_active) // messages that were published while it was not subscribed did not come
            delivery_resubscribed(n->env->delivery, c->workers, c);
        resume_confirm(n, c);
        c->was_active = false;
    }
}

static void topology_changed(struct node *n, const char *error)
{
    if (n->env->cluster) {
        n->env->on_topology_changed(n->env->cluster, n, error);
    } else {
        revocations_forget(n->env->revocations);
        node_channels_retry(&n->channels, CHANNEL_MOVED); // there is no other node
    }
}

// The channel is unsubscribed. Without an UNSUBSCRIBE that means that its slot has left the node. Its streams
// wait until it is confirmed again; those that come now wait for the same answer.
static void on_unsubscribed(void *ctx, struct channel_ref channel)
{
    struct node *n = ctx;
    struct bus_channel *c = node_channels_unsubscribed(&n->channels, channel);
    if (!c)
        return;
    if (c->handler)
        c->handler->on_unsubscribed(c->handler_ctx);
    else
        delivery_unconfirm_channel(n->env->delivery, c);
    topology_changed(n, NULL);
}

static void on_refused(void *ctx, uint32_t batch, size_t count, const char *error)
{
    struct node *n = ctx;
    counter_add(n->env->counters, COUNTER_REDIS_ERRORS, 1);
    if (n->env->cluster && cluster_error_passes(error)) {
        node_channels_batch_moved(&n->channels, batch);
        topology_changed(n, error);
        return;
    }
    struct bus_channel *denied = node_channels_refuse(&n->channels, batch, count);
    if (!denied || denied->told_denied)
        return;
    if (denied->was_active)
        delivery_gap(n->env->delivery, denied);
    if (!denied->handler)
        log_warn("redis", "cannot subscribe to %.*s: %s; its new streams are refused until Redis allows it",
                 (int)denied->entry.len, denied->name, error);
    else if (denied->handler->when_denied)
        log_error("redis", "cannot subscribe to %.*s: %s; %s", (int)denied->entry.len, denied->name, error,
                  denied->handler->when_denied);
    denied->told_denied = true;
}

static void on_ready(void *ctx)
{
    struct node *n = ctx;
    counter_add(n->env->counters, COUNTER_REDIS_CONNECTS, 1);
    counter_add(n->env->counters, COUNTER_REDIS_CONNECTED, 1);
    n->connected = true;
}

static void count_disconnect(struct node *n)
{
    if (n->connected)
        counter_add(n->env->counters, COUNTER_REDIS_CONNECTED, -1);
    n->connected = false;
}

static void unconfirm_if_active(void *ctx, struct bus_channel *c)
{
    if (c->state == CHANNEL_ACTIVE && !c->handler)
        delivery_unconfirm_channel(ctx, c);
}

static void on_down(void *ctx)
{
    struct node *n = ctx;
    count_disconnect(n);
    canary_lost(n->canary);
    if (n->history)
        history_reconnect(n->history);
    if (n->questions)
        questions_reconnect(n->questions);
    if (n->env->cluster)
        node_channels_each(&n->channels, unconfirm_if_active, n->env->delivery);
    else
        delivery_unconfirm(n->env->delivery);
    node_channels_reset(&n->channels);
    if (n->env->sharded)
        node_channels_sort_fresh(&n->channels);
    topology_changed(n, NULL);
}

static void give_up_subscription(struct node *n, struct bus_channel *c)
{
    // Where the slot has left the node already, Redis answers with an error that is ignored; where
    // UNSUBSCRIBE cannot be sent, messages of the channel that still come are dropped.
    if (c->state == CHANNEL_ACTIVE || c->state == CHANNEL_SENT)
        (void)subscriptions_end(n, c);
    if (c->state == CHANNEL_ACTIVE && !c->handler)
        delivery_unconfirm_channel(n->env->delivery, c);
}

void node_move_channel(struct channels *all, struct bus_channel *c, struct node *to)
{
    struct node *from = node_of(c);
    if (from == to)
        return;
    if (from)
        give_up_subscription(from, c);
    if (c->lingering)
        channels_forget(all, c);
    else
        channel_move(all, c, to ? &to->channels : NULL);
}

static bool add_canary_channel(struct node *n)
{
    static const struct channel_handler handler = {.on_message = canary_back,
                                                   .on_subscribed = canary_listen,
                                                   .on_unsubscribed = canary_unheard,
                                                   .of_node = true};
    const char *name = canary_channel(n->canary);
    const struct channel_ref ref = channel_ref(name, strlen(name));
    uint16_t slot = n->env->sharded ? cluster_slot(name, ref.len) : 0;
    n->canary_channel = channels_add_internal(n->env->channels, ref, slot, &handler, n->canary);
    if (n->canary_channel)
        channel_move(n->env->channels, n->canary_channel, &n->channels);
    return n->canary_channel != NULL;
}

static void forget_canary_channel(struct node *n)
{
    if (n->canary_channel)
        channels_forget(n->env->channels, n->canary_channel);
    n->canary_channel = NULL;
}

void node_move_canary(struct node *n, uint16_t slot)
{
    if (n->canary_channel)
        give_up_subscription(n, n->canary_channel);
    forget_canary_channel(n);
    canary_move(n->canary, slot);
    if (!add_canary_channel(n))
        log_error("bus", "out of memory: the canary has no channel, and delivery is not proven");
}

static void on_deaf(void *ctx)
{
    const struct node *n = ctx;
    redis_conn_replace(redis_pubsub_conn(n->pubsub), "connected, but what is published does not arrive");
}

static struct redis_pubsub *open_pubsub(struct node *n)
{
    const struct bus_env *env = n->env;
    const struct redis_pubsub_settings settings = {
        .url = n->url,
        .client_name = env->client_name,
        .max_message = env->max_message,
        .sharded = env->sharded,
        .on_ready = on_ready,
        .on_down = on_down,
        .on_message = on_message,
        .on_too_large = on_too_large,
        .on_subscribed = on_subscribed,
        .on_unsubscribed = on_unsubscribed,
        .on_refused = on_refused,
        .ctx = n,
    };
    return redis_pubsub_create(env->loop, &settings);
}

static void on_published(void *ctx, const char *error)
{
    const struct node *n = ctx;
    if (n->env->on_published)
        n->env->on_published(n->env->published_ctx, error);
}

static struct canary *open_canary(struct node *n, uint16_t slot)
{
    const struct bus_env *env = n->env;
    const struct canary_settings settings = {.url = n->url,
                                             .client_name = env->client_name,
                                             .counters = env->counters,
                                             .sharded = env->sharded,
                                             .slot = slot,
                                             .heard = &n->messages,
                                             .on_deaf = on_deaf,
                                             .on_published = on_published,
                                             .ctx = n};
    return canary_create(env->loop, &settings);
}

struct node *node_create(struct bus_env *env, const struct redis_address *at, uint16_t canary_slot)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->env = env;
    n->url = at ? &n->url_in_cluster : env->url;
    node_channels_init(&n->channels, env->channels);
    if ((!at || cluster_node_url(env->url, at, &n->url_in_cluster)) && resume_open(n) &&
        (!env->asks || (n->questions = questions_create(n))) && (n->pubsub = open_pubsub(n)) &&
        (n->canary = open_canary(n, canary_slot)) && add_canary_channel(n))
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
    node_channels_each(&n->channels, release_channel, n->env->channels);
    redis_pubsub_destroy(n->pubsub);
    canary_destroy(n->canary);
    history_destroy(n->history);
    questions_destroy(n->questions);
    redis_url_deinit(&n->url_in_cluster);
    free(n);
}

bool node_is_proven(const struct node *n)
{
    return node_fault(n)[0] == '\0';
}

const char *node_fault(const struct node *n)
{
    const char *subscriber = redis_conn_fault(redis_pubsub_conn(n->pubsub)),
               *history = n->history ? history_fault(n->history) : "",
               *questions = n->questions ? questions_fault(n->questions) : "";
    if (canary_is_proven(n->canary))
        return history[0] ? history : questions;
    return subscriber[0] ? subscriber : history[0] ? history : "the canary did not come back";
}
