#include "gateway/client/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/probes.h"
#include "gateway/auth/principal.h"
#include "gateway/client/conn_account.h"
#include "gateway/client/conn_tls.h"
#include "gateway/client/handshake_queue.h"
#include "gateway/client/lease.h"

#define IOV_MAX_PER_WRITE 256 // as many as a message may hold events
// Time limits for the flush of a connection that ends: in all, and without progress.
#define FINISH_MAX_MS 60000u
#define FINISH_TIMEOUT_MS 5000u
#define LINGER_TIMEOUT_MS 2000u

static_assert(CLOSE_REASON_COUNT <= 1u << 5, "the bits of conn.reason hold each of them");

uint64_t conn_id(const struct conn *c)
{
    return (uint64_t)conn_context(c)->index << CONN_SERIAL_BITS | c->serial;
}

unsigned conn_id_loop(uint64_t id)
{
    return (unsigned)(id >> CONN_SERIAL_BITS);
}

uint64_t conn_serial(const void *conn)
{
    return ((const struct conn *)conn)->serial;
}

struct conn *conn_find(const struct client_context *cx, uint64_t id)
{
    uint64_t serial = id & ((UINT64_C(1) << CONN_SERIAL_BITS) - 1);
    return conn_id_loop(id) == cx->index ? id_table_find(&cx->conns, serial) : NULL;
}

void conn_set_deadline(struct conn *c, uint32_t in_ms)
{
    wheel_set(&conn_context(c)->wheel, &c->deadline, clock_monotonic_ms() + in_ms);
}

void conn_mark(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    assert(c->state != CONN_CLOSED); // its mark_next may stand in `closing`
    if (c->dirty)
        return;
    c->dirty = true;
    c->mark_next = cx->dirty;
    cx->dirty = c;
}

static void conn_mark_dirty(struct conn *c)
{
    if (!c->blocked)
        conn_mark(c);
}

void conn_send(struct conn *c, struct frame *f)
{
    struct client_context *cx = conn_context(c);
    if (c->state == CONN_CLOSED || c->state == CONN_LINGER) {
        frame_release(f);
        return;
    }
    if (!c->queue)
        c->queue = outq_borrow(&cx->outqs, c->body_only);
    if (!f || !c->queue || !outq_push(c->queue, f)) {
        frame_release(f);
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    counter_add(cx->counters, COUNTER_QUEUED_BYTES, (int64_t)frame_size(f, c->body_only));
    conn_mark_dirty(c);
}

static void conn_watch(struct conn *c, int events)
{
    struct client_context *cx = conn_context(c);
    ev_io_stop(cx->loop, &c->io);
    ev_io_modify(&c->io, events);
    if (!handshake_queue_has(c))
        ev_io_start(cx->loop, &c->io);
}

static void conn_queue_drop(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    if (!c->queue)
        return;
    assert(counter_read(cx->counters, COUNTER_QUEUED_BYTES) >= c->queue->bytes);
    counter_add(cx->counters, COUNTER_QUEUED_BYTES, -(int64_t)c->queue->bytes);
    outq_return(&cx->outqs, c->queue);
    c->queue = NULL;
}

static void streamless_remove(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    assert(!c->joined);
    TAILQ_REMOVE(&cx->streamless, c, in_streamless);
    limits_leave_streamless(cx->limits);
}

void conn_enter_streamless(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    TAILQ_INSERT_TAIL(&cx->streamless, c, in_streamless);
    limits_enter_streamless(cx->limits);
}

void conn_touch(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    assert(!c->joined);
    TAILQ_REMOVE(&cx->streamless, c, in_streamless);
    TAILQ_INSERT_TAIL(&cx->streamless, c, in_streamless);
}

void conn_leave_streamless(struct conn *c)
{
    streamless_remove(c);
    if (c->peer && conn_context(c)->accounts)
        conn_account(c)->client = c->peer->client;
    free(c->peer);
    c->subscriber = (struct subscriber){0};
    c->joined = true;
}

static bool is_legal_move(enum conn_state from, enum conn_state to)
{
#define TO(state) (1u << (state))
    static const unsigned legal[] = {
        [CONN_PROXY] = TO(CONN_HANDSHAKE) | TO(CONN_HEAD) | TO(CONN_CLOSED),
        [CONN_HANDSHAKE] = TO(CONN_HEAD) | TO(CONN_FINISHING) | TO(CONN_CLOSED),
        [CONN_HEAD] = TO(CONN_ADMITTING) | TO(CONN_FEED) | TO(CONN_FINISHING) | TO(CONN_CLOSED),
        [CONN_ADMITTING] = TO(CONN_WAITING) | TO(CONN_FINISHING) | TO(CONN_CLOSED),
        [CONN_WAITING] = TO(CONN_STREAM) | TO(CONN_FINISHING) | TO(CONN_CLOSED),
        [CONN_STREAM] = TO(CONN_FINISHING) | TO(CONN_CLOSED),
        [CONN_FEED] = TO(CONN_FINISHING) | TO(CONN_CLOSED),
        [CONN_FINISHING] = TO(CONN_LINGER) | TO(CONN_CLOSED),
        [CONN_LINGER] = TO(CONN_CLOSED),
        [CONN_CLOSED] = 0,
    };
    return (legal[from] & TO(to)) != 0;
#undef TO
}

// A stream that is over does not count for its user, however long its last bytes take.
static void leave_users(struct conn *c)
{
    if (!c->in_users)
        return;
    users_leave(conn_context(c)->settings->users, conn_id(c));
    c->in_users = false;
}

// Where there is no memory to say so, the lease expires.
static void leave_tier(struct conn *c)
{
    if (c->has_lease)
        (void)lease_ask(conn_context(c), QUESTION_RELEASE, conn_id(c), c->principal->subject, 0);
    c->has_lease = false;
}

static void count_waiting(struct client_context *cx, enum conn_state state, int n)
{
    if (state == CONN_ADMITTING)
        counter_add(cx->counters, COUNTER_ADMISSIONS_DECISION, n);
    else if (state == CONN_WAITING)
        counter_add(cx->counters, COUNTER_ADMISSIONS_REDIS, n);
}

void conn_set_state(struct conn *c, enum conn_state next)
{
    struct client_context *cx = conn_context(c);
    assert(is_legal_move(c->state, next));
    if (next >= CONN_FINISHING) {
        leave_users(c);
        leave_tier(c);
    }
    if (c->state == CONN_PROXY || c->state == CONN_HEAD)
        conn_head_free(cx, c->head);
    else if (c->state == CONN_HANDSHAKE)
        handshake_queue_leave(c);
    else if (c->state == CONN_ADMITTING)
        free(c->admission);
    else if (c->state == CONN_WAITING)
        free(c->origin);
    if (cx->accounts)
        conn_account_move(c, next);
    if (c->state == CONN_STREAM)
        cx->streams--;
    else if (next == CONN_STREAM)
        cx->streams++;
    count_waiting(cx, c->state, -1);
    count_waiting(cx, next, 1);
    c->give_up_ms = 0; // whatever of the union was used
    c->state = (uint8_t)next;
}

void conn_close(struct conn *c, enum close_reason reason)
{
    struct client_context *cx = conn_context(c);
    if (c->state == CONN_CLOSED)
        return;
    // The first reason counts: a client that closes while the gateway ends its stream was ended by the
    // gateway.
    if (c->state != CONN_FINISHING && c->state != CONN_LINGER)
        c->reason = (uint8_t)reason;
    conn_set_state(c, CONN_CLOSED);
    ev_io_stop(cx->loop, &c->io);
    wheel_remove(&cx->wheel, &c->deadline);
    conn_queue_drop(c);
    // A dirty connection is found by the flush, which then puts it here.
    if (!c->dirty) {
        c->mark_next = cx->closing;
        cx->closing = c;
    }
}

void conn_count_end(struct client_context *cx, enum close_reason reason)
{
    atomic_fetch_add_explicit(&cx->closes[reason], 1, memory_order_relaxed);
}

void conn_destroy(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    assert(c->state == CONN_CLOSED && !c->dirty && !c->queue && !wheel_is_set(&c->deadline));
    PROBE4(close, cx->index, (uint64_t)c->serial, close_reason_name(c->reason), (unsigned)c->is_stream);
    conn_log_end(c);
    if (c->joined) {
        hub_leave(cx->hub, &c->subscriber);
    } else {
        streamless_remove(c);
        free(c->peer);
    }
    if (c->has_place)
        limits_leave(cx->limits);
    if (c->is_stream)
        counter_add(cx->counters, COUNTER_STREAMS_OPEN, -1);
    conn_count_end(cx, (enum close_reason)c->reason);
    counter_add(cx->counters, COUNTER_SOCKETS_OPEN, -1);
    (void)close(c->io.fd); // on Linux the descriptor is gone even where close reports an error
    id_table_remove(&cx->conns, c);
    if (c->is_tls)
        conn_tls_destroy(c);
    principal_destroy(c->principal);
    free(c);
}

void conn_finish(struct conn *c, enum close_reason reason)
{
    if (c->state == CONN_CLOSED || c->state == CONN_FINISHING || c->state == CONN_LINGER)
        return;
    conn_set_state(c, CONN_FINISHING);
    c->reason = (uint8_t)reason;
    c->give_up_ms = clock_monotonic_ms() + FINISH_MAX_MS;
    conn_set_deadline(c, FINISH_TIMEOUT_MS);
    conn_mark_dirty(c);
}

static void conn_blocked(struct conn *c)
{
    assert(c->state != CONN_CLOSED);
    if (c->blocked)
        return;
    c->blocked = true;
    counter_add(conn_context(c)->counters, COUNTER_WRITES_BLOCKED, 1);
    conn_watch(c, EV_READ | EV_WRITE);
}

// All is written. Closing now could make the kernel answer unread input with RST, which destroys what the
// peer has not read yet (RFC 9112 section 9.6): so half-close, and wait for the peer.
static void conn_linger(struct conn *c)
{
    int said = c->is_tls ? conn_tls_shutdown(c) : 1;
    if (said == 0) {
        conn_blocked(c);
        return;
    }
    if (said < 0 || shutdown(c->io.fd, SHUT_WR) != 0) {
        conn_close(c, CLOSE_WRITE_FAILED);
        return;
    }
    if (c->is_tls)
        conn_tls_destroy(c);
    conn_set_state(c, CONN_LINGER);
    conn_set_deadline(c, LINGER_TIMEOUT_MS);
}

static void conn_written(struct conn *c)
{
    conn_queue_drop(c);
    if (c->blocked) {
        c->blocked = false;
        conn_watch(c, EV_READ);
        if (c->state == CONN_STREAM)
            hub_wake(conn_context(c)->hub, &c->subscriber);
    }
    if (c->state == CONN_FINISHING)
        conn_linger(c);
}

// The kernel gave the peer up: nothing was acknowledged for TCP_USER_TIMEOUT, or there is no route to the
// peer.
bool conn_is_lost(int failure)
{
    return failure == ETIMEDOUT || failure == EHOSTUNREACH || failure == ENETUNREACH || failure == ENETDOWN;
}

static ssize_t send_plain(struct conn *c, struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t n;
    do {
        // For a single piece send() is the cheaper call.
        n = count == 1 ? send(c->io.fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                       : sendmsg(c->io.fd, &msg, MSG_NOSIGNAL);
        counter_add(conn_context(c)->counters, COUNTER_WRITES, 1);
    } while (n < 0 && errno == EINTR);
    return n;
}

static void conn_lost(struct conn *c, int failure)
{
    conn_close(c, conn_is_lost(failure) ? CLOSE_REAPED : CLOSE_WRITE_FAILED);
}

// One system call. Returns the bytes that the socket took, or that wait encrypted; where it took none, the
// connection is blocked or closed.
static size_t conn_write(struct conn *c, struct iovec *iov, int count)
{
    struct client_context *cx = conn_context(c);
    bool tls = conn_tls_is_on(c);
    ssize_t n = tls ? conn_tls_write(c, iov, count) : send_plain(c, iov, count);
    int failure = errno;
    if (cx->read_redis && ++cx->writes % WRITES_BETWEEN_READS == 0)
        cx->read_redis(cx->read_redis_ctx);
    if (n >= 0) {
        counter_add(cx->counters, COUNTER_BYTES_SENT, n);
        c->deadline.owner = (uint32_t)cx->now_ms;
        if (cx->accounts)
            conn_account(c)->bytes += (uint64_t)n;
        if (c->state == CONN_FINISHING && c->give_up_ms > cx->now_ms + FINISH_TIMEOUT_MS)
            conn_set_deadline(c, FINISH_TIMEOUT_MS);
        if (tls && conn_tls_waiting(c) > 0)
            conn_blocked(c);
        return (size_t)n;
    }
    if (failure == EAGAIN || failure == EWOULDBLOCK)
        conn_blocked(c);
    else
        conn_lost(c, failure);
    return 0;
}

// False where bytes wait that are encrypted: the connection is blocked, or closed.
static bool is_flushed(struct conn *c)
{
    int flushed = conn_tls_is_on(c) ? conn_tls_flush(c) : 1;
    if (flushed == 0)
        conn_blocked(c);
    else if (flushed < 0)
        conn_lost(c, errno);
    return flushed > 0;
}

void conn_flush(struct conn *c)
{
    while (c->queue && c->queue->bytes > 0) {
        struct iovec iov[IOV_MAX_PER_WRITE];
        size_t n = conn_write(c, iov, outq_gather(c->queue, iov, IOV_MAX_PER_WRITE));
        if (n == 0)
            return;
        outq_consume(c->queue, n);
        counter_add(conn_context(c)->counters, COUNTER_QUEUED_BYTES, -(int64_t)n);
    }
    if (c->state != CONN_CLOSED && is_flushed(c))
        conn_written(c);
}

void conn_send_now(struct conn *c, struct frame *f)
{
    size_t n = 0;
    if (!c->queue) {
        struct iovec pieces[FRAME_PIECES];
        n = conn_write(c, pieces, frame_pieces(f, c->body_only, pieces));
        if (n == frame_size(f, c->body_only) || c->state == CONN_CLOSED)
            return;
    }
    conn_send(c, frame_retain(f));
    if (n > 0 && c->queue) {
        outq_consume(c->queue, n);
        counter_add(conn_context(c)->counters, COUNTER_QUEUED_BYTES, -(int64_t)n);
    }
}
