#include "gateway/bus/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "common/log.h"
#include "gateway/bus/node.h"
#include "gateway/bus/questions.h"
#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"

#define LINGER_MS 5000u

// One node of the cluster.
struct member {
    struct node *node;
    struct redis_url url; // on a cluster: the node's
    size_t slots;         // that it owns; with none the member is destroyed
};

struct cluster {
    struct cluster_settings settings;
    struct cluster_map *map; // NULL: there is one server
    struct member *members[CLUSTER_NODES_MAX];
    size_t count;
    struct member *owner[CLUSTER_SLOTS]; // NULL: no node
    struct member *chosen; // classic Pub/Sub on a cluster: the node with all subscriptions. NULL: none yet
    bool proven;           // every node that is used
    bool incomplete;       // there was no memory for a member: it is tried again with the next map
};

static bool is_classic_cluster(const struct cluster *cl)
{
    return cl->map && !cl->settings.env->sharded;
}

// Where a channel of that slot is subscribed.
static struct member *subscriber_of(const struct cluster *cl, uint16_t slot)
{
    return is_classic_cluster(cl) ? cl->chosen : cl->owner[slot];
}

static uint16_t slot_of(const struct cluster *cl, const char *name, size_t len)
{
    return cl->settings.env->sharded ? cluster_slot(name, len) : 0;
}

// The node that has the channel's keys. Where no node has them, any node keeps the query until one does.
static struct node *on_owner(void *ctx, const char *channel, size_t len)
{
    const struct cluster *cl = ctx;
    const struct member *m = cl->owner[cluster_slot(channel, len)];
    if (!m && cl->count > 0)
        m = cl->members[0];
    return m ? m->node : NULL;
}

static bool is_used(const struct cluster *cl, const struct member *m)
{
    return is_classic_cluster(cl) ? m == cl->chosen : m->slots > 0;
}

static void report_proven(struct cluster *cl)
{
    bool proven = !is_classic_cluster(cl) || cl->chosen;
    size_t used = 0;
    for (size_t i = 0; i < cl->count; i++) {
        const struct member *m = cl->members[i];
        used += is_used(cl, m);
        proven = proven && (!is_used(cl, m) || node_is_proven(m->node));
    }
    cl->proven = proven && used > 0;
    cl->settings.on_proven(cl->settings.ctx, cl->proven);
}

static void on_proven(void *ctx)
{
    report_proven(ctx);
}

static const struct redis_address *endpoint_of(const struct cluster *cl, const struct node *n)
{
    for (size_t i = 0; i < cl->count; i++)
        if (cl->members[i]->node == n)
            return &cl->members[i]->url.endpoints[0];
    return NULL;
}

// Called from within the node, so it only asks for a new map.
static void on_topology_changed(void *ctx, struct node *n, const char *text)
{
    struct cluster *cl = ctx;
    struct cluster_moved moved;
    const struct redis_address *at = node_is_connected(n) ? endpoint_of(cl, n) : NULL;
    if (text && at && cluster_moved_parse(text, at->host, &moved))
        at = &moved.to;
    cluster_map_refresh(cl->map, at);
}

static void member_destroy(struct member *m)
{
    node_destroy(m->node);
    redis_url_deinit(&m->url);
    free(m);
}

// Adds `node` of the cluster, or to the one server there is.
static struct member *member_create(struct cluster *cl, const struct redis_address *node,
                                    uint16_t canary_slot)
{
    struct member *m = cl->count < CLUSTER_NODES_MAX ? calloc(1, sizeof *m) : NULL;
    if (!m || (node && !cluster_node_url(cl->settings.url, node, &m->url))) {
        free(m);
        return NULL;
    }
    const struct node_settings settings = {.env = cl->settings.env,
                                           .url = node ? &m->url : cl->settings.url,
                                           .canary_slot = canary_slot,
                                           .alone = !cl->map,
                                           .on_proven = on_proven,
                                           .on_topology_changed = cl->map ? on_topology_changed : NULL,
                                           .owner = cl->map ? on_owner : NULL,
                                           .ctx = cl};
    m->node = node_create(&settings);
    if (!m->node) {
        member_destroy(m);
        return NULL;
    }
    cl->members[cl->count++] = m;
    return m;
}

static struct member *member_at(struct cluster *cl, const struct redis_address *node, uint16_t canary_slot)
{
    for (size_t i = 0; i < cl->count; i++)
        if (redis_address_equal(&cl->members[i]->url.endpoints[0], node))
            return cl->members[i];
    return member_create(cl, node, canary_slot);
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
        cl->members[i]->slots = 0;
    memset(cl->owner, 0, sizeof cl->owner);
}

// The member for a node of the map; its canary is published in a slot of that node.
static struct member *member_for(struct cluster *cl, const struct cluster_slots *slots, uint16_t node)
{
    uint16_t canary_slot = middle_slot(slots, node);
    struct member *m = member_at(cl, &slots->nodes[node], canary_slot);
    if (m && cl->settings.env->sharded && slots->owner[node_canary_slot(m->node)] != node)
        node_move_canary(m->node, canary_slot);
    return m;
}

// Gives each slot to the member of its owner.
static void assign(struct cluster *cl, const struct cluster_slots *slots)
{
    struct member *of_node[CLUSTER_NODES_MAX] = {NULL};
    own_nothing(cl);
    cl->incomplete = false;
    for (size_t i = 0; i < CLUSTER_SLOTS; i++) {
        uint16_t node = slots->owner[i];
        if (node == CLUSTER_NOBODY)
            continue;
        if (!of_node[node])
            of_node[node] = member_for(cl, slots, node);
        cl->incomplete |= !of_node[node];
        cl->owner[i] = of_node[node];
        if (of_node[node])
            of_node[node]->slots++;
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
    if (cl->chosen && cl->chosen->slots > 0 && node_is_proven(cl->chosen->node))
        return;
    for (size_t i = 0; i < cl->count; i++) {
        struct member *m = cl->members[(start + i) % cl->count];
        bool better = !cl->chosen || cl->chosen->slots == 0 || node_is_proven(m->node);
        if (m->slots > 0 && better)
            cl->chosen = m;
    }
    if (cl->chosen && cl->chosen->slots == 0)
        cl->chosen = NULL;
}

static void move_to_owner(void *ctx, struct bus_channel *c)
{
    const struct cluster *cl = ctx;
    const struct member *m = subscriber_of(cl, c->slot);
    if (c->handler && c->handler->of_node)
        return;
    if (m)
        node_take_channel(m->node, c);
    else
        node_give_up_channel(c);
}

static void move_unowned(struct cluster *cl)
{
    for (struct bus_channel *c = TAILQ_FIRST(&cl->settings.env->channels->unowned), *next; c; c = next) {
        next = TAILQ_NEXT(c, in_state);
        move_to_owner(cl, c);
    }
}

// Destroys the members that own no slots. Queries that they have not answered go to the other members, which
// are known by then.
static void destroy_unused(struct cluster *cl)
{
    struct member *unused[CLUSTER_NODES_MAX];
    size_t kept = 0, unused_count = 0;
    for (size_t i = 0; i < cl->count; i++) {
        if (cl->members[i]->slots > 0)
            cl->members[kept++] = cl->members[i];
        else
            unused[unused_count++] = cl->members[i];
    }
    cl->count = kept;
    for (size_t i = 0; i < unused_count; i++)
        member_destroy(unused[i]);
}

// Moves every channel to the member that owns its slot.
static void rebalance(struct cluster *cl)
{
    choose(cl);
    move_unowned(cl);
    for (size_t i = 0; i < cl->count; i++)
        node_channels_each(node_channels(cl->members[i]->node), move_to_owner, cl);
    destroy_unused(cl);
    for (size_t i = 0; i < cl->count; i++)
        node_channels_sort_fresh(node_channels(cl->members[i]->node));
    report_proven(cl);
}

static void on_map(void *ctx, const struct cluster_slots *slots, size_t moved)
{
    struct cluster *cl = ctx;
    if (cl->count == 0)
        log_info("cluster", "the cluster has %zu nodes, replicas among them", slots->node_count);
    else if (moved > 0)
        log_info("cluster", "%zu slots have another owner than before", moved);
    for (size_t i = 0; i < cl->count; i++)
        node_channels_retry_moved(node_channels(cl->members[i]->node));
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
    node_resync_worker(n, *worker, c);
}

// Workers that missed a mail for want of memory are told anew about all their channels.
static void resync_workers(struct cluster *cl)
{
    struct delivery *d = cl->settings.env->delivery;
    for (size_t w = 0; w < d->worker_count; w++)
        if (delivery_resync(d, w))
            for (size_t i = 0; i < cl->count; i++)
                node_channels_each(node_channels(cl->members[i]->node), resync_channel, &w);
}

static void tell_due(void *ctx, struct bus_channel *c)
{
    struct delivery *d = ctx;
    for (size_t w = 0; c->gap_due != 0 && w < d->worker_count; w++)
        delivery_tell_due(d, c, w);
}

static void tell_gaps_due(struct cluster *cl)
{
    struct delivery *d = cl->settings.env->delivery;
    if (!d->gaps_due)
        return;
    d->gaps_due = false;
    for (size_t i = 0; i < cl->count; i++)
        node_channels_each(node_channels(cl->members[i]->node), tell_due, d);
}

void cluster_tick(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        node_retry_memory(cl->members[i]->node);
    cl->settings.env->short_of_memory = false;
    resync_workers(cl);
    tell_gaps_due(cl);
    if (!cl->map)
        return;
    if (!cl->proven || cl->incomplete || cl->settings.env->channels->unowned_count > 0)
        cluster_map_refresh(cl->map, NULL);
    if (is_classic_cluster(cl) && !cl->proven)
        rebalance(cl);
}

static bool open_cluster(struct cluster *cl)
{
    const struct cluster_map_settings map = {
        .url = cl->settings.url, .client_name = cl->settings.env->client_name, .on_map = on_map, .ctx = cl};
    cl->map = cluster_map_create(cl->settings.env->loop, &map);
    return cl->map != NULL;
}

static bool open_server(struct cluster *cl)
{
    struct member *m = member_create(cl, NULL, 0);
    for (size_t i = 0; m && i < CLUSTER_SLOTS; i++)
        cl->owner[i] = m;
    if (m)
        m->slots = CLUSTER_SLOTS;
    return m != NULL;
}

struct cluster *cluster_create(const struct cluster_settings *settings)
{
    struct cluster *cl = calloc(1, sizeof *cl);
    if (!cl)
        return NULL;
    cl->settings = *settings;
    if (settings->url->kind == REDIS_URL_CLUSTER ? open_cluster(cl) : open_server(cl))
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
    cl->count = 0; // so that no member takes over what another has not answered
    for (size_t i = 0; i < count; i++)
        member_destroy(cl->members[i]);
    cluster_map_destroy(cl->map);
    free(cl);
}

bool cluster_want(struct cluster *cl, unsigned worker, struct channel_ref channel)
{
    uint16_t slot = slot_of(cl, channel.name, channel.len);
    struct bus_channel *c = channels_want(cl->settings.env->channels, worker, channel, slot);
    if (!c)
        return false;
    const struct member *m = c->node ? NULL : subscriber_of(cl, slot);
    if (m)
        node_take_channel(m->node, c);
    else if (c->node)
        node_confirm_workers(node_of(c), UINT64_C(1) << worker, c);
    return true;
}

void cluster_unwant(struct cluster *cl, unsigned worker, struct channel_ref channel)
{
    const struct bus_channel *c = channels_find(cl->settings.env->channels, channel);
    struct node *n = c ? node_of(c) : NULL;
    channels_unwant(cl->settings.env->channels, worker, channel, clock_monotonic_ms() + LINGER_MS);
    if (n)
        subscriptions_end_surplus(node_subscriptions(n));
}

bool cluster_history(struct cluster *cl, unsigned worker, struct channel_ref channel,
                     const struct history_query *query)
{
    struct node *n = on_owner(cl, channel.name, channel.len);
    if (n)
        return node_history(n, worker, channel, query);
    delivery_page_lost(cl->settings.env->delivery, worker, query->number);
    return true;
}

void cluster_ask(struct cluster *cl, unsigned worker, struct question *q)
{
    if (cl->settings.env->asks && cl->count > 0)
        questions_ask(node_questions(cl->members[0]->node), worker, q);
    else
        questions_tell(cl->settings.env, worker, q);
}

bool cluster_listen(struct cluster *cl, const char *name, const struct channel_handler *handler, void *ctx)
{
    const struct channel_ref ref = channel_ref(name, strlen(name));
    struct bus_channel *c =
        channels_add_internal(cl->settings.env->channels, ref, slot_of(cl, ref.name, ref.len), handler, ctx);
    if (c)
        move_to_owner(cl, c);
    return c != NULL;
}

void cluster_read(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        node_read(cl->members[i]->node);
}

void cluster_subscribe_fresh(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        node_subscribe_fresh(cl->members[i]->node);
}

void cluster_unsubscribe_expired(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        subscriptions_end_expired(node_subscriptions(cl->members[i]->node));
}

void cluster_retry_denied(struct cluster *cl)
{
    for (size_t i = 0; i < cl->count; i++)
        node_channels_retry_denied(node_channels(cl->members[i]->node));
}

void cluster_fault(const struct cluster *cl, char *out, size_t size)
{
    snprintf(out, size, "%s", cl->proven ? "" : "no node of the cluster is known");
    for (size_t i = 0; !cl->proven && i < cl->count; i++) {
        const struct member *m = cl->members[i];
        if (is_used(cl, m) && !node_is_proven(m->node))
            snprintf(out, size, "%s", node_fault(m->node));
    }
}
