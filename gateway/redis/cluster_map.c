#include "gateway/redis/cluster_map.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "common/log.h"
#include "gateway/redis/deadline.h"
#include "gateway/redis/redis_conn.h"

// The largest answer: a cluster whose every slot is a range of its own, with a master and five replicas.
#define BULK_MAX (1u << 20)
#define ELEMENTS_MAX (CLUSTER_SLOTS * (3u + 6u * 5u))
#define REPLY_MAX (16u << 20)
// Milliseconds between two queries, so that a thousand channels that move cause one query.
#define PAUSE_MS 100u
// Bounds the wait for an answer. In the first round dead nodes should not delay the others for long.
#define ANSWER_WITHIN_MS 1000u
#define FIRST_ANSWER_WITHIN_MS 300u
#define EVERY_MS 10000u
#define ROUNDS_FAST 10u
#define PAUSE_MAX_MS 1000u
// Time after which an epoch that no node has named is forgotten: the cluster was made anew.
#define EPOCH_KEPT_MS 10000u

struct cluster_map {
    struct cluster_map_settings settings;
    struct ev_loop *loop;
    struct cluster_slots slots;
    struct redis_conn *conn;   // to `asked`, NULL at first
    struct redis_url url;      // the same, for the connection
    struct redis_address hint; // the node to ask next; no host: the next in turn
    struct deadline deadline;
    size_t next;   // of the candidates: the nodes of the URL, then those of the map
    bool asking;   // a question is out, or waits for the connection
    bool wanted;   // ask again, once this is answered
    bool answered; // the node of `conn` gave the map that is in force
    bool state_ok; // the answer to CLUSTER INFO, which comes before that to CLUSTER SLOTS
    unsigned long epoch, epoch_said;
    uint64_t accepted_at; // when a node's map was accepted
    uint64_t random;
    unsigned failures; // since a node's map was accepted
    bool said_failed;  // it was logged
};

bool cluster_node_url(const struct redis_url *cluster, const struct redis_address *node,
                      struct redis_url *out)
{
    *out = (struct redis_url){.kind = cluster->tls ? REDIS_URL_TLS : REDIS_URL_TCP,
                              .tls = cluster->tls,
                              .tls_files = cluster->tls_files,
                              .tls_context = cluster->tls_context};
    out->endpoints = calloc(1, sizeof *out->endpoints);
    bool ok = out->endpoints != NULL;
    if (ok) {
        out->endpoint_count = 1;
        out->endpoints[0] = *node;
    }
    if (ok && cluster->user)
        ok = (out->user = strdup(cluster->user)) != NULL;
    if (ok && cluster->password)
        ok = (out->password = strdup(cluster->password)) != NULL;
    if (!ok)
        redis_url_deinit(out);
    return ok;
}

static void set_timer(struct cluster_map *m, uint32_t ms)
{
    deadline_set(&m->deadline, ms / 1000.0);
}

// The nodes of the URL, and those of the map.
static size_t candidate_count(const struct cluster_map *m)
{
    return m->settings.url->endpoint_count + m->slots.node_count;
}

// Goes on to another node, unless a newer question has been asked for.
static void give_up(struct cluster_map *m, const char *why)
{
    const struct redis_address *at = &m->url.endpoints[0];
    if (!m->said_failed)
        log_warn("cluster", "%s:%u does not tell who owns which slot: %s; asking the others", at->host,
                 at->port, why);
    else
        log_debug("cluster", "%s:%u: %s", at->host, at->port, why);
    m->said_failed = true;
    m->asking = m->answered = false;
    m->wanted = true;
    // Slower after many rounds in vain.
    size_t rounds = m->failures++ / candidate_count(m);
    set_timer(m, jitter_ms(&m->random, rounds > ROUNDS_FAST ? PAUSE_MAX_MS : PAUSE_MS));
}

static void on_ready(void *ctx)
{
    struct cluster_map *m = ctx;
    const char *info[] = {"CLUSTER", "INFO"}, *slots[] = {"CLUSTER", "SLOTS"};
    m->state_ok = false;
    if (m->asking && (!redis_conn_send(m->conn, 2, info, NULL) || !redis_conn_send(m->conn, 2, slots, NULL)))
        give_up(m, "out of memory");
}

static void read_info(struct cluster_map *m, const char *text)
{
    const char *epoch = strstr(text, "cluster_current_epoch:");
    m->state_ok = strstr(text, "cluster_state:ok") != NULL;
    m->epoch_said = epoch ? strtoul(epoch + strlen("cluster_current_epoch:"), NULL, 10) : 0;
}

static void accept_map(struct cluster_map *m, struct cluster_slots *slots)
{
    assert(m->asking && slots->node_count > 0);
    size_t moved = cluster_slots_diff(&m->slots, slots);
    cluster_slots_deinit(&m->slots);
    m->slots = *slots;
    m->epoch = m->epoch_said;
    m->accepted_at = clock_monotonic_ms();
    m->asking = m->said_failed = false;
    m->failures = 0;
    m->answered = true;
    set_timer(m, m->wanted ? PAUSE_MS : jitter_ms(&m->random, EVERY_MS));
    m->settings.on_map(m->settings.ctx, &m->slots, moved);
}

static void read_slots(struct cluster_map *m, const redisReply *reply)
{
    static struct cluster_slots slots; // the bus thread's alone, and large
    if (clock_monotonic_ms() - m->accepted_at > EPOCH_KEPT_MS)
        m->epoch = 0;
    if (!m->state_ok)
        give_up(m, "it calls the cluster down");
    else if (m->epoch_said < m->epoch)
        give_up(m, "what it knows is old");
    else if (!cluster_slots_read(&slots, reply, m->url.endpoints[0].host))
        give_up(m, "its answer makes no sense");
    else if (slots.node_count == 0)
        give_up(m, "it knows no node");
    else
        accept_map(m, &slots);
}

static bool on_reply(void *ctx, void *r)
{
    struct cluster_map *m = ctx;
    redisReply *reply = r;
    // The type tells the answers apart: CLUSTER SLOTS an array, CLUSTER INFO a string, PING a status.
    if (m->asking && reply->type == REDIS_REPLY_STRING)
        read_info(m, reply->str);
    else if (m->asking && reply->type == REDIS_REPLY_ARRAY)
        read_slots(m, reply);
    else if (m->asking && reply->type == REDIS_REPLY_ERROR)
        give_up(m, reply->str);
    freeReplyObject(reply);
    return true;
}

static void on_fault(void *ctx, const char *why)
{
    struct cluster_map *m = ctx;
    if (m->asking)
        give_up(m, why);
}

static void on_down(void *ctx)
{
    struct cluster_map *m = ctx;
    if (m->asking)
        give_up(m, "the connection is lost");
    m->answered = false;
}

// The node to ask: the one that was named as an owner, the one that gave the last map, or the next in turn.
static const struct redis_address *pick(struct cluster_map *m)
{
    const struct redis_url *seeds = m->settings.url;
    if (m->hint.host[0])
        return &m->hint;
    if (m->answered)
        return &m->url.endpoints[0];
    size_t i = m->next++ % candidate_count(m);
    return i < seeds->endpoint_count ? &seeds->endpoints[i] : &m->slots.nodes[i - seeds->endpoint_count];
}

static bool connect_to(struct cluster_map *m, const struct redis_address *node)
{
    if (m->conn && m->answered && redis_address_equal(node, &m->url.endpoints[0]))
        return true;
    struct redis_url url;
    if (!cluster_node_url(m->settings.url, node, &url))
        return false;
    redis_conn_destroy(m->conn);
    redis_url_deinit(&m->url);
    m->url = url;
    const struct redis_conn_settings conn = {
        .url = &m->url,
        .purpose = "cluster map",
        .client_name = m->settings.client_name,
        .quiet = true,
        // A string that is skipped is no answer: the next node is asked when the time is over.
        .limits = {.bulk = BULK_MAX, .elements = ELEMENTS_MAX, .bytes = REPLY_MAX},
        .on_ready = on_ready,
        .on_reply = on_reply,
        .on_fault = on_fault,
        .on_down = on_down,
        .ctx = m};
    m->conn = redis_conn_create(m->loop, &conn);
    return m->conn != NULL;
}

static void ask(struct cluster_map *m)
{
    bool ok = connect_to(m, pick(m));
    m->hint.host[0] = '\0';
    m->wanted = false;
    if (!ok) {
        log_error("cluster", "out of memory: asking for the map of slots again later");
        m->wanted = true;
        m->answered = false;
        set_timer(m, ANSWER_WITHIN_MS);
        return;
    }
    m->asking = true;
    set_timer(m, m->failures < candidate_count(m) ? FIRST_ANSWER_WITHIN_MS : ANSWER_WITHIN_MS);
    if (redis_conn_is_ready(m->conn))
        on_ready(m);
}

// From the loop, never from within a callback of the connection: it may be replaced here.
static void on_deadline(void *ctx)
{
    struct cluster_map *m = ctx;
    if (m->asking && deadline_extend(&m->deadline))
        return;
    if (m->asking)
        give_up(m, "no answer in time");
    else
        ask(m);
}

void cluster_map_refresh(struct cluster_map *m, const struct redis_address *hint)
{
    if (hint && !m->hint.host[0])
        m->hint = *hint;
    if (m->wanted)
        return;
    m->wanted = true;
    if (!m->asking)
        set_timer(m, PAUSE_MS);
}

struct cluster_map *cluster_map_create(struct ev_loop *loop, const struct cluster_map_settings *settings)
{
    struct cluster_map *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->settings = *settings;
    m->loop = loop;
    m->random = jitter_seed();
    m->next = settings->url->endpoint_count ? jitter_next(&m->random) % settings->url->endpoint_count : 0;
    m->wanted = true;
    cluster_slots_init(&m->slots);
    deadline_init(&m->deadline, loop, on_deadline, m);
    deadline_set(&m->deadline, 0.);
    return m;
}

void cluster_map_destroy(struct cluster_map *m)
{
    if (!m)
        return;
    deadline_stop(&m->deadline);
    redis_conn_destroy(m->conn);
    redis_url_deinit(&m->url);
    cluster_slots_deinit(&m->slots);
    free(m);
}
