#include "gateway/redis/redis_link.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"

#define READ_SIZE 16384
// Reads per turn of the loop, so that timers and mails are handled during a flood. The socket is read again
// in the next turn.
#define READS_PER_TURN 64

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
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    size_t size, other_size;
    if (l->state != REDIS_LINK_OPEN || getpeername(l->transport.fd, (struct sockaddr *)&peer, &len) != 0)
        return true; // a lost connection is noticed without it
    const void *host = host_of((struct sockaddr *)&peer, &size);
    for (; host && found; found = found->ai_next) {
        const void *other = host_of(found->ai_addr, &other_size);
        if (other && other_size == size && memcmp(host, other, size) == 0)
            return true;
    }
    return !host;
}

static void set_state(struct redis_link *l, enum redis_link_state to)
{
    enum redis_link_state from = l->state;
    assert(to == REDIS_LINK_CLOSED || from < to);
    assert(to != REDIS_LINK_SECURING || from == REDIS_LINK_CONNECTING);
    assert(to != REDIS_LINK_OPEN || from >= REDIS_LINK_CONNECTING);
    assert((l->transport.fd >= 0) == (to >= REDIS_LINK_CONNECTING));
    l->state = to;
}

static void watch(struct redis_link *l, int events)
{
    if ((l->io.events & (EV_READ | EV_WRITE)) == events && ev_is_active(&l->io))
        return;
    ev_io_stop(l->loop, &l->io);
    ev_io_set(&l->io, l->transport.fd, events);
    ev_io_start(l->loop, &l->io);
}

void redis_link_close(struct redis_link *l)
{
    ev_io_stop(l->loop, &l->io);
    transport_close(&l->transport);
    set_state(l, REDIS_LINK_CLOSED);
    buf_clear(&l->out);
    l->out_sent = 0;
}

static void lose(struct redis_link *l, const char *why)
{
    char text[512]; // redis_link_close may free `why`
    snprintf(text, sizeof text, "%s", why);
    redis_link_close(l);
    l->hooks.on_lost(l->hooks.ctx, text);
}

static void opened(struct redis_link *l)
{
    set_state(l, REDIS_LINK_OPEN);
    watch(l, EV_READ);
    l->hooks.on_open(l->hooks.ctx);
}

// Handles the result of a transport call: watches the socket for `events` and what TLS needs, or ends the
// link.
static void wait_or_lose(struct redis_link *l, ssize_t outcome, int events)
{
    assert(outcome < 0);
    if (outcome == TRANSPORT_END || outcome == TRANSPORT_LOST)
        lose(l, transport_error(&l->transport));
    else
        watch(l, events | (outcome == TRANSPORT_WAIT_WRITE ? EV_WRITE : EV_READ));
}

static void secure_on(struct redis_link *l)
{
    ssize_t done = transport_handshake(&l->transport);
    if (done == 0)
        opened(l);
    else
        wait_or_lose(l, done, 0);
}

static void connected(struct redis_link *l)
{
    int failure = 0;
    socklen_t len = sizeof failure;
    if (getsockopt(l->transport.fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        failure = errno;
    if (failure != 0) {
        lose(l, strerror(failure));
        return;
    }
    if (!l->secure) {
        opened(l);
        return;
    }
    if (!transport_start_tls(&l->transport, l->secure, l->address.host)) {
        lose(l, "out of memory");
        return;
    }
    set_state(l, REDIS_LINK_SECURING);
    secure_on(l);
}

// Begins to connect. The descriptor, or -1 with errno; when it becomes writable, SO_ERROR tells whether the
// connection was made.
static int connect_to(const struct sockaddr *sa, socklen_t len)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (sa->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // slower without, not wrong
    if (connect(fd, sa, len) == 0 || errno == EINPROGRESS)
        return fd;
    int failure = errno;
    (void)close(fd);
    errno = failure;
    return -1;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path, strlen(path));
    return connect_to((struct sockaddr *)&sa, sizeof sa);
}

// Each `attempt` takes the next address.
static int connect_tcp(const struct addrinfo *found, unsigned attempt)
{
    unsigned count = 1; // there is always one
    for (const struct addrinfo *ai = found->ai_next; ai; ai = ai->ai_next)
        count++;
    for (unsigned skip = attempt % count; skip > 0; skip--)
        found = found->ai_next;
    return connect_to(found->ai_addr, found->ai_addrlen);
}

static void connecting(struct redis_link *l, int fd)
{
    if (fd < 0) {
        lose(l, strerror(errno));
        return;
    }
    transport_init(&l->transport, fd);
    set_state(l, REDIS_LINK_CONNECTING);
    watch(l, EV_WRITE);
}

static void on_resolved(void *ctx, const struct addrinfo *found, const char *error)
{
    struct redis_link *l = ctx;
    struct lookup *done = l->lookup;
    l->lookup = NULL;
    // Too late for its attempt: then the answer is thrown away, and the next attempt asks again.
    if (l->state == REDIS_LINK_RESOLVING && found)
        connecting(l, connect_tcp(found, l->attempt++));
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
    set_state(l, REDIS_LINK_RESOLVING);
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
        connecting(l, connect_unix(address->unix_path));
        return;
    }
    struct addrinfo *numeric = lookup_numeric(address->host, address->port);
    if (!numeric) {
        resolve(l);
        return;
    }
    connecting(l, connect_tcp(numeric, 0));
    freeaddrinfo(numeric);
}

static void take_bytes(struct redis_link *l)
{
    assert(l->state == REDIS_LINK_OPEN && !l->in_hook);
    char bytes[READ_SIZE];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = transport_read(&l->transport, bytes, sizeof bytes);
        if (n < 0) {
            // With TLS, what is queued is tried after each read; a plain socket may be awaited for it.
            wait_or_lose(l, n, l->secure ? EV_READ : l->io.events & (EV_READ | EV_WRITE));
            return;
        }
        if (i == 0) // one look at the clock for all that came together
            l->read_at_ns = clock_monotonic_ns();
        l->reads++;
        l->in_hook = true;
        l->hooks.on_bytes(l->hooks.ctx, bytes, (size_t)n);
        l->in_hook = false;
        // A plain socket that gave less than was asked for is empty; TLS gives one record at a time.
        if (l->state != REDIS_LINK_OPEN || (!l->secure && (size_t)n < sizeof bytes))
            return;
    }
    // Bytes in the buffer of TLS do not make the socket readable.
    if (transport_has_more(&l->transport))
        ev_feed_event(l->loop, &l->io, EV_READ);
}

static void flush(struct redis_link *l)
{
    while (l->out_sent < l->out.len) {
        const struct iovec rest = {l->out.data + l->out_sent, l->out.len - l->out_sent};
        ssize_t n = transport_writev(&l->transport, &rest, 1);
        // A server with too many clients sends an error and closes: that error is read first, since it says
        // more than the failed write.
        if (n == TRANSPORT_LOST && !l->secure) {
            const char *why = transport_error(&l->transport);
            take_bytes(l);
            if (l->state == REDIS_LINK_OPEN)
                lose(l, why);
            return;
        }
        if (n < 0) {
            wait_or_lose(l, n, EV_READ);
            return;
        }
        l->out_sent += (size_t)n;
        assert(l->out_sent <= l->out.len);
    }
    buf_clear(&l->out);
    l->out_sent = 0;
    watch(l, EV_READ);
}

void redis_link_flush(struct redis_link *l)
{
    if (l->state == REDIS_LINK_OPEN && !l->in_hook && l->out.len > 0)
        flush(l);
}

void redis_link_read(struct redis_link *l)
{
    if (l->state != REDIS_LINK_OPEN || l->in_hook)
        return;
    take_bytes(l);
    // Over TLS the read has set what is watched for: bytes that wait for room say so again.
    if (l->secure && l->state == REDIS_LINK_OPEN && l->out.len > 0)
        flush(l);
}

// TLS reads when it wants to write and writes when it wants to read, so every event is one for both.
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
    } else {
        if (l->secure || events & EV_READ)
            take_bytes(l);
        if (l->state == REDIS_LINK_OPEN && l->out.len > 0 && (l->secure || events & EV_WRITE))
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
    assert(l->state == REDIS_LINK_OPEN);
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

void redis_link_init(struct redis_link *l, struct ev_loop *loop, struct tls_context *secure,
                     const struct redis_link_hooks *hooks)
{
    *l = (struct redis_link){.loop = loop, .secure = secure, .hooks = *hooks};
    transport_init(&l->transport, -1);
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
    (void)ev_clear_pending(l->loop, &l->flush); // returns whether it was pending, which does not matter
    buf_free(&l->out);
}
