#include "gateway/bus/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "common/log.h"
#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/bus/channels.h"
#include "gateway/bus/node.h"

// One node of the cluster.
struct member {
    struct node *node;
    struct redis_url url; // on a cluster: the node's
    size_t slots;         // that it owns; with none it is let go
};

struct cluster {
    struct cluster_settings settings;
    struct ev_loop *loop;
    struct cluster_map *map; // NULL: there is one server
    struct member *members[CLUSTER_NODES_MAX];
    size_t count;
    struct member *owner[CLUSTER_SLOTS]; // NULL: nobody
    struct member *chosen; // classic Pub/Sub on a cluster: all is subscribed at this node. NULL: nowhere
    struct interest_set unowned; // what is wanted and has no owner
    uint64_t queries;            // as of resume.h
    bool proven;                 // every node that is used
    bool settled;                // every channel is where it belongs
};

static bool is_classic_cluster(const struct cluster *ps)
{
    return ps->map && !ps->settings.sharded;
}

// Where a channel of that slot is subscribed.
static struct member *subscriber_of(const struct cluster *ps, uint16_t slot)
{
    return is_classic_cluster(ps) ? ps->chosen : ps->owner[slot];
}

static struct member *member_of(const struct cluster *ps, const char *name, size_t len)
{
    return subscriber_of(ps, ps->settings.sharded ? cluster_slot(name, len) : 0);
}

// Where its keys are. Where nobody has them, anyone keeps the question until somebody does.
static struct node *on_home(void *ctx, const char *channel, size_t len)
{
    const struct cluster *ps = ctx;
    const struct member *m = ps->owner[cluster_slot(channel, len)];
    if (!m && ps->count > 0)
        m = ps->members[0];
    return m ? m->node : NULL;
}

static bool is_used(const struct cluster *ps, const struct member *m)
{
    return is_classic_cluster(ps) ? m == ps->chosen : m->slots > 0;
}

static void report_proven(struct cluster *ps)
{
    bool proven = !is_classic_cluster(ps) || ps->chosen;
    size_t used = 0;
    for (size_t i = 0; i < ps->count; i++) {
        const struct member *m = ps->members[i];
        used += is_used(ps, m);
        proven = proven && (!is_used(ps, m) || node_is_proven(m->node));
    }
    ps->proven = proven && used > 0;
    ps->settings.on_proven(ps->settings.ctx, ps->proven);
}

static void on_proven(void *ctx)
{
    report_proven(ctx);
}

static const struct redis_endpoint *endpoint_of(const struct cluster *ps, const struct node *p)
{
    for (size_t i = 0; i < ps->count; i++)
        if (ps->members[i]->node == p)
            return &ps->members[i]->url.endpoints[0];
    return NULL;
}

// Called from within the node, so it only asks for a new map.
static void on_doubt(void *ctx, struct node *p, const char *text)
{
    struct cluster *ps = ctx;
    struct cluster_moved moved;
    const struct redis_endpoint *at = node_is_connected(p) ? endpoint_of(ps, p) : NULL;
    struct redis_endpoint to = {0};
    if (text && at && cluster_moved_parse(text, &moved)) {
        to.host = moved.host[0] ? moved.host : at->host;
        to.port = moved.port;
        at = &to;
    }
    cluster_map_refresh(ps->map, at);
}

static void member_destroy(struct member *m)
{
    node_destroy(m->node);
    redis_url_deinit(&m->url);
    free(m);
}

// Adds `node` of the cluster, or to the one server there is.
static struct member *member_create(struct cluster *ps, const struct redis_endpoint *node,
                                    uint16_t canary_slot)
{
    const struct cluster_settings *s = &ps->settings;
    struct member *m = ps->count < CLUSTER_NODES_MAX ? calloc(1, sizeof *m) : NULL;
    if (!m || (node && !cluster_node_url(s->url, node, &m->url))) {
        free(m);
        return NULL;
    }
    const struct node_settings settings = {.url = node ? &m->url : s->url,
                                           .client_name = s->client_name,
                                           .max_message = s->max_message,
                                           .sharded = s->sharded,
                                           .canary_slot = canary_slot,
                                           .alone = !ps->map,
                                           .durable = s->durable,
                                           .durable_count = s->durable_count,
                                           .delivery = s->delivery,
                                           .counters = s->counters,
                                           .queries = &ps->queries,
                                           .on_proven = on_proven,
                                           .on_doubt = ps->map ? on_doubt : NULL,
                                           .home = ps->map ? on_home : NULL,
                                           .ctx = ps};
    m->node = node_create(ps->loop, &settings);
    if (!m->node) {
        member_destroy(m);
        return NULL;
    }
    ps->members[ps->count++] = m;
    return m;
}

static struct member *member_at(struct cluster *ps, const struct redis_endpoint *node, uint16_t canary_slot)
{
    for (size_t i = 0; i < ps->count; i++)
        if (cluster_endpoint_equal(&ps->members[i]->url.endpoints[0], node))
            return ps->members[i];
    return member_create(ps, node, canary_slot);
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

static void own_nothing(struct cluster *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        ps->members[i]->slots = 0;
    memset(ps->owner, 0, sizeof ps->owner);
}

// The member for a node of the map; its canary is published in a slot of that node.
static struct member *member_for(struct cluster *ps, const struct cluster_slots *slots, uint16_t node)
{
    uint16_t canary_slot = middle_slot(slots, node);
    struct member *m = member_at(ps, &slots->nodes[node], canary_slot);
    if (m && ps->settings.sharded && slots->owner[node_canary_slot(m->node)] != node)
        node_move_canary(m->node, canary_slot);
    return m;
}

// Gives each slot to the member of its owner.
static void assign(struct cluster *ps, const struct cluster_slots *slots)
{
    struct member *of_node[CLUSTER_NODES_MAX] = {NULL};
    own_nothing(ps);
    for (size_t i = 0; i < CLUSTER_SLOTS; i++) {
        uint16_t node = slots->owner[i];
        if (node == CLUSTER_NOBODY)
            continue;
        if (!of_node[node])
            of_node[node] = member_for(ps, slots, node);
        ps->owner[i] = of_node[node];
        if (of_node[node])
            of_node[node]->slots++;
    }
}

// Classic Pub/Sub: stays with a node that owns something, and goes to one that is known to deliver when it
// does not. Any would do, so the gateways spread over them.
static void choose(struct cluster *ps)
{
    size_t start = ps->count ? jitter_seed() % ps->count : 0;
    if (!is_classic_cluster(ps))
        return;
    if (ps->chosen && ps->chosen->slots > 0 && node_is_proven(ps->chosen->node))
        return;
    for (size_t i = 0; i < ps->count; i++) {
        struct member *m = ps->members[(start + i) % ps->count];
        bool better = !ps->chosen || ps->chosen->slots == 0 || node_is_proven(m->node);
        if (m->slots > 0 && better)
            ps->chosen = m;
    }
    if (ps->chosen && ps->chosen->slots == 0)
        ps->chosen = NULL;
}

// Moves what does not belong to `m` any more.
static bool send_home(struct cluster *ps, struct member *m)
{
    size_t count;
    struct interest **all = interest_list_all(node_wanted(m->node), &count);
    bool ok = all != NULL;
    for (size_t i = 0; all && i < count; i++) {
        const struct member *home = subscriber_of(ps, all[i]->slot);
        if (home != m && !node_is_canary(all[i]))
            ok = node_hand_over(m->node, all[i], home ? node_wanted(home->node) : &ps->unowned) && ok;
    }
    free(all);
    return ok;
}

static bool place_unowned(struct cluster *ps)
{
    size_t count;
    struct interest **all = interest_list_all(&ps->unowned, &count);
    bool ok = all != NULL;
    for (size_t i = 0; all && i < count; i++) {
        const struct member *home = subscriber_of(ps, all[i]->slot);
        if (home)
            ok = interest_move(&ps->unowned, node_wanted(home->node), all[i]) && ok;
    }
    free(all);
    return ok;
}

// Paths to nodes that own nothing go. What they have not answered yet goes to the others, which are known by
// then.
static void let_go(struct cluster *ps)
{
    struct member *gone[CLUSTER_NODES_MAX];
    size_t kept = 0, gone_count = 0;
    for (size_t i = 0; i < ps->count; i++) {
        if (ps->members[i]->slots > 0)
            ps->members[kept++] = ps->members[i];
        else
            gone[gone_count++] = ps->members[i];
    }
    ps->count = kept;
    for (size_t i = 0; i < gone_count; i++)
        member_destroy(gone[i]);
}

// Moves every channel to the member that owns its slot.
static void settle(struct cluster *ps)
{
    choose(ps);
    bool ok = place_unowned(ps);
    for (size_t i = 0; i < ps->count; i++)
        ok = send_home(ps, ps->members[i]) && ok;
    if (ok)
        let_go(ps);
    else
        log_error("bus", "out of memory: channels wait for their node");
    ps->settled = ok;
    for (size_t i = 0; i < ps->count; i++)
        node_welcome(ps->members[i]->node);
    report_proven(ps);
}

static void on_map(void *ctx, const struct cluster_slots *slots, size_t moved)
{
    struct cluster *ps = ctx;
    if (ps->count == 0)
        log_info("cluster", "the cluster has %zu nodes, replicas among them", slots->node_count);
    else if (moved > 0)
        log_info("cluster", "%zu slots have another owner than before", moved);
    for (size_t i = 0; i < ps->count; i++)
        node_retry_moved(ps->members[i]->node);
    if (moved > 0)
        assign(ps, slots);
    if (moved > 0 || !ps->settled)
        settle(ps);
}

void cluster_look_after(struct cluster *ps)
{
    if (!ps->map)
        return;
    if (!ps->proven || ps->unowned.map.count > 0)
        cluster_map_refresh(ps->map, NULL);
    if (!ps->settled || (is_classic_cluster(ps) && !ps->proven))
        settle(ps);
}

static bool open_cluster(struct cluster *ps)
{
    const struct cluster_map_settings map = {
        .url = ps->settings.url, .client_name = ps->settings.client_name, .on_map = on_map, .ctx = ps};
    ps->map = cluster_map_create(ps->loop, &map);
    ps->settled = true;
    return ps->map != NULL;
}

static bool open_server(struct cluster *ps)
{
    struct member *m = member_create(ps, NULL, 0);
    for (size_t i = 0; m && i < CLUSTER_SLOTS; i++)
        ps->owner[i] = m;
    if (m)
        m->slots = CLUSTER_SLOTS;
    return m != NULL;
}

struct cluster *cluster_create(struct ev_loop *loop, const struct cluster_settings *settings)
{
    struct cluster *ps = calloc(1, sizeof *ps);
    if (!ps)
        return NULL;
    ps->settings = *settings;
    ps->loop = loop;
    interest_init(&ps->unowned);
    if (settings->url->kind == REDIS_URL_CLUSTER ? open_cluster(ps) : open_server(ps))
        return ps;
    cluster_destroy(ps);
    return NULL;
}

void cluster_destroy(struct cluster *ps)
{
    if (!ps)
        return;
    own_nothing(ps);
    size_t count = ps->count;
    ps->count = 0; // nobody is at home for what is not answered
    for (size_t i = 0; i < count; i++)
        member_destroy(ps->members[i]);
    cluster_map_destroy(ps->map);
    interest_deinit(&ps->unowned);
    free(ps);
}

void cluster_want(struct cluster *ps, unsigned worker, const struct channel_name *name)
{
    const struct member *m = member_of(ps, name->text, name->len);
    if (m) {
        node_want(m->node, worker, name);
        return;
    }
    struct interest *i = interest_want(&ps->unowned, worker, name->hash, name->text, name->len);
    if (i)
        i->slot = ps->settings.sharded ? cluster_slot(name->text, name->len) : 0;
    else
        log_error("bus", "out of memory: channel %.*s is not subscribed", (int)name->len, name->text);
}

void cluster_unwant(struct cluster *ps, unsigned worker, const struct channel_name *name)
{
    const struct member *m = member_of(ps, name->text, name->len);
    if (m)
        node_unwant(m->node, worker, name);
    else
        interest_unwant(&ps->unowned, worker, name->hash, name->text, name->len, 0); // goes at once
}

void cluster_history(struct cluster *ps, unsigned worker, const struct channel_name *name)
{
    struct node *home = on_home(ps, name->text, name->len);
    if (home)
        node_history(home, worker, name);
}

struct interest *cluster_find(const struct cluster *ps, uint64_t hash, const char *name, size_t len)
{
    const struct member *m = member_of(ps, name, len);
    return m ? node_find(m->node, hash, name, len) : interest_find(&ps->unowned, hash, name, len);
}

void cluster_subscribe_fresh(struct cluster *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        node_subscribe_fresh(ps->members[i]->node);
}

void cluster_unsubscribe_expired(struct cluster *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        node_unsubscribe_expired(ps->members[i]->node);
}

void cluster_retry_denied(struct cluster *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        node_retry_denied(ps->members[i]->node);
}

size_t cluster_bytes(const struct cluster *ps)
{
    size_t bytes = interest_bytes(&ps->unowned);
    for (size_t i = 0; i < ps->count; i++)
        bytes += node_bytes(ps->members[i]->node);
    return bytes;
}
