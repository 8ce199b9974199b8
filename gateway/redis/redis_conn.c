#include "gateway/redis/redis_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "common/log.h"
#include "common/utf8.h"
#include "gateway/redis/deadline.h"
#include "gateway/redis/redis_link.h"
#include "gateway/redis/redis_reader.h"
#include "gateway/redis/redis_discovery.h"

#define CONNECT_TIMEOUT_S 3.0
// Where no byte came between two looks a PING goes out, so after 1.5 to 3 s of silence; when PINGS_MAX of
// them brought no byte the server is dead, after 7.5 to 9 s.
#define LOOK_S 1.5
#define PINGS_MAX 4u
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u
#define REASONS_MAX 8 // reasons that are logged once each in one outage

// In this order; each may fall to DOWN. ASKING waits for redis_discovery, OPENING for redis_link.
enum redis_conn_state {
    REDIS_CONN_DOWN,
    REDIS_CONN_ASKING,
    REDIS_CONN_OPENING,
    REDIS_CONN_GREETING,
    REDIS_CONN_READY,
};

struct redis_conn {
    struct redis_conn_settings settings;
    struct ev_loop *loop;
    struct redis_discovery *discovery;
    struct redis_discovery_client discovery_client;
    struct redis_link link;
    // DOWN: backoff; OPENING, GREETING: timeout; READY: the next look. ASKING: the discovery has its own.
    struct deadline deadline;
    enum redis_conn_state state;
    struct redis_reader reader;
    unsigned greetings; // replies to AUTH, SELECT, ROLE and CLIENT SETNAME that are still to come
    unsigned reads;     // reads of the link at the last look
    unsigned pings;     // PINGs sent since a byte came
    bool worked;        // redis_conn_worked was called on this connection
    uint32_t backoff_ms;
    uint64_t random;
    uint32_t said[REASONS_MAX]; // hashes of the reasons that were logged in this outage
    unsigned said_count;
    char where[256];
    char fault[REDIS_FAULT_MAX]; // the last reason; empty once it worked
    char error[REDIS_FAULT_MAX]; // the last reason, for redis_conn_look
    uint64_t error_at_ms;
};

// While greeting, replies are plain, and read as ordinary objects. The server is not known yet; the largest
// of its answers is ROLE, with three strings for each replica.
static bool reader_reset(struct redis_conn *c, bool greeting)
{
    static const struct redis_limits limits = {.bulk = 4096, .elements = 4096, .bytes = 65536};
    const struct redis_conn_settings *s = &c->settings;
    return greeting ? redis_reader_reset(&c->reader, NULL, NULL, &limits)
                    : redis_reader_reset(&c->reader, s->functions, s->ctx, &s->limits);
}

static void set_state(struct redis_conn *c, enum redis_conn_state state)
{
    assert(state == REDIS_CONN_DOWN ? c->state != REDIS_CONN_DOWN : state == c->state + 1);
    c->state = state;
}

// Whether the server must say itself that it is the master (ROLE): a sentinel may name an old one.
static bool wants_master(const struct redis_conn *c)
{
    return c->settings.url->kind == REDIS_URL_SENTINEL;
}

// Each reason is logged once per outage.
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

static void redis_conn_fail(struct redis_conn *c, const char *why)
{
    bool was_ready = c->state == REDIS_CONN_READY;
    redis_link_close(&c->link);
    set_state(c, REDIS_CONN_DOWN);
    c->backoff_ms = c->worked                            ? BACKOFF_MIN_MS
                    : c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : c->backoff_ms * 2;
    c->worked = false;
    utf8_copy_ascii(c->fault, sizeof c->fault, why);
    utf8_copy_ascii(c->error, sizeof c->error, why);
    c->error_at_ms = clock_monotonic_ms();
    if (is_news(c, why)) {
        if (c->settings.quiet)
            log_debug("redis", "%s connection to %s: %s", c->settings.purpose, c->where, why);
        else
            log_warn("redis", "%s connection to %s: %s; trying again until it works", c->settings.purpose,
                     c->where, why);
    }
    // Evenly from half the backoff to all of it.
    deadline_set(&c->deadline, jitter_ms(&c->random, c->backoff_ms / 2) / 1000.0);
    if (was_ready)
        c->settings.on_down(c->settings.ctx);
    else if (c->settings.on_fault)
        c->settings.on_fault(c->settings.ctx, why);
}

void redis_conn_worked(struct redis_conn *c)
{
    if (c->worked || c->state != REDIS_CONN_READY)
        return;
    c->worked = true;
    c->fault[0] = '\0';
    c->said_count = 0;
    char address[sizeof c->link.address.host + 16] = "", at[sizeof address + 8] = "";
    redis_address_describe(&c->link.address, address, sizeof address);
    if (wants_master(c))
        snprintf(at, sizeof at, ", at %s", address);
    if (c->settings.quiet)
        log_debug("redis", "%s connection to %s is up%s", c->settings.purpose, c->where, at);
    else
        log_info("redis", "%s connection to %s is up%s", c->settings.purpose, c->where, at);
}

static void redis_conn_begin(struct redis_conn *c)
{
    if (!reader_reset(c, false)) {
        redis_conn_fail(c, "out of memory");
        return;
    }
    set_state(c, REDIS_CONN_READY);
    c->reads = c->link.reads;
    c->pings = 0;
    deadline_set(&c->deadline, LOOK_S);
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
    if (wants_master(c) && !greet_with(c, 1, role))
        return false;
    return greet_with(c, 3, name);
}

static void on_open(void *ctx)
{
    struct redis_conn *c = ctx;
    set_state(c, REDIS_CONN_GREETING);
    if (!reader_reset(c, true) || !greet(c))
        redis_conn_fail(c, "out of memory");
}

// The answer to ROLE: ["master", ..], ["slave", ..] or ["sentinel", ..].
static bool is_master(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_STRING && strcmp(reply->element[0]->str, "master") == 0;
}

// CLIENT SETNAME, the last command of the greeting, is optional: an ACL or rename-command may forbid it. Any
// other error that answers it is about the connection: no password, too many clients, protected mode.
static bool is_about_setname(const char *error)
{
    return strncmp(error, "NOPERM", 6) == 0 || strncmp(error, "ERR unknown ", 12) == 0;
}

static void on_greeting(struct redis_conn *c, redisReply *reply)
{
    char why[REDIS_HOST_SIZE + 256] = "", address[REDIS_HOST_SIZE + 16];
    bool last = c->greetings == 1, role = c->greetings == 2 && wants_master(c);
    redis_address_describe(&c->link.address, address, sizeof address);
    if (reply->type == REDIS_REPLY_ERROR && !(last && is_about_setname(reply->str)))
        snprintf(why, sizeof why, "Redis refuses: %.200s", reply->str);
    else if (role && !is_master(reply))
        snprintf(why, sizeof why, "%s is named as the master, but says that it is not", address);
    freeReplyObject(reply);
    if (why[0])
        redis_conn_fail(c, why);
    else if (--c->greetings == 0)
        redis_conn_begin(c);
}

static void on_reply(struct redis_conn *c, void *reply)
{
    if (c->state == REDIS_CONN_GREETING) {
        on_greeting(c, reply);
        return;
    }
    if (!c->settings.functions && ((redisReply *)reply)->type != REDIS_REPLY_ERROR)
        redis_conn_worked(c);
    if (!c->settings.on_reply(c->settings.ctx, reply) && c->state == REDIS_CONN_READY)
        redis_conn_fail(c, "an answer that makes no sense");
}

// Feeds one piece and acts on every whole reply.
static void on_bytes(void *ctx, const char *bytes, size_t len)
{
    struct redis_conn *c = ctx;
    if (!redis_reader_feed(&c->reader, bytes, len)) {
        redis_conn_fail(c, c->reader.error);
        return;
    }
    while (c->state >= REDIS_CONN_GREETING) {
        void *reply;
        size_t skipped;
        switch (redis_reader_next(&c->reader, &reply, &skipped)) {
        case REDIS_READ_REPLY:
            on_reply(c, reply);
            break;
        case REDIS_READ_MORE:
            return;
        case REDIS_READ_SKIPPED:
            if (c->state == REDIS_CONN_GREETING)
                redis_conn_fail(c, "an answer that is too large");
            else if (c->settings.on_skipped)
                c->settings.on_skipped(c->settings.ctx, skipped);
            return;
        case REDIS_READ_ERROR:
            redis_conn_fail(c, c->reader.error);
            break;
        }
    }
}

static void on_lost(void *ctx, const char *why)
{
    redis_conn_fail(ctx, why);
}

static void on_address(void *ctx, const struct redis_address *address, const char *error)
{
    struct redis_conn *c = ctx;
    if (c->state != REDIS_CONN_ASKING)
        return;
    if (!address) {
        redis_conn_fail(c, error);
        return;
    }
    set_state(c, REDIS_CONN_OPENING);
    deadline_set(&c->deadline, CONNECT_TIMEOUT_S);
    redis_link_open(&c->link, address);
}

static void on_moved(void *ctx, const char *why)
{
    struct redis_conn *c = ctx;
    if (c->state != REDIS_CONN_DOWN)
        redis_conn_fail(c, why);
    deadline_set(&c->deadline, 0.); // no backoff: this server has not failed yet
}

// Checks that the server lives: whether bytes came since the last look.
static void look(struct redis_conn *c)
{
    const char *ping[] = {"PING"};
    deadline_set(&c->deadline, LOOK_S);
    if (c->reads != c->link.reads) {
        c->reads = c->link.reads;
        c->pings = 0;
    } else if (c->pings == PINGS_MAX) {
        redis_conn_fail(c, "no answer to PING");
    } else if (!redis_link_send(&c->link, 1, ping, NULL)) {
        redis_conn_fail(c, "out of memory");
    } else {
        c->pings++;
        if (c->settings.on_ping)
            c->settings.on_ping(c->settings.ctx);
    }
}

static void on_deadline(void *ctx)
{
    struct redis_conn *c = ctx;
    switch (c->state) {
    case REDIS_CONN_DOWN:
        set_state(c, REDIS_CONN_ASKING);
        redis_discovery_ask(c->discovery, &c->discovery_client);
        break;
    case REDIS_CONN_ASKING:
        break;
    case REDIS_CONN_OPENING:
    case REDIS_CONN_GREETING:
        if (!deadline_extend(&c->deadline))
            redis_conn_fail(c, redis_link_late(&c->link));
        break;
    case REDIS_CONN_READY:
        if (!deadline_extend(&c->deadline))
            look(c);
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
    c->discovery_client = (struct redis_discovery_client){
        .on_address = on_address, .on_moved = on_moved, .ctx = c, .link = &c->link};
    c->discovery = redis_discovery_join(loop, settings->url, &c->discovery_client);
    if (!c->discovery) {
        free(c);
        return NULL;
    }
    const struct redis_link_hooks hooks = {
        .on_open = on_open, .on_bytes = on_bytes, .on_lost = on_lost, .ctx = c};
    redis_link_init(&c->link, loop, settings->url->tls_context, &hooks);
    deadline_init(&c->deadline, loop, on_deadline, c);
    deadline_set(&c->deadline, 0.);
    return c;
}

void redis_conn_destroy(struct redis_conn *c)
{
    if (!c)
        return;
    redis_link_deinit(&c->link);
    redis_discovery_leave(c->discovery, &c->discovery_client);
    deadline_stop(&c->deadline);
    redis_reader_deinit(&c->reader);
    free(c);
}

bool redis_conn_send(struct redis_conn *c, int argc, const char **argv, const size_t *lens)
{
    return c->state == REDIS_CONN_READY && redis_link_send(&c->link, argc, argv, lens);
}

void redis_conn_flush(struct redis_conn *c)
{
    redis_link_flush(&c->link);
}

bool redis_conn_is_ready(const struct redis_conn *c)
{
    return c->state == REDIS_CONN_READY;
}

void redis_conn_read(struct redis_conn *c)
{
    if (c->state == REDIS_CONN_READY)
        redis_link_read(&c->link);
}

uint64_t redis_conn_read_at_ns(const struct redis_conn *c)
{
    return c->link.read_at_ns;
}

size_t redis_conn_reply_bytes(const struct redis_conn *c)
{
    return c->reader.announced;
}

const char *redis_conn_fault(const struct redis_conn *c)
{
    return c->fault;
}

void redis_conn_look(const struct redis_conn *c, struct redis_conn_view *out)
{
    out->purpose = c->settings.purpose;
    out->is_ready = redis_conn_is_ready(c);
    out->error_at_ms = c->error_at_ms;
    snprintf(out->error, sizeof out->error, "%s", c->error);
    if (c->link.address.unix_path || c->link.address.host[0])
        redis_address_describe(&c->link.address, out->address, sizeof out->address);
    else
        snprintf(out->address, sizeof out->address, "%s", c->where);
}

void redis_conn_replace(struct redis_conn *c, const char *why)
{
    if (c->state != REDIS_CONN_DOWN)
        redis_conn_fail(c, why);
}
