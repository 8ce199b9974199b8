#include "gateway/redis/redis_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/jitter.h"
#include "common/log.h"
#include "gateway/redis/lookup.h"
#include "gateway/redis/redis_reader.h"
#include "gateway/redis/redis_socket.h"

#define CONNECT_TIMEOUT_S 3.0
// Silence of PING_AFTER_S is broken by a PING; no byte for DEAD_AFTER_S is a dead server, noticed at the next
// PING.
#define PING_AFTER_S 3.0
#define DEAD_AFTER_S 9.0
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u
#define READ_SIZE 16384
// Reads per turn, so that timers and mail have their turn in a flood. The socket is read again at once.
#define READS_PER_TURN 16

enum link_state { LINK_DOWN, LINK_RESOLVING, LINK_CONNECTING, LINK_GREETING, LINK_READY };

struct redis_conn {
    struct redis_conn_settings settings;
    struct ev_loop *loop;
    ev_io io;
    ev_timer timer; // DOWN: backoff; RESOLVING, CONNECTING, GREETING: timeout; READY: silence
    ev_prepare flush;
    enum link_state state;
    struct redis_reader reader;
    struct lookup *lookup; // of the server's name, while it runs
    struct buf out;
    size_t out_sent;
    unsigned greetings; // replies to AUTH, SELECT and CLIENT SETNAME that are still to come
    uint32_t backoff_ms;
    unsigned attempt; // since the last that succeeded
    uint64_t random;
    double last_read;
    bool said_down; // the log has the news
    char where[256];
};

// While greeting, replies are plain, and read as ordinary objects.
static bool reader_reset(struct redis_conn *c, bool greeting)
{
    const struct redis_conn_settings *s = &c->settings;
    return redis_reader_reset(&c->reader, greeting ? NULL : s->functions, s->ctx, s->max_bulk);
}

static void watch(struct redis_conn *c, int events)
{
    if ((c->io.events & (EV_READ | EV_WRITE)) == events && ev_is_active(&c->io))
        return;
    int fd = c->io.fd;
    ev_io_stop(c->loop, &c->io);
    ev_io_set(&c->io, fd, events);
    ev_io_start(c->loop, &c->io);
}

static void set_timer(struct redis_conn *c, double in_s)
{
    ev_timer_stop(c->loop, &c->timer);
    ev_timer_set(&c->timer, in_s, 0.);
    ev_timer_start(c->loop, &c->timer);
}

static void close_socket(struct redis_conn *c)
{
    if (c->io.fd < 0)
        return;
    ev_io_stop(c->loop, &c->io);
    (void)close(c->io.fd);
    c->io.fd = -1;
}

static void redis_conn_down(struct redis_conn *c, const char *why)
{
    bool was_ready = c->state == LINK_READY;
    close_socket(c);
    c->state = LINK_DOWN;
    buf_clear(&c->out);
    c->out_sent = 0;
    c->backoff_ms = was_ready                            ? BACKOFF_MIN_MS
                    : c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : c->backoff_ms * 2;
    // Once per outage: the same line every second helps nobody.
    if (was_ready || !c->said_down) {
        if (c->settings.quiet)
            log_debug("redis", "%s connection to %s: %s", c->settings.purpose, c->where, why);
        else
            log_warn("redis", "%s connection to %s: %s; trying again until it works", c->settings.purpose,
                     c->where, why);
    }
    c->said_down = true;
    // Evenly from half the backoff to all of it.
    set_timer(c, jitter_ms(&c->random, c->backoff_ms / 2) / 1000.0);
    if (was_ready)
        c->settings.on_down(c->settings.ctx);
}

static bool out_command(struct redis_conn *c, int argc, const char **argv, const size_t *lens)
{
    char *text;
    // The return type has changed between releases of hiredis: negative where it failed.
    long long len = (long long)redisFormatCommandArgv(&text, argc, argv, lens);
    if (len < 0)
        return false;
    bool ok = buf_append(&c->out, text, (size_t)len);
    redisFreeCommand(text);
    return ok;
}

static void link_ready(struct redis_conn *c)
{
    if (!reader_reset(c, false)) {
        redis_conn_down(c, "out of memory");
        return;
    }
    c->state = LINK_READY;
    c->backoff_ms = BACKOFF_MIN_MS;
    if (c->settings.quiet)
        log_debug("redis", "%s connection to %s is up", c->settings.purpose, c->where);
    else
        log_info("redis", "%s connection to %s is up", c->settings.purpose, c->where);
    c->said_down = false;
    set_timer(c, PING_AFTER_S);
    c->settings.on_ready(c->settings.ctx);
}

// AUTH, SELECT, CLIENT SETNAME, as needed; all are sent at once, and every reply is awaited.
static bool greet(struct redis_conn *c)
{
    const struct redis_url *url = c->settings.url;
    c->greetings = 0;
    if (url->password) {
        // Without a user in the form that servers before Redis 6 know, too.
        const char *with_user[] = {"AUTH", url->user, url->password};
        const char *without[] = {"AUTH", url->password};
        if (!(url->user ? out_command(c, 3, with_user, NULL) : out_command(c, 2, without, NULL)))
            return false;
        c->greetings++;
    }
    if (url->db != 0) {
        char db[16];
        snprintf(db, sizeof db, "%u", url->db);
        const char *select[] = {"SELECT", db};
        if (!out_command(c, 2, select, NULL))
            return false;
        c->greetings++;
    }
    const char *name[] = {"CLIENT", "SETNAME", c->settings.client_name};
    c->greetings++;
    return out_command(c, 3, name, NULL);
}

static void link_connected(struct redis_conn *c)
{
    int failure = 0;
    socklen_t len = sizeof failure;
    if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        failure = errno;
    if (failure != 0) {
        redis_conn_down(c, strerror(failure));
        return;
    }
    c->state = LINK_GREETING;
    if (!reader_reset(c, true) || !greet(c)) {
        redis_conn_down(c, "out of memory");
        return;
    }
    watch(c, EV_READ | EV_WRITE);
}

static void link_opened(struct redis_conn *c, int fd)
{
    if (fd < 0) {
        redis_conn_down(c, strerror(errno));
        return;
    }
    c->state = LINK_CONNECTING;
    ev_io_set(&c->io, fd, EV_WRITE);
    ev_io_start(c->loop, &c->io);
    set_timer(c, CONNECT_TIMEOUT_S);
}

static void on_resolved(void *ctx, const struct addrinfo *found, const char *error)
{
    struct redis_conn *c = ctx;
    // Too late for this attempt: then the answer is thrown away, and the next attempt asks again.
    if (c->state == LINK_RESOLVING && found)
        link_opened(c, redis_socket_tcp(found, c->attempt++));
    else if (c->state == LINK_RESOLVING)
        redis_conn_down(c, error);
    lookup_release(c->lookup);
    c->lookup = NULL;
}

static void link_connect(struct redis_conn *c)
{
    const struct redis_url *url = c->settings.url;
    if (url->kind == REDIS_URL_UNIX) {
        link_opened(c, redis_socket_unix(url->unix_path));
        return;
    }
    const struct redis_endpoint *at = &url->endpoints[0];
    struct addrinfo *numeric = lookup_numeric(at->host, at->port);
    if (numeric) {
        link_opened(c, redis_socket_tcp(numeric, 0));
        freeaddrinfo(numeric);
        return;
    }
    // A lookup that takes longer than an attempt is awaited by the next one: never more than one at a time.
    if (!c->lookup)
        c->lookup = lookup_start(c->loop, at->host, at->port, on_resolved, c);
    if (!c->lookup) {
        redis_conn_down(c, "no memory or thread to resolve its name");
        return;
    }
    c->state = LINK_RESOLVING;
    set_timer(c, CONNECT_TIMEOUT_S);
}

static void on_greeting(struct redis_conn *c, redisReply *reply)
{
    // The last one is SETNAME, a courtesy that an ACL may forbid; only a missing password makes its refusal
    // matter.
    bool bad =
        reply->type == REDIS_REPLY_ERROR && (c->greetings > 1 || strncmp(reply->str, "NOAUTH", 6) == 0);
    char why[256];
    if (bad)
        snprintf(why, sizeof why, "Redis refuses: %s", reply->str);
    freeReplyObject(reply);
    if (bad)
        redis_conn_down(c, why);
    else if (--c->greetings == 0)
        link_ready(c);
}

static void on_reply(struct redis_conn *c, void *reply)
{
    if (c->state == LINK_GREETING)
        on_greeting(c, reply);
    else if (!c->settings.on_reply(c->settings.ctx, reply))
        redis_conn_down(c, "an answer that makes no sense");
}

// Feeds one piece and acts on every whole reply. False where the connection went down meanwhile.
static bool take_bytes(struct redis_conn *c, const char *bytes, size_t len)
{
    if (!redis_reader_feed(&c->reader, bytes, len)) {
        redis_conn_down(c, c->reader.error);
        return false;
    }
    while (c->state >= LINK_GREETING) {
        void *reply;
        size_t skipped;
        switch (redis_reader_next(&c->reader, &reply, &skipped)) {
        case REDIS_READ_REPLY:
            on_reply(c, reply);
            break;
        case REDIS_READ_MORE:
            return true;
        case REDIS_READ_SKIPPED:
            c->settings.on_skipped(c->settings.ctx, skipped);
            return true;
        case REDIS_READ_ERROR:
            redis_conn_down(c, c->reader.error);
            break;
        }
    }
    return false;
}

static void on_readable(struct redis_conn *c)
{
    char bytes[READ_SIZE];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            redis_conn_down(c, n == 0 ? "closed by the server" : strerror(errno));
            return;
        }
        c->last_read = ev_now(c->loop);
        if (!take_bytes(c, bytes, (size_t)n) || (size_t)n < sizeof bytes)
            return;
    }
}

static void link_flush(struct redis_conn *c)
{
    while (c->out_sent < c->out.len) {
        ssize_t n = send(c->io.fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch(c, EV_READ | EV_WRITE);
            return;
        }
        if (n < 0) {
            redis_conn_down(c, strerror(errno));
            return;
        }
        c->out_sent += (size_t)n;
    }
    buf_clear(&c->out);
    c->out_sent = 0;
    watch(c, EV_READ);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    struct redis_conn *c = w->data;
    if (c->state == LINK_CONNECTING) {
        link_connected(c);
        return;
    }
    if (events & EV_READ)
        on_readable(c);
    if ((events & EV_WRITE) && c->state >= LINK_GREETING)
        link_flush(c);
}

static void on_flush(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)loop, (void)events;
    struct redis_conn *c = w->data;
    if (c->state >= LINK_GREETING && c->out.len > 0 && !(c->io.events & EV_WRITE))
        link_flush(c);
}

static void on_silence(struct redis_conn *c)
{
    double silent = ev_now(c->loop) - c->last_read;
    if (silent >= DEAD_AFTER_S) {
        // It may be us who slept (SIGSTOP, a suspended machine): what has come meanwhile is read first.
        on_readable(c);
        if (c->state != LINK_READY)
            return;
        silent = ev_now(c->loop) - c->last_read;
    }
    if (silent >= DEAD_AFTER_S) {
        redis_conn_down(c, "no answer to PING");
        return;
    }
    const char *ping[] = {"PING"};
    if (silent >= PING_AFTER_S && !out_command(c, 1, ping, NULL)) {
        redis_conn_down(c, "out of memory");
        return;
    }
    set_timer(c, PING_AFTER_S);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct redis_conn *c = w->data;
    switch (c->state) {
    case LINK_DOWN:
        link_connect(c);
        break;
    case LINK_RESOLVING:
        redis_conn_down(c, "its name is not resolved in time");
        break;
    case LINK_CONNECTING:
    case LINK_GREETING:
        redis_conn_down(c, "no answer in time");
        break;
    case LINK_READY:
        on_silence(c);
        break;
    }
}

struct redis_conn *redis_conn_create(struct ev_loop *loop, const struct redis_conn_settings *settings)
{
    struct redis_conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->settings = *settings;
    c->loop = loop;
    c->backoff_ms = BACKOFF_MIN_MS;
    c->random = jitter_seed();
    redis_url_describe(settings->url, c->where, sizeof c->where);
    ev_io_init(&c->io, on_io, -1, 0);
    c->io.data = c;
    ev_timer_init(&c->timer, on_timer, 0., 0.);
    c->timer.data = c;
    ev_timer_start(loop, &c->timer);
    ev_prepare_init(&c->flush, on_flush);
    c->flush.data = c;
    ev_prepare_start(loop, &c->flush);
    return c;
}

void redis_conn_destroy(struct redis_conn *c)
{
    if (!c)
        return;
    close_socket(c);
    lookup_release(c->lookup);
    ev_timer_stop(c->loop, &c->timer);
    ev_prepare_stop(c->loop, &c->flush);
    redis_reader_deinit(&c->reader);
    buf_free(&c->out);
    free(c);
}

bool redis_conn_send(struct redis_conn *c, int argc, const char **argv, const size_t *lens)
{
    return c->state == LINK_READY && out_command(c, argc, argv, lens);
}

bool redis_conn_is_ready(const struct redis_conn *c)
{
    return c->state == LINK_READY;
}

void redis_conn_replace(struct redis_conn *c, const char *why)
{
    if (c->state != LINK_DOWN)
        redis_conn_down(c, why);
}
