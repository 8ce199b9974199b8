#include "gateway/bus/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "common/log.h"
#include "gateway/bus/questions.h"
#include "gateway/bus/resume.h"
#include "gateway/bus/subscriptions.h"
#include "gateway/fanout/revocations.h"
#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"

#define LINGER_MS 5000u
#define DENIED_TICKS 5u // seconds until a denied channel is tried again

struct cluster {
    struct bus_env *env;
    struct cluster_map *map; // NULL: there is one server
    struct node *nodes[CLUSTER_NODES_MAX];
    size_t count;
    struct node *owner[CLUSTER_SLOTS]; // NULL: no node
    struct node *chosen; // classic Pub/Sub on a cluster: the node with all subscriptions. NULL: none yet
    unsigned ticks;
    bool incomplete; // there was no memory for a node: it is tried again with the next map
};

static bool is_classic_cluster(const struct cluster *cl)
{
    return cl->map && !cl->env->sharded;
}

// Where a channel of that slot is subscribed.
static struct node *subscriber_of(const struct cluster *cl, uint16_t slot)
{
    return is_classic_cluster(cl) ? cl->chosen : cl->owner[slot];
}

static uint16_t slot_of(const struct cluster *cl, struct channel_ref channel)
{
    return cl->env->sharded ? cluster_slot(channel.name, channel.len) : 0;
}

// The node that has the channel's keys. Where no node has them, any node keeps the query until one does.
static struct node *owner_of(const struct cluster *cl, struct channel_ref channel)
{
    struct node *n = cl->owner[cluster_slot(channel.name, channel.len)];
    return n ? n : cl->count > 0 ? cl->nodes[0] : NULL;
}

bool cluster_uses(const struct cluster *cl, const struct node *n)
{
    return is_classic_cluster(cl) ? n == cl->chosen : n->slots > 0;
}

const char *cluster_fault(const struct cluster *cl)
{
    const char *fault = "no node of the cluster is known";
    for (size_t i = 0; i < cl->count; i++) {
        if (!cluster_uses(cl, cl->nodes[i]))
            continue;
        fault = node_fault(cl->nodes[i]);
        if (fault[0])
            break;
    }
    return fault;
}

// Called from within the node, so it only asks for a new map.
static void on_topology_changed(struct cluster *cl, const struct node *n, const char *error)
{
    struct cluster_moved moved;
    const struct redis_address *at = n->connected ? &n->url->endpoints[0] : NULL;
    revocations_forget(cl->env->revocations);
    if (error && at && cluster_moved_parse(error, at->host, &moved))
        at = &moved.to;
    cluster_map_refresh(cl->map, at);
}

// Adds the node at that address of the cluster, or the one server there is. NULL when out of memory.
static struct node *add_node(struct cluster *cl, const struct redis_address *at, uint16_t canary_slot)
{
    struct node *n = cl->count < CLUSTER_NODES_MAX ? node_create(cl->env, at, canary_slot) : NULL;
    if (n)
        cl->nodes[cl->count++] = n;
    return n;
}

// A slot in the middle of those of a node: when slots are moved, the first or the last of a node go first.
static uint16_t middle_slot(const struct cluster_slots *slots, size_t node)
{
    size_t owned = 0, seen = 0;
    uint16_t slot = 0;
    for (size_t i = 0; i < CLUSTER_SLOTS; i++)
        owned += slots->owner[i] == node;
    for (size_t i = 0; i < CLUSTER_SLOTS && seen <= owned / 2; i++) {
        if (slots->owner[i] != node)
            continue;
        seen++;
        slot = (uint16_t)i;
    }
    return slot;
}

static void own_nothing(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        cl->nodes[i]->slots = 0;
    memset(cl->owner, 0, sizeof cl->owner);
}

// The node at that place of the map; its canary is published in a slot of that node.
static struct node *node_for(struct cluster *cl, const struct cluster_slots *slots, uint16_t place)
{
    const struct redis_address *at = &slots->nodes[place];
    uint16_t canary_slot = middle_slot(slots, place);
    size_t i = 0;
    while (i < cl->count && !redis_address_equal(&cl->nodes[i]->url->endpoints[0], at))
        i++;
    if (i == cl->count)
        return add_node(cl, at, canary_slot);
    const char *canary = canary_channel(cl->nodes[i]->canary);
    if (cl->env->sharded && slots->owner[cluster_slot(canary, strlen(canary))] != place)
        node_move_canary(cl->nodes[i], canary_slot);
    return cl->nodes[i];
}

// Gives each slot to the node that owns it.
static void assign(struct cluster *cl, const struct cluster_slots *slots)
{
    struct node *at_place[CLUSTER_NODES_MAX] = {NULL};
    own_nothing(cl);
    cl->incomplete = false;
    for (size_t i = 0; i < CLUSTER_SLOTS; i++) {
        uint16_t place = slots->owner[i];
        if (place == CLUSTER_NOBODY)
            continue;
        if (!at_place[place])
            at_place[place] = node_for(cl, slots, place);
        cl->incomplete |= !at_place[place];
        cl->owner[i] = at_place[place];
        if (at_place[place])
            at_place[place]->slots++;
    }
}

// Classic Pub/Sub: the chosen node stays chosen while it owns slots and is proven to deliver. One that owns
// slots and does not deliver is replaced by a proven one only. Any node would do, so each gateway begins its
// search at a random one.
static void choose(struct cluster *cl)
{
    size_t start = cl->count ? jitter_seed() % cl->count : 0;
    if (!is_classic_cluster(cl))
        return;
    if (cl->chosen && cl->chosen->slots > 0 && node_is_proven(cl->chosen))
        return;
    for (size_t i = 0; i < cl->count; i++) {
        struct node *n = cl->nodes[(start + i) % cl->count];
        bool better = !cl->chosen || cl->chosen->slots == 0 || node_is_proven(n);
        if (n->slots > 0 && better)
            cl->chosen = n;
    }
    if (cl->chosen && cl->chosen->slots == 0)
        cl->chosen = NULL;
}

static void move_to_owner(void *ctx, struct bus_channel *c)
{
    const struct cluster *cl = ctx;
    if (!c->handler || !c->handler->of_node)
        node_move_channel(cl->env->channels, c, subscriber_of(cl, c->slot));
}

static void move_unowned(struct cluster *cl)
{
    for (struct bus_channel *c = TAILQ_FIRST(&cl->env->channels->unowned), *next; c; c = next) {
        next = TAILQ_NEXT(c, in_state);
        move_to_owner(cl, c);
    }
}

// Destroys the nodes that own no slots. Queries that they have not answered go to the other nodes, which are
// known by then.
static void destroy_unused(struct cluster *cl)
{
    struct node *unused[CLUSTER_NODES_MAX];
    size_t kept = 0, unused_count = 0;
    for (size_t i = 0; i < cl->count; i++) {
        if (cl->nodes[i]->slots > 0)
            cl->nodes[kept++] = cl->nodes[i];
        else
            unused[unused_count++] = cl->nodes[i];
    }
    cl->count = kept;
    for (size_t i = 0; i < unused_count; i++)
        node_destroy(unused[i]);
}

// Moves every channel to the node that owns its slot.
static void rebalance(struct cluster *cl)
{
    revocations_forget(cl->env->revocations); // keys have moved, or the channel does
    choose(cl);
    move_unowned(cl);
    for (size_t i = 0; i < cl->count; i++)
        node_channels_each(&cl->nodes[i]->channels, move_to_owner, cl);
    destroy_unused(cl);
    for (size_t i = 0; i < cl->count; i++)
        node_channels_sort_fresh(&cl->nodes[i]->channels);
}

static void on_map(void *ctx, const struct cluster_slots *slots, size_t moved)
{
    struct cluster *cl = ctx;
    if (cl->count == 0)
        log_info("cluster", "the cluster has %zu nodes, replicas among them", slots->node_count);
    else if (moved > 0)
        log_info("cluster", "%zu slots have another owner than before", moved);
    for (size_t i = 0; i < cl->count; i++)
        node_channels_retry(&cl->nodes[i]->channels, CHANNEL_MOVED);
    if (moved == 0 && !cl->incomplete)
        return;
    assign(cl, slots);
    rebalance(cl);
}

static void resync_channel(void *ctx, struct bus_channel *c)
{
    const size_t *worker = ctx;
    uint64_t bit = UINT64_C(1) << *worker;
    struct node *n = node_of(c);
    if (!(c->workers & bit) || c->state != CHANNEL_ACTIVE)
        return;
    delivery_resubscribed(n->env->delivery, bit, c);
    resume_confirm_workers(n, bit, c);
}

// Workers that missed a mail for want of memory are told anew about all their channels.
static void resync_workers(struct cluster *cl)
{
    struct delivery *d = cl->env->delivery;
    for (size_t w = 0; w < d->worker_count; w++)
        if (delivery_resync(d, w))
            for (size_t i = 0; i < cl->count; i++)
                node_channels_each(&cl->nodes[i]->channels, resync_channel, &w);
}

static void tell_due(void *ctx, struct bus_channel *c)
{
    delivery_tell_due(ctx, c);
}

static void tell_gaps_due(struct cluster *cl)
{
    struct delivery *d = cl->env->delivery;
    if (!d->gaps_due)
        return;
    d->gaps_due = false;
    for (size_t i = 0; i < cl->count; i++)
        node_channels_each(&cl->nodes[i]->channels, tell_due, d);
}

// The flag is cleared first: a retry may fail again.
static void retry_queries(struct cluster *cl)
{
    if (!cl->env->short_of_memory)
        return;
    cl->env->short_of_memory = false;
    for (size_t i = 0; i < cl->count; i++)
        resume_retry(cl->nodes[i]);
}

static void tick_node(struct node *n, bool retry_denied)
{
    subscriptions_end_expired(n);
    if (retry_denied)
        node_channels_retry(&n->channels, CHANNEL_DENIED);
}

void cluster_tick(struct cluster *cl)
{
    bool proven = cluster_fault(cl)[0] == '\0';
    cl->ticks++;
    for (size_t i = 0; i < cl->count; i++)
        tick_node(cl->nodes[i], cl->ticks % DENIED_TICKS == 0);
    retry_queries(cl);
    resync_workers(cl);
    tell_gaps_due(cl);
    if (!cl->map)
        return;
    if (!proven || cl->incomplete || !TAILQ_EMPTY(&cl->env->channels->unowned))
        cluster_map_refresh(cl->map, NULL);
    if (is_classic_cluster(cl) && !proven)
        rebalance(cl);
}

static bool open_server(struct cluster *cl)
{
    struct node *n = add_node(cl, NULL, 0);
    for (size_t i = 0; n && i < CLUSTER_SLOTS; i++)
        cl->owner[i] = n;
    if (n)
        n->slots = CLUSTER_SLOTS;
    return n != NULL;
}

struct cluster *cluster_create(struct bus_env *env)
{
    struct cluster *cl = calloc(1, sizeof *cl);
    bool is_cluster = env->url->kind == REDIS_URL_CLUSTER;
    if (!cl)
        return NULL;
    cl->env = env;
    if (is_cluster) {
        env->cluster = cl;
        env->owner = owner_of;
        env->on_topology_changed = on_topology_changed;
        cl->map = cluster_map_create(env->loop, env->url, env->client_name, on_map, cl);
    }
    if (is_cluster ? cl->map != NULL : open_server(cl))
        return cl;
    cluster_destroy(cl);
    return NULL;
}

void cluster_destroy(struct cluster *cl)
{
    if (!cl)
        return;
    own_nothing(cl);
    size_t count = cl->count;
    cl->count = 0; // so that no node takes over what another has not answered
    for (size_t i = 0; i < count; i++)
        node_destroy(cl->nodes[i]);
    cluster_map_destroy(cl->map);
    free(cl);
}

bool cluster_want(struct cluster *cl, unsigned worker, struct channel_ref channel)
{
    uint16_t slot = slot_of(cl, channel);
    struct bus_channel *c = channels_want(cl->env->channels, worker, channel, slot);
    if (!c)
        return false;
    struct node *n = c->node ? node_of(c) : subscriber_of(cl, slot);
    if (n && !c->node)
        node_move_channel(cl->env->channels, c, n);
    else if (c->state == CHANNEL_ACTIVE)
        resume_confirm_workers(n, UINT64_C(1) << worker, c);
    return true;
}

void cluster_unwant(struct cluster *cl, unsigned worker, struct channel_ref channel)
{
    const struct bus_channel *c = channels_find(cl->env->channels, channel);
    struct node *n = c ? node_of(c) : NULL;
    channels_unwant(cl->env->channels, worker, channel, clock_monotonic_ms() + LINGER_MS);
    if (n)
        subscriptions_end_surplus(n);
}

bool cluster_history(struct cluster *cl, unsigned worker, struct channel_ref channel,
                     const struct history_query *query)
{
    const struct node *n = owner_of(cl, channel);
    if (n)
        return !n->history || history_ask_page(n->history, worker, channel, query);
    delivery_page_lost(cl->env->delivery, worker, query->number);
    return true;
}

void cluster_ask(struct cluster *cl, unsigned worker, struct question *q)
{
    if (cl->env->asks && cl->count > 0)
        questions_ask(cl->nodes[0]->questions, worker, q);
    else
        questions_tell(cl->env, worker, q);
}

bool cluster_listen(struct cluster *cl, const char *name, const struct channel_handler *handler, void *ctx)
{
    const struct channel_ref ref = channel_ref(name, strlen(name));
    struct bus_channel *c = channels_add_internal(cl->env->channels, ref, slot_of(cl, ref), handler, ctx);
    if (c)
        move_to_owner(cl, c);
    return c != NULL;
}

static struct node *publisher_of(const struct cluster *cl, const char *channel)
{
    return subscriber_of(cl, slot_of(cl, channel_ref(channel, strlen(channel))));
}

bool cluster_publish(struct cluster *cl, const char *channel, const char *text)
{
    const struct node *n = publisher_of(cl, channel);
    return n && canary_publish(n->canary, channel, text);
}

void cluster_publish_now(struct cluster *cl, const char *channel)
{
    const struct node *n = publisher_of(cl, channel);
    if (n)
        canary_flush(n->canary);
}

bool cluster_each_master(struct cluster *cl, bool (*visit)(void *ctx, const struct node *n), void *ctx)
{
    size_t owned = 0;
    for (size_t i = 0; i < cl->count; i++)
        owned += cl->nodes[i]->slots;
    bool ok = owned == CLUSTER_SLOTS;
    for (size_t i = 0; ok && i < cl->count; i++)
        ok = visit(ctx, cl->nodes[i]);
    return ok;
}

size_t cluster_node_count(const struct cluster *cl)
{
    return cl->count;
}

const struct node *cluster_node(const struct cluster *cl, size_t i)
{
    return i < cl->count ? cl->nodes[i] : NULL;
}

void cluster_read(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        redis_conn_read(redis_pubsub_conn(cl->nodes[i]->pubsub));
}

void cluster_subscribe_fresh(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        subscriptions_send_fresh(cl->nodes[i]);
}
