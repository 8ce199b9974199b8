#include "gateway/client/conn_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "common/memory.h"
#include "gateway/client/conn.h"
#include "gateway/client/request.h"
#include "gateway/client/stream.h"

// A stream's client has nothing to say: one that sends more than this is ended, so that it cannot make us
// read for ever.
#define NOISE_MAX 65536u
// While draining, a connection on which no request has begun has this long to send one (it gets a refusal) or
// is closed.
#define DRAIN_IDLE_MS 1000u

const char *close_reason_name(enum close_reason reason)
{
    static const char *const names[] = {
#define X(symbol, name) name,
        CLOSE_REASONS(X)
#undef X
    };
    return names[reason];
}

static struct conn *conn_of_deadline(struct wheel_entry *e)
{
    return (struct conn *)((char *)e - offsetof(struct conn, deadline));
}

static struct conn *conn_of_subscriber(struct subscriber *s)
{
    return (struct conn *)((char *)s - offsetof(struct conn, subscriber));
}

static void on_deadline(struct wheel_entry *e, void *ctx)
{
    (void)ctx;
    struct conn *c = conn_of_deadline(e);
    switch ((enum conn_state)c->state) {
    case CONN_HEAD:
        request_timeout(c);
        break;
    case CONN_WAITING:
        stream_refuse(c, "Redis did not confirm the subscription in time.");
        break;
    case CONN_STREAM:
        stream_heartbeat(c);
        break;
    case CONN_FINISHING:
    case CONN_LINGER:
        conn_close(c, CLOSE_CLIENT_GONE);
        break;
    case CONN_CLOSED:
        break;
    }
}

// What libev keeps per descriptor in its table, which grows by doubling: twice sizeof(ANFD).
#define EV_BYTES_PER_FD 32u

static size_t conn_table_bytes(const struct conn_table *t)
{
    return t->count * (memory_block(sizeof(struct conn)) + EV_BYTES_PER_FD) +
           t->outqs.total * memory_block(sizeof(struct outq)) + (t->hub ? hub_bytes(t->hub) : 0);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct conn_table *t = w->data;
    t->now_ms = clock_monotonic_ms();
    wheel_advance(t->wheel, t->now_ms, on_deadline, t);
    outq_pool_trim(&t->outqs);
    counter_set(t->counters, COUNTER_CONNECTION_BYTES, conn_table_bytes(t));
}

void conn_table_flush(struct conn_table *t)
{
    while (t->dirty) {
        struct conn *c = t->dirty;
        t->dirty = c->mark_next;
        c->dirty = false;
        if (c->state == CONN_CLOSED) {
            c->mark_next = t->closing;
            t->closing = c;
        } else {
            conn_flush(c);
        }
    }
    while (t->closing) {
        struct conn *c = t->closing;
        t->closing = c->mark_next;
        conn_destroy(c);
    }
}

static void on_end_of_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)loop, (void)events;
    struct conn_table *t = w->data;
    t->now_ms = clock_monotonic_ms();
    conn_table_flush(t);
}

static void on_frame(void *ctx, struct subscriber *s, struct frame *f)
{
    (void)ctx;
    stream_deliver(conn_of_subscriber(s), f);
}

static void on_confirmed(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct conn *c = conn_of_subscriber(s);
    if (c->state == CONN_WAITING)
        stream_open(c);
}

bool conn_table_init(struct conn_table *t, struct ev_loop *loop, const struct client_settings *settings,
                     const struct client_hooks *hooks, struct counters *counters)
{
    *t = (struct conn_table){.loop = loop, .settings = settings, .hooks = *hooks, .counters = counters};
    t->random = jitter_seed();
    t->now_ms = clock_monotonic_ms();
    t->wheel = wheel_create(t->now_ms);
    t->scratch = malloc(SCRATCH_SIZE);
    t->heartbeat = frame_from_bytes(":\n", 2, true);
    if (!t->wheel || !t->scratch || !t->heartbeat ||
        !stream_request_init(&t->request, settings->max_channels))
        return false;
    ev_prepare_init(&t->end_of_turn, on_end_of_turn);
    t->end_of_turn.data = t;
    ev_prepare_start(loop, &t->end_of_turn);
    ev_timer_init(&t->tick, on_tick, WHEEL_TICK_MS / 1000.0, WHEEL_TICK_MS / 1000.0);
    t->tick.data = t;
    ev_timer_start(loop, &t->tick);
    return true;
}

bool conn_table_enable_streams(struct conn_table *t, struct limits *limits,
                               void (*on_interest)(void *ctx, uint64_t hash, const char *name, size_t len,
                                                   bool wanted),
                               void *ctx)
{
    struct hub_events events = {
        .on_interest = on_interest, .on_frame = on_frame, .on_confirmed = on_confirmed, .ctx = ctx};
    t->limits = limits;
    t->hub = hub_create(&events);
    return t->hub != NULL;
}

void conn_table_deinit(struct conn_table *t)
{
    for (struct conn *c = t->all; c; c = c->next)
        conn_close(c, CLOSE_STOPPED);
    conn_table_flush(t);
    ev_prepare_stop(t->loop, &t->end_of_turn);
    ev_timer_stop(t->loop, &t->tick);
    hub_destroy(t->hub);
    wheel_destroy(t->wheel);
    outq_pool_deinit(&t->outqs);
    stream_request_deinit(&t->request);
    frame_release(t->heartbeat);
    free(t->scratch);
}

// Keeps what has come of a head for the next read. False when out of memory.
static bool head_keep(struct conn *c, const char *bytes, size_t len, size_t scanned)
{
    struct conn_head *head = malloc(sizeof *head + len);
    if (!head)
        return false;
    *head = (struct conn_head){.len = len, .scanned = scanned};
    memcpy(head->bytes, bytes, len);
    c->head = head;
    return true;
}

// Requests one after another, while the connection is one that may send another.
static void conn_take_requests(struct conn *c, const char *bytes, size_t len, size_t scanned)
{
    while (c->state == CONN_HEAD && len > 0) {
        size_t used = request_read(c, bytes, len, &scanned);
        if (used == 0) {
            if (!head_keep(c, bytes, len, scanned))
                conn_close(c, CLOSE_OUT_OF_MEMORY);
            return;
        }
        bytes += used;
        len -= used;
        scanned = 0;
    }
}

static void conn_read_head(struct conn *c, const char *bytes, size_t len)
{
    struct conn_table *t = conn_table_of(c);
    if (!c->head) {
        // From here the client has so long for its whole head.
        conn_set_deadline(c, t->settings->head_timeout_ms);
        conn_take_requests(c, bytes, len, 0);
        return;
    }
    struct conn_head *old = c->head;
    size_t total = old->len + len;
    char *whole = malloc(total);
    if (!whole) {
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    memcpy(whole, old->bytes, old->len);
    memcpy(whole + old->len, bytes, len);
    size_t scanned = old->scanned;
    free(old);
    c->head = NULL;
    conn_take_requests(c, whole, total, scanned);
    free(whole);
}

static void on_readable(struct conn *c)
{
    char bytes[HTTP_HEAD_MAX];
    ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c, n < 0 && conn_is_lost(errno) ? CLOSE_REAPED : CLOSE_CLIENT_GONE);
        return;
    }
    if (c->state == CONN_HEAD) {
        conn_read_head(c, bytes, (size_t)n);
        return;
    }
    if (c->state == CONN_WAITING)
        return; // counted from STREAM on; the Origin is held in the same place until then
    c->discarded += (uint64_t)n;
    if (c->discarded > NOISE_MAX)
        conn_close(c, CLOSE_NOISY);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    struct conn *c = (struct conn *)w;
    if (events & EV_READ)
        on_readable(c);
    if ((events & EV_WRITE) && c->state != CONN_CLOSED)
        conn_flush(c);
}

void conn_table_add(struct conn_table *t, int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        (void)close(fd);
        return;
    }
    ev_io_init(&c->io, on_io, fd, EV_READ);
    c->io.data = t;
    c->last_write_ms = (uint32_t)t->now_ms;
    c->next = t->all;
    if (t->all)
        t->all->prev = c;
    t->all = c;
    t->count++;
    counter_add(t->counters, COUNTER_SOCKETS_ACCEPTED, 1);
    counter_add(t->counters, COUNTER_SOCKETS_OPEN, 1);
    conn_set_deadline(c, t->draining ? DRAIN_IDLE_MS : t->settings->head_timeout_ms);
    ev_io_start(t->loop, &c->io);
    // The request is usually there already: one wake-up less.
    on_readable(c);
}

void conn_table_drain(struct conn_table *t)
{
    t->draining = true;
    for (struct conn *c = t->all; c; c = c->next) {
        if (c->state == CONN_STREAM)
            stream_end(c, CLOSE_DRAIN);
        else if (c->state == CONN_WAITING)
            stream_refuse(c, "This gateway is draining; another one will serve you.");
        else if (c->state == CONN_HEAD)
            conn_set_deadline(c, DRAIN_IDLE_MS);
    }
}
