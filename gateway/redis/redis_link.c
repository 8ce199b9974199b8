#include "gateway/redis/redis_link.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/redis/redis_socket.h"

#define READ_SIZE 16384
// Reads per turn, so that timers and mail have their turn in a flood. The socket is read again at once.
#define READS_PER_TURN 64

void redis_address_describe(const struct redis_address *address, char *out, size_t size)
{
    if (address->unix_path)
        snprintf(out, size, "%s", address->unix_path);
    else
        snprintf(out, size, strchr(address->host, ':') ? "[%s]:%u" : "%s:%u", address->host, address->port);
}

bool redis_address_equal(const struct redis_address *a, const struct redis_address *b)
{
    return a->unix_path == b->unix_path && a->port == b->port && strcmp(a->host, b->host) == 0;
}

// The part of an address that a name has. NULL for families that have no names.
static const void *host_of(const struct sockaddr *sa, size_t *size)
{
    const struct sockaddr_in *four = (const void *)sa;
    const struct sockaddr_in6 *six = (const void *)sa;
    *size = sa->sa_family == AF_INET ? sizeof four->sin_addr : sizeof six->sin6_addr;
    return sa->sa_family == AF_INET    ? (const void *)&four->sin_addr
           : sa->sa_family == AF_INET6 ? (const void *)&six->sin6_addr
                                       : NULL;
}

bool redis_link_is_at(const struct redis_link *l, const struct addrinfo *found)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    size_t size, other_size;
    if (l->state != REDIS_LINK_OPEN || getpeername(l->io.fd, (struct sockaddr *)&peer, &len) != 0)
        return true; // a connection that is gone is noticed by itself
    const void *host = host_of((struct sockaddr *)&peer, &size);
    for (; host && found; found = found->ai_next) {
        const void *other = host_of(found->ai_addr, &other_size);
        if (other && other_size == size && memcmp(host, other, size) == 0)
            return true;
    }
    return !host;
}

static void watch(struct redis_link *l, int events)
{
    if ((l->io.events & (EV_READ | EV_WRITE)) == events && ev_is_active(&l->io))
        return;
    int fd = l->io.fd;
    ev_io_stop(l->loop, &l->io);
    ev_io_set(&l->io, fd, events);
    ev_io_start(l->loop, &l->io);
}

void redis_link_close(struct redis_link *l)
{
    redis_tls_destroy(l->tls);
    l->tls = NULL;
    if (l->io.fd >= 0) {
        ev_io_stop(l->loop, &l->io);
        (void)close(l->io.fd);
    }
    l->io.fd = -1;
    l->state = REDIS_LINK_CLOSED;
    buf_clear(&l->out);
    l->out_sent = 0;
}

static void lose(struct redis_link *l, const char *why)
{
    char text[512]; // `why` may be what is freed
    snprintf(text, sizeof text, "%s", why);
    redis_link_close(l);
    l->hooks.on_lost(l->hooks.ctx, text);
}

static void opened(struct redis_link *l)
{
    l->state = REDIS_LINK_OPEN;
    watch(l, EV_READ);
    l->hooks.on_open(l->hooks.ctx);
}

static void secure_on(struct redis_link *l)
{
    ssize_t done = redis_tls_handshake(l->tls);
    if (done == REDIS_TLS_FAILED)
        lose(l, redis_tls_error(l->tls));
    else if (done == REDIS_TLS_WAIT)
        watch(l, redis_tls_wants_write(l->tls) ? EV_WRITE : EV_READ);
    else
        opened(l);
}

static void connected(struct redis_link *l)
{
    int failure = 0;
    socklen_t len = sizeof failure;
    if (getsockopt(l->io.fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        failure = errno;
    if (failure != 0) {
        lose(l, strerror(failure));
        return;
    }
    if (!l->secure) {
        opened(l);
        return;
    }
    l->tls = redis_tls_create(l->secure, l->io.fd, l->address.host);
    if (!l->tls) {
        lose(l, "out of memory");
        return;
    }
    l->state = REDIS_LINK_SECURING;
    secure_on(l);
}

static void connecting(struct redis_link *l, int fd)
{
    if (fd < 0) {
        lose(l, strerror(errno));
        return;
    }
    l->state = REDIS_LINK_CONNECTING;
    ev_io_set(&l->io, fd, EV_WRITE);
    ev_io_start(l->loop, &l->io);
}

static void on_resolved(void *ctx, const struct addrinfo *found, const char *error)
{
    struct redis_link *l = ctx;
    struct lookup *done = l->lookup;
    l->lookup = NULL;
    // Too late for its attempt: then the answer is thrown away, and the next attempt asks again.
    if (l->state == REDIS_LINK_RESOLVING && found)
        connecting(l, redis_socket_tcp(found, l->attempt++));
    else if (l->state == REDIS_LINK_RESOLVING)
        lose(l, error);
    lookup_release(done);
}

static void resolve(struct redis_link *l)
{
    // A lookup that takes longer than an attempt is awaited by the next: never more than one at a time.
    if (l->lookup && (lookup_is_over(l->lookup) || !redis_address_equal(&l->lookup_address, &l->address))) {
        lookup_release(l->lookup);
        l->lookup = NULL;
    }
    l->state = REDIS_LINK_RESOLVING;
    if (l->lookup)
        return;
    l->lookup_address = l->address;
    l->lookup = lookup_start(l->loop, l->address.host, l->address.port, on_resolved, l);
    if (!l->lookup)
        lose(l, "no memory or thread to resolve its name");
}

void redis_link_open(struct redis_link *l, const struct redis_address *address)
{
    redis_link_close(l);
    l->address = *address;
    if (address->unix_path) {
        connecting(l, redis_socket_unix(address->unix_path));
        return;
    }
    struct addrinfo *numeric = lookup_numeric(address->host, address->port);
    if (!numeric) {
        resolve(l);
        return;
    }
    connecting(l, redis_socket_tcp(numeric, 0));
    freeaddrinfo(numeric);
}

// Of both kinds of connection: bytes, REDIS_TLS_WAIT, or REDIS_TLS_FAILED with the link lost.
static ssize_t receive(struct redis_link *l, char *bytes, size_t size)
{
    ssize_t n;
    if (l->tls) {
        n = redis_tls_read(l->tls, bytes, size);
        if (n == REDIS_TLS_FAILED)
            lose(l, redis_tls_error(l->tls));
        return n;
    }
    do
        n = recv(l->io.fd, bytes, size, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return REDIS_TLS_WAIT;
    lose(l, n == 0 ? "closed by the server" : strerror(errno));
    return REDIS_TLS_FAILED;
}

static void take_bytes(struct redis_link *l)
{
    char bytes[READ_SIZE];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = receive(l, bytes, sizeof bytes);
        if (n < 0)
            return;
        l->reads++;
        l->hooks.on_bytes(l->hooks.ctx, bytes, (size_t)n);
        // A plain socket that gave less than was asked for is empty; TLS gives one record at a time.
        if (l->state != REDIS_LINK_OPEN || (!l->tls && (size_t)n < sizeof bytes))
            return;
    }
    // What TLS has in its buffer does not wake the loop.
    if (l->tls && redis_tls_has_more(l->tls))
        ev_feed_event(l->loop, &l->io, EV_READ);
}

void redis_link_read(struct redis_link *l)
{
    if (l->state == REDIS_LINK_OPEN)
        take_bytes(l);
}

static ssize_t transmit(struct redis_link *l, const char *bytes, size_t len)
{
    ssize_t n;
    if (l->tls) {
        n = redis_tls_write(l->tls, bytes, len);
        if (n == REDIS_TLS_FAILED)
            lose(l, redis_tls_error(l->tls));
        return n;
    }
    do
        n = send(l->io.fd, bytes, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return REDIS_TLS_WAIT;
    // A server that is full says so and closes: that is read, before what the failed send says.
    const char *why = strerror(errno);
    take_bytes(l);
    if (l->state == REDIS_LINK_OPEN)
        lose(l, why);
    return REDIS_TLS_FAILED;
}

static void flush(struct redis_link *l)
{
    while (l->out_sent < l->out.len) {
        ssize_t n = transmit(l, l->out.data + l->out_sent, l->out.len - l->out_sent);
        if (n == REDIS_TLS_FAILED)
            return;
        if (n == REDIS_TLS_WAIT) {
            // TLS may wait for bytes of the server before it can send (then on_io comes back here).
            watch(l, !l->tls || redis_tls_wants_write(l->tls) ? EV_READ | EV_WRITE : EV_READ);
            return;
        }
        l->out_sent += (size_t)n;
    }
    buf_clear(&l->out);
    l->out_sent = 0;
    watch(l, EV_READ);
}

// TLS reads when it wants to write and writes when it wants to read, so every event is one for both.
static void on_tls_io(struct redis_link *l)
{
    take_bytes(l);
    if (l->state != REDIS_LINK_OPEN)
        return;
    if (l->out.len > 0)
        flush(l);
    else
        watch(l, redis_tls_wants_write(l->tls) ? EV_READ | EV_WRITE : EV_READ);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    struct redis_link *l = w->data;
    if (events & EV_ERROR) { // libev has dropped the watcher
        lose(l, "its socket cannot be watched: no memory");
    } else if (l->state == REDIS_LINK_CONNECTING) {
        connected(l);
    } else if (l->state == REDIS_LINK_SECURING) {
        secure_on(l);
    } else if (l->tls) {
        on_tls_io(l);
    } else {
        if (events & EV_READ)
            take_bytes(l);
        if ((events & EV_WRITE) && l->state == REDIS_LINK_OPEN)
            flush(l);
    }
}

static void on_flush(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct redis_link *l = w->data;
    if (l->state == REDIS_LINK_OPEN && l->out.len > 0 && !(l->io.events & EV_WRITE))
        flush(l);
}

bool redis_link_send(struct redis_link *l, int argc, const char **argv, const size_t *lens)
{
    char *text;
    // The return type has changed between releases of hiredis: negative where it failed.
    long long len = (long long)redisFormatCommandArgv(&text, argc, argv, lens);
    if (len < 0)
        return false;
    bool first = l->out.len == 0, ok = buf_append(&l->out, text, (size_t)len);
    redisFreeCommand(text);
    if (ok && first)
        ev_feed_event(l->loop, &l->flush, EV_CUSTOM);
    return ok;
}

const char *redis_link_late(const struct redis_link *l)
{
    return l->state == REDIS_LINK_RESOLVING ? "its name is not resolved in time"
           : l->state == REDIS_LINK_SECURING
               ? "no answer to the TLS handshake in time; a server that does not "
                 "speak TLS is redis://"
               : "no answer in time";
}

void redis_link_init(struct redis_link *l, struct ev_loop *loop, struct redis_tls_context *secure,
                     const struct redis_link_hooks *hooks)
{
    *l = (struct redis_link){.loop = loop, .secure = secure, .hooks = *hooks};
    ev_io_init(&l->io, on_io, -1, 0);
    l->io.data = l;
    ev_timer_init(&l->flush, on_flush, 0., 0.); // never started: fed where something was queued
    ev_set_priority(&l->flush, EV_MINPRI);      // behind all that may queue something in this turn
    l->flush.data = l;
}

void redis_link_deinit(struct redis_link *l)
{
    redis_link_close(l);
    lookup_release(l->lookup);
    l->lookup = NULL;
    (void)ev_clear_pending(l->loop, &l->flush); // whether it was is of no interest
    buf_free(&l->out);
}
