#include "gateway/redis/redis_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "common/log.h"
#include "gateway/redis/redis_link.h"
#include "gateway/redis/redis_reader.h"
#include "gateway/redis/redis_discovery.h"

#define CONNECT_TIMEOUT_S 3.0
// Silence of PING_AFTER_S is broken by a PING; no byte for DEAD_AFTER_S is a dead server, noticed at the next
// PING.
#define PING_AFTER_S 3.0
#define DEAD_AFTER_S 9.0
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u
#define REASONS_MAX 8 // that are told apart in one outage

enum conn_state { CONN_DOWN, CONN_ASKING, CONN_OPENING, CONN_GREETING, CONN_READY };

struct redis_conn {
    struct redis_conn_settings settings;
    struct ev_loop *loop;
    struct redis_discovery *discovery;
    struct redis_discovery_client discovery_client;
    struct redis_link link;
    ev_timer
        timer; // DOWN: backoff; OPENING, GREETING: timeout; READY: silence. ASKING: the route has its own
    enum conn_state state;
    struct redis_reader reader;
    unsigned greetings; // replies to AUTH, SELECT, ROLE and CLIENT SETNAME that are still to come
    uint32_t backoff_ms;
    uint64_t random;
    uint32_t said[REASONS_MAX]; // hashes of what the log has of this outage
    unsigned said_count;
    char where[256];
};

// While greeting, replies are plain, and read as ordinary objects.
static bool reader_reset(struct redis_conn *c, bool greeting)
{
    const struct redis_conn_settings *s = &c->settings;
    return redis_reader_reset(&c->reader, greeting ? NULL : s->functions, s->ctx, s->max_bulk);
}

static void set_timer(struct redis_conn *c, double in_s)
{
    ev_timer_stop(c->loop, &c->timer);
    ev_timer_set(&c->timer, in_s, 0.);
    ev_timer_start(c->loop, &c->timer);
}

// Each reason once per outage: the same line every second helps nobody.
static bool is_news(struct redis_conn *c, const char *why)
{
    uint32_t hash = 2166136261u; // FNV-1a
    for (const char *at = why; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    for (unsigned i = 0; i < c->said_count; i++)
        if (c->said[i] == hash)
            return false;
    if (c->said_count == REASONS_MAX)
        return false;
    c->said[c->said_count++] = hash;
    return true;
}

static void conn_down(struct redis_conn *c, const char *why)
{
    bool was_ready = c->state == CONN_READY;
    redis_link_close(&c->link);
    c->state = CONN_DOWN;
    c->backoff_ms = was_ready                            ? BACKOFF_MIN_MS
                    : c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : c->backoff_ms * 2;
    if (is_news(c, why)) {
        if (c->settings.quiet)
            log_debug("redis", "%s connection to %s: %s", c->settings.purpose, c->where, why);
        else
            log_warn("redis", "%s connection to %s: %s; trying again until it works", c->settings.purpose,
                     c->where, why);
    }
    // Evenly from half the backoff to all of it.
    set_timer(c, jitter_ms(&c->random, c->backoff_ms / 2) / 1000.0);
    if (was_ready)
        c->settings.on_down(c->settings.ctx);
    else if (c->settings.on_fault)
        c->settings.on_fault(c->settings.ctx, why);
}

static void conn_ready(struct redis_conn *c)
{
    char address[sizeof c->link.address.host + 16] = "", at[sizeof address + 8] = "";
    if (!reader_reset(c, false)) {
        conn_down(c, "out of memory");
        return;
    }
    c->state = CONN_READY;
    c->backoff_ms = BACKOFF_MIN_MS;
    redis_address_describe(&c->link.address, address, sizeof address);
    if (redis_discovery_wants_master(c->discovery))
        snprintf(at, sizeof at, ", at %s", address);
    if (c->settings.quiet)
        log_debug("redis", "%s connection to %s is up%s", c->settings.purpose, c->where, at);
    else
        log_info("redis", "%s connection to %s is up%s", c->settings.purpose, c->where, at);
    c->said_count = 0;
    set_timer(c, PING_AFTER_S);
    c->settings.on_ready(c->settings.ctx);
}

static bool greet_with(struct redis_conn *c, int argc, const char **argv)
{
    c->greetings++;
    return redis_link_send(&c->link, argc, argv, NULL);
}

// AUTH, SELECT, ROLE, CLIENT SETNAME, as needed; all are sent at once, and every reply is awaited.
static bool greet(struct redis_conn *c)
{
    const struct redis_url *url = c->settings.url;
    // Without a user in the form that servers before Redis 6 know, too.
    const char *with_user[] = {"AUTH", url->user, url->password};
    const char *without[] = {"AUTH", url->password};
    char db[16];
    snprintf(db, sizeof db, "%u", url->db);
    const char *select[] = {"SELECT", db};
    const char *role[] = {"ROLE"};
    const char *name[] = {"CLIENT", "SETNAME", c->settings.client_name};
    c->greetings = 0;
    if (url->password && !(url->user ? greet_with(c, 3, with_user) : greet_with(c, 2, without)))
        return false;
    if (url->db != 0 && !greet_with(c, 2, select))
        return false;
    if (redis_discovery_wants_master(c->discovery) && !greet_with(c, 1, role))
        return false;
    return greet_with(c, 3, name);
}

static void on_open(void *ctx)
{
    struct redis_conn *c = ctx;
    c->state = CONN_GREETING;
    if (!reader_reset(c, true) || !greet(c))
        conn_down(c, "out of memory");
}

// What ROLE says: ["master", ..], ["slave", ..] or ["sentinel", ..].
static bool is_master(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_STRING && strcmp(reply->element[0]->str, "master") == 0;
}

static void on_greeting(struct redis_conn *c, redisReply *reply)
{
    char why[REDIS_HOST_SIZE + 256] = "", address[REDIS_HOST_SIZE + 16];
    bool last = c->greetings == 1, role = c->greetings == 2 && redis_discovery_wants_master(c->discovery);
    redis_address_describe(&c->link.address, address, sizeof address);
    // The last one is SETNAME, a courtesy that an ACL may forbid; only a missing password makes its refusal
    // matter.
    if (reply->type == REDIS_REPLY_ERROR && (!last || strncmp(reply->str, "NOAUTH", 6) == 0))
        snprintf(why, sizeof why, "Redis refuses: %.200s", reply->str);
    else if (role && !is_master(reply))
        snprintf(why, sizeof why, "%s is named as the master, but says that it is not", address);
    freeReplyObject(reply);
    if (why[0])
        conn_down(c, why);
    else if (--c->greetings == 0)
        conn_ready(c);
}

static void on_reply(struct redis_conn *c, void *reply)
{
    if (c->state == CONN_GREETING)
        on_greeting(c, reply);
    else if (!c->settings.on_reply(c->settings.ctx, reply))
        conn_down(c, "an answer that makes no sense");
}

// Feeds one piece and acts on every whole reply.
static void on_bytes(void *ctx, const char *bytes, size_t len)
{
    struct redis_conn *c = ctx;
    if (!redis_reader_feed(&c->reader, bytes, len)) {
        conn_down(c, c->reader.error);
        return;
    }
    while (c->state >= CONN_GREETING) {
        void *reply;
        size_t skipped;
        switch (redis_reader_next(&c->reader, &reply, &skipped)) {
        case REDIS_READ_REPLY:
            on_reply(c, reply);
            break;
        case REDIS_READ_MORE:
            return;
        case REDIS_READ_SKIPPED:
            c->settings.on_skipped(c->settings.ctx, skipped);
            return;
        case REDIS_READ_ERROR:
            conn_down(c, c->reader.error);
            break;
        }
    }
}

static void on_lost(void *ctx, const char *why)
{
    conn_down(ctx, why);
}

static void on_address(void *ctx, const struct redis_address *address, const char *error)
{
    struct redis_conn *c = ctx;
    if (c->state != CONN_ASKING)
        return;
    if (!address) {
        conn_down(c, error);
        return;
    }
    c->state = CONN_OPENING;
    set_timer(c, CONNECT_TIMEOUT_S);
    redis_link_open(&c->link, address);
}

static void on_moved(void *ctx, const struct redis_address *address)
{
    struct redis_conn *c = ctx;
    if (redis_address_equal(address, &c->link.address))
        return;
    if (c->state != CONN_DOWN)
        conn_down(c, "the master is another one now");
    set_timer(c, 0.); // no backoff: this server has not failed yet
}

static void on_silence(struct redis_conn *c)
{
    double silent = ev_now(c->loop) - c->link.last_read;
    if (silent >= DEAD_AFTER_S) {
        // It may be us who slept (SIGSTOP, a suspended machine): what has come meanwhile is read first.
        redis_link_read(&c->link);
        if (c->state != CONN_READY)
            return;
        silent = ev_now(c->loop) - c->link.last_read;
    }
    if (silent >= DEAD_AFTER_S) {
        conn_down(c, "no answer to PING");
        return;
    }
    set_timer(c, PING_AFTER_S);
    if (silent < PING_AFTER_S)
        return;
    const char *ping[] = {"PING"};
    if (!redis_link_send(&c->link, 1, ping, NULL))
        conn_down(c, "out of memory");
    else if (c->settings.on_ping)
        c->settings.on_ping(c->settings.ctx);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct redis_conn *c = w->data;
    switch (c->state) {
    case CONN_DOWN:
        c->state = CONN_ASKING;
        redis_discovery_ask(c->discovery, &c->discovery_client);
        break;
    case CONN_ASKING:
        break;
    case CONN_OPENING:
    case CONN_GREETING:
        conn_down(c, redis_link_late(&c->link));
        break;
    case CONN_READY:
        on_silence(c);
        break;
    }
}

struct redis_conn *redis_conn_create(struct ev_loop *loop, const struct redis_conn_settings *settings)
{
    struct redis_conn *c = calloc(1, sizeof *c);
    assert(!settings->url->tls || settings->url->tls_context); // else a password would go out in the clear
    if (!c)
        return NULL;
    c->settings = *settings;
    c->loop = loop;
    c->backoff_ms = BACKOFF_MIN_MS;
    c->random = jitter_seed();
    redis_url_describe(settings->url, c->where, sizeof c->where);
    c->discovery_client =
        (struct redis_discovery_client){.on_address = on_address, .on_moved = on_moved, .ctx = c};
    c->discovery = redis_discovery_join(loop, settings->url, &c->discovery_client);
    if (!c->discovery) {
        free(c);
        return NULL;
    }
    const struct redis_link_hooks hooks = {
        .on_open = on_open, .on_bytes = on_bytes, .on_lost = on_lost, .ctx = c};
    redis_link_init(&c->link, loop, settings->url->tls_context, &hooks);
    ev_timer_init(&c->timer, on_timer, 0., 0.);
    c->timer.data = c;
    ev_timer_start(loop, &c->timer);
    return c;
}

void redis_conn_destroy(struct redis_conn *c)
{
    if (!c)
        return;
    redis_link_deinit(&c->link);
    redis_discovery_leave(c->discovery, &c->discovery_client);
    ev_timer_stop(c->loop, &c->timer);
    redis_reader_deinit(&c->reader);
    free(c);
}

bool redis_conn_send(struct redis_conn *c, int argc, const char **argv, const size_t *lens)
{
    return c->state == CONN_READY && redis_link_send(&c->link, argc, argv, lens);
}

bool redis_conn_is_ready(const struct redis_conn *c)
{
    return c->state == CONN_READY;
}

void redis_conn_replace(struct redis_conn *c, const char *why)
{
    if (c->state != CONN_DOWN)
        conn_down(c, why);
}
