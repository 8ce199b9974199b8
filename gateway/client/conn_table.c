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
#include "gateway/client/conn_read.h"
#include "gateway/client/request.h"
#include "gateway/client/stream.h"

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

// Frames per turn for lagging streams: a fraction of a millisecond, so that live events need not wait.
#define FEED_BUDGET 256u
// So many of them leave in one write, or so many bytes: far from --queue-limit, which is there for slow
// clients.
#define FEED_WRITE 32u
#define FEED_WRITE_BYTES 65536u

// What libev keeps per descriptor in its table, which grows by doubling: twice sizeof(ANFD).
#define EV_BYTES_PER_FD 32u

static size_t conn_table_bytes(const struct conn_table *t)
{
    return t->count * (memory_block(sizeof(struct conn)) + EV_BYTES_PER_FD) +
           t->outqs.total * memory_block(sizeof(struct outq)) + (t->hub ? hub_bytes(t->hub) : 0);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct conn_table *t = w->data;
    t->now_ms = clock_monotonic_ms();
    http_date((int64_t)ev_now(loop), t->date);
    wheel_advance(t->wheel, t->now_ms, on_deadline, t);
    outq_pool_trim(&t->outqs);
    if (t->hub)
        hub_tick(t->hub, t->now_ms);
    counter_set(t->counters, COUNTER_CONNECTION_BYTES, conn_table_bytes(t));
    counter_set(t->counters, COUNTER_REPLAY_BYTES, t->hub ? hub_replay_bytes(t->hub) : 0);
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

static void conn_table_feed(struct conn_table *t)
{
    t->coalesce = true;
    (void)hub_feed(t->hub, FEED_BUDGET);
    t->coalesce = false;
    conn_table_flush(t);
    if (hub_feed(t->hub, 0)) // asked behind the flush: a socket that had room again has woken its stream
        ev_idle_start(t->loop, &t->feeding);
    else
        ev_idle_stop(t->loop, &t->feeding);
}

static void on_end_of_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)loop, (void)events;
    struct conn_table *t = w->data;
    t->now_ms = clock_monotonic_ms();
    conn_table_flush(t);
    if (t->hub)
        conn_table_feed(t);
}

static void on_feeding(struct ev_loop *loop, ev_idle *w, int events)
{
    (void)loop, (void)w, (void)events; // the end of the turn does the work
}

static void on_frame(void *ctx, struct subscriber *s, struct frame *f)
{
    (void)ctx;
    stream_deliver(conn_of_subscriber(s), f);
}

static void on_ready(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct conn *c = conn_of_subscriber(s);
    if (c->state == CONN_WAITING)
        stream_open(c);
}

static enum subscriber_readiness on_readiness(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct conn *c = conn_of_subscriber(s);
    if (c->state == CONN_STREAM && !c->blocked && c->queue &&
        (c->queue->count >= FEED_WRITE || c->queue->bytes >= FEED_WRITE_BYTES))
        conn_flush(c);
    // One that is over will never take anything: no page must be read for it.
    return c->state == CONN_WAITING                ? SUBSCRIBER_NOT_OPEN
           : c->state != CONN_STREAM || c->blocked ? SUBSCRIBER_BLOCKED
                                                   : SUBSCRIBER_READY;
}

static void on_no_memory(void *ctx, struct subscriber *s)
{
    (void)ctx;
    conn_close(conn_of_subscriber(s), CLOSE_OUT_OF_MEMORY);
}

static bool on_interest(void *ctx, struct channel_ref channel, uint64_t subscribe_seq)
{
    struct conn_table *t = ctx;
    return t->bus.on_interest(t->bus.ctx, channel, subscribe_seq);
}

static bool on_history(void *ctx, struct channel_ref channel, const struct history_query *query)
{
    struct conn_table *t = ctx;
    counter_add(t->counters, COUNTER_HISTORY_READS, 1);
    return t->bus.on_history(t->bus.ctx, channel, query);
}

bool conn_table_init(struct conn_table *t, struct ev_loop *loop, const struct client_settings *settings,
                     const struct client_hooks *hooks, struct counters *counters)
{
    *t = (struct conn_table){.loop = loop, .settings = settings, .hooks = *hooks, .counters = counters};
    t->random = jitter_seed();
    t->now_ms = clock_monotonic_ms();
    t->policy = settings->policy;
    t->policy.date = t->date;
    http_date((int64_t)ev_now(loop), t->date);
    t->wheel = wheel_create(t->now_ms);
    t->scratch = malloc(SCRATCH_SIZE);
    t->heartbeat = frame_from_bytes(":\n", 2, true);
    if (!t->wheel || !t->scratch || !t->heartbeat ||
        !stream_request_init(&t->request, settings->max_channels))
        return false;
    ev_prepare_init(&t->end_of_turn, on_end_of_turn);
    t->end_of_turn.data = t;
    ev_prepare_start(loop, &t->end_of_turn);
    ev_idle_init(&t->feeding, on_feeding);
    ev_timer_init(&t->tick, on_tick, WHEEL_TICK_MS / 1000.0, WHEEL_TICK_MS / 1000.0);
    t->tick.data = t;
    ev_timer_start(loop, &t->tick);
    return true;
}

bool conn_table_enable_streams(struct conn_table *t, struct limits *limits, const struct client_bus *bus)
{
    struct hub_events events = {.on_interest = on_interest,
                                .on_history = on_history,
                                .on_frame = on_frame,
                                .on_ready = on_ready,
                                .readiness = on_readiness,
                                .on_no_memory = on_no_memory,
                                .ctx = t};
    t->limits = limits;
    t->bus = *bus;
    t->hub = hub_create(&events, &(struct hub_settings){.replay_budget = t->settings->replay_budget,
                                                        .durable_named = t->settings->durable_named});
    if (t->hub)
        hub_tick(t->hub, t->now_ms); // so that it knows the time before the first tick
    return t->hub != NULL;
}

void conn_table_deinit(struct conn_table *t)
{
    for (struct conn *c = t->all; c; c = c->next)
        conn_close(c, CLOSE_STOPPED);
    conn_table_flush(t);
    ev_prepare_stop(t->loop, &t->end_of_turn);
    ev_timer_stop(t->loop, &t->tick);
    ev_idle_stop(t->loop, &t->feeding);
    hub_destroy(t->hub);
    wheel_destroy(t->wheel);
    outq_pool_deinit(&t->outqs);
    stream_request_deinit(&t->request);
    frame_release(t->heartbeat);
    free(t->scratch);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    struct conn *c = (struct conn *)w;
    if (events & EV_READ)
        conn_read(c);
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
    conn_read(c);
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
