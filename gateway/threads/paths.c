#include "gateway/threads/paths.h"

#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "common/log.h"
#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/interest.h"
#include "gateway/threads/path.h"

// A path to one node.
struct member {
    struct path *path;
    struct redis_url url; // on a cluster: the node's
    size_t slots;         // that it owns; with none it is let go
};

struct paths {
    struct paths_settings settings;
    struct ev_loop *loop;
    struct cluster_map *map; // NULL: there is one server
    struct member *members[CLUSTER_NODES_MAX];
    size_t count;
    struct member *owner[CLUSTER_SLOTS]; // NULL: nobody
    struct member *chosen; // classic Pub/Sub on a cluster: all is subscribed at this node. NULL: nowhere
    struct interest_set homeless; // what is wanted and has no owner
    uint64_t questions;           // as of recall.h
    bool proven;                  // every path that is used
    bool settled;                 // every channel is where it belongs
};

static bool is_classic_cluster(const struct paths *ps)
{
    return ps->map && !ps->settings.sharded;
}

// Where a channel of that slot is subscribed.
static struct member *subscriber_of(const struct paths *ps, uint16_t slot)
{
    return is_classic_cluster(ps) ? ps->chosen : ps->owner[slot];
}

static struct member *member_of(const struct paths *ps, const char *name, size_t len)
{
    return subscriber_of(ps, ps->settings.sharded ? cluster_slot(name, len) : 0);
}

// Where its keys are. Where nobody has them, anyone keeps the question until somebody does.
static struct path *on_home(void *ctx, const char *channel, size_t len)
{
    const struct paths *ps = ctx;
    const struct member *m = ps->owner[cluster_slot(channel, len)];
    if (!m && ps->count > 0)
        m = ps->members[0];
    return m ? m->path : NULL;
}

static bool is_used(const struct paths *ps, const struct member *m)
{
    return is_classic_cluster(ps) ? m == ps->chosen : m->slots > 0;
}

static void report_proven(struct paths *ps)
{
    bool proven = !is_classic_cluster(ps) || ps->chosen;
    size_t used = 0;
    for (size_t i = 0; i < ps->count; i++) {
        const struct member *m = ps->members[i];
        used += is_used(ps, m);
        proven = proven && (!is_used(ps, m) || path_is_proven(m->path));
    }
    ps->proven = proven && used > 0;
    ps->settings.on_proven(ps->settings.ctx, ps->proven);
}

static void on_proven(void *ctx)
{
    report_proven(ctx);
}

static const struct redis_endpoint *endpoint_of(const struct paths *ps, const struct path *p)
{
    for (size_t i = 0; i < ps->count; i++)
        if (ps->members[i]->path == p)
            return &ps->members[i]->url.endpoints[0];
    return NULL;
}

// Called from within the path: what follows from it waits for the map.
static void on_doubt(void *ctx, struct path *p, const char *text)
{
    struct paths *ps = ctx;
    struct cluster_moved moved;
    const struct redis_endpoint *at = path_is_connected(p) ? endpoint_of(ps, p) : NULL;
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
    path_destroy(m->path);
    redis_url_deinit(&m->url);
    free(m);
}

// Adds a path: to `node` of the cluster, or to the one server there is.
static struct member *member_create(struct paths *ps, const struct redis_endpoint *node, uint16_t canary_slot)
{
    const struct paths_settings *s = &ps->settings;
    struct member *m = ps->count < CLUSTER_NODES_MAX ? calloc(1, sizeof *m) : NULL;
    if (!m || (node && !cluster_node_url(s->url, node, &m->url))) {
        free(m);
        return NULL;
    }
    const struct path_settings path = {.url = node ? &m->url : s->url,
                                       .client_name = s->client_name,
                                       .max_message = s->max_message,
                                       .sharded = s->sharded,
                                       .canary_slot = canary_slot,
                                       .alone = !ps->map,
                                       .durable = s->durable,
                                       .durable_count = s->durable_count,
                                       .delivery = s->delivery,
                                       .counters = s->counters,
                                       .questions = &ps->questions,
                                       .on_proven = on_proven,
                                       .on_doubt = ps->map ? on_doubt : NULL,
                                       .home = ps->map ? on_home : NULL,
                                       .ctx = ps};
    m->path = path_create(ps->loop, &path);
    if (!m->path) {
        member_destroy(m);
        return NULL;
    }
    ps->members[ps->count++] = m;
    return m;
}

static struct member *member_at(struct paths *ps, const struct redis_endpoint *node, uint16_t canary_slot)
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

static void own_nothing(struct paths *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        ps->members[i]->slots = 0;
    memset(ps->owner, 0, sizeof ps->owner);
}

// The path to a node of the map, whose canary flies in a slot of that node.
static struct member *member_for(struct paths *ps, const struct cluster_slots *slots, uint16_t node)
{
    uint16_t canary_slot = middle_slot(slots, node);
    struct member *m = member_at(ps, &slots->nodes[node], canary_slot);
    if (m && ps->settings.sharded && slots->owner[path_canary_slot(m->path)] != node)
        path_move_canary(m->path, canary_slot);
    return m;
}

// Each slot to the path of its owner.
static void assign(struct paths *ps, const struct cluster_slots *slots)
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
static void choose(struct paths *ps)
{
    size_t start = ps->count ? jitter_seed() % ps->count : 0;
    if (!is_classic_cluster(ps))
        return;
    if (ps->chosen && ps->chosen->slots > 0 && path_is_proven(ps->chosen->path))
        return;
    for (size_t i = 0; i < ps->count; i++) {
        struct member *m = ps->members[(start + i) % ps->count];
        bool better = !ps->chosen || ps->chosen->slots == 0 || path_is_proven(m->path);
        if (m->slots > 0 && better)
            ps->chosen = m;
    }
    if (ps->chosen && ps->chosen->slots == 0)
        ps->chosen = NULL;
}

// Moves what does not belong to `m` any more.
static bool send_home(struct paths *ps, struct member *m)
{
    size_t count;
    struct interest **all = interest_list_all(path_wanted(m->path), &count);
    bool ok = all != NULL;
    for (size_t i = 0; all && i < count; i++) {
        const struct member *home = subscriber_of(ps, all[i]->slot);
        if (home != m && !path_is_canary(all[i]))
            ok = path_hand_over(m->path, all[i], home ? path_wanted(home->path) : &ps->homeless) && ok;
    }
    free(all);
    return ok;
}

static bool house_homeless(struct paths *ps)
{
    size_t count;
    struct interest **all = interest_list_all(&ps->homeless, &count);
    bool ok = all != NULL;
    for (size_t i = 0; all && i < count; i++) {
        const struct member *home = subscriber_of(ps, all[i]->slot);
        if (home)
            ok = interest_move(&ps->homeless, path_wanted(home->path), all[i]) && ok;
    }
    free(all);
    return ok;
}

// Paths to nodes that own nothing go. What they have not answered yet goes to the others, which are known by
// then.
static void let_go(struct paths *ps)
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

// Brings every channel to the path that it belongs to.
static void settle(struct paths *ps)
{
    choose(ps);
    bool ok = house_homeless(ps);
    for (size_t i = 0; i < ps->count; i++)
        ok = send_home(ps, ps->members[i]) && ok;
    if (ok)
        let_go(ps);
    else
        log_error("bus", "out of memory: channels wait for their path to Redis");
    ps->settled = ok;
    for (size_t i = 0; i < ps->count; i++)
        path_welcome(ps->members[i]->path);
    report_proven(ps);
}

static void on_map(void *ctx, const struct cluster_slots *slots, size_t moved)
{
    struct paths *ps = ctx;
    if (ps->count == 0)
        log_info("cluster", "the cluster has %zu nodes, replicas among them", slots->node_count);
    else if (moved > 0)
        log_info("cluster", "%zu slots have another owner than before", moved);
    for (size_t i = 0; i < ps->count; i++)
        path_retry_strayed(ps->members[i]->path);
    if (moved > 0)
        assign(ps, slots);
    if (moved > 0 || !ps->settled)
        settle(ps);
}

void paths_look_after(struct paths *ps)
{
    if (!ps->map)
        return;
    if (!ps->proven || ps->homeless.map.count > 0)
        cluster_map_refresh(ps->map, NULL);
    if (!ps->settled || (is_classic_cluster(ps) && !ps->proven))
        settle(ps);
}

static bool open_cluster(struct paths *ps)
{
    const struct cluster_map_settings map = {
        .url = ps->settings.url, .client_name = ps->settings.client_name, .on_map = on_map, .ctx = ps};
    ps->map = cluster_map_create(ps->loop, &map);
    ps->settled = true;
    return ps->map != NULL;
}

static bool open_server(struct paths *ps)
{
    struct member *m = member_create(ps, NULL, 0);
    for (size_t i = 0; m && i < CLUSTER_SLOTS; i++)
        ps->owner[i] = m;
    if (m)
        m->slots = CLUSTER_SLOTS;
    return m != NULL;
}

struct paths *paths_create(struct ev_loop *loop, const struct paths_settings *settings)
{
    struct paths *ps = calloc(1, sizeof *ps);
    if (!ps)
        return NULL;
    ps->settings = *settings;
    ps->loop = loop;
    interest_init(&ps->homeless);
    if (settings->url->kind == REDIS_URL_CLUSTER ? open_cluster(ps) : open_server(ps))
        return ps;
    paths_destroy(ps);
    return NULL;
}

void paths_destroy(struct paths *ps)
{
    if (!ps)
        return;
    own_nothing(ps);
    size_t count = ps->count;
    ps->count = 0; // nobody is at home for what is not answered
    for (size_t i = 0; i < count; i++)
        member_destroy(ps->members[i]);
    cluster_map_destroy(ps->map);
    interest_deinit(&ps->homeless);
    free(ps);
}

void paths_want(struct paths *ps, unsigned worker, const struct channel_name *name)
{
    const struct member *m = member_of(ps, name->text, name->len);
    if (m) {
        path_want(m->path, worker, name);
        return;
    }
    struct interest *i = interest_want(&ps->homeless, worker, name->hash, name->text, name->len);
    if (i)
        i->slot = ps->settings.sharded ? cluster_slot(name->text, name->len) : 0;
    else
        log_error("bus", "out of memory: channel %.*s is not subscribed", (int)name->len, name->text);
}

void paths_unwant(struct paths *ps, unsigned worker, const struct channel_name *name)
{
    const struct member *m = member_of(ps, name->text, name->len);
    if (m)
        path_unwant(m->path, worker, name);
    else
        interest_unwant(&ps->homeless, worker, name->hash, name->text, name->len, 0); // goes at once
}

void paths_history(struct paths *ps, unsigned worker, const struct channel_name *name)
{
    struct path *home = on_home(ps, name->text, name->len);
    if (home)
        path_history(home, worker, name);
}

struct interest *paths_find(const struct paths *ps, uint64_t hash, const char *name, size_t len)
{
    const struct member *m = member_of(ps, name, len);
    return m ? path_find(m->path, hash, name, len) : interest_find(&ps->homeless, hash, name, len);
}

void paths_subscribe_fresh(struct paths *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        path_subscribe_fresh(ps->members[i]->path);
}

void paths_unsubscribe_expired(struct paths *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        path_unsubscribe_expired(ps->members[i]->path);
}

void paths_retry_denied(struct paths *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        path_retry_denied(ps->members[i]->path);
}

size_t paths_bytes(const struct paths *ps)
{
    size_t bytes = interest_bytes(&ps->homeless);
    for (size_t i = 0; i < ps->count; i++)
        bytes += path_bytes(ps->members[i]->path);
    return bytes;
}
