#include "gateway/client/client_loop.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/container_of.h"
#include "common/jitter.h"
#include "common/memory.h"
#include "common/probes.h"
#include "gateway/client/admission.h"
#include "gateway/client/admission_asks.h"
#include "gateway/client/conn.h"
#include "gateway/client/conn_account.h"
#include "gateway/client/conn_deadline.h"
#include "gateway/client/conn_proxy.h"
#include "gateway/client/conn_read.h"
#include "gateway/client/conn_tls.h"
#include "gateway/client/end_some.h"
#include "gateway/client/handshake_queue.h"
#include "gateway/client/lease_renewal.h"
#include "gateway/client/request.h"
#include "gateway/client/revocation.h"
#include "gateway/client/stream.h"
#include "gateway/client/ticket_request.h"

// A tick that comes more than this after the one before it shows that the loop was slow, not the clients.
#define LATE_MS 1000u
// Frames per turn for lagging streams: a fraction of a millisecond, so that live events need not wait.
#define FEED_BUDGET 256u
// Frames or bytes that a lagging stream collects before they leave in one write: far below --queue-limit,
// which is there for slow clients.
#define FEED_WRITE 32u
#define FEED_WRITE_BYTES 65536u
// Bytes that libev's table takes per descriptor: twice sizeof(ANFD), since the table grows by doubling.
#define EV_BYTES_PER_FD 32u

static struct conn *conn_of_subscriber(struct subscriber *s)
{
    return container_of(s, struct conn, subscriber);
}

static void on_deadline(struct wheel_entry *e, void *ctx)
{
    const struct client_loop *l = ctx;
    struct conn *c = container_of(e, struct conn, deadline);
    if (!l->is_late || !conn_deadline_excuse(c))
        conn_deadline_over(c);
}

static size_t client_bytes(const struct client_context *cx)
{
    return cx->conns.count * (memory_block(conn_block_size(cx->settings, false)) + EV_BYTES_PER_FD) +
           cx->tls_bytes + cx->head_bytes + id_table_bytes(&cx->conns) +
           (cx->outqs.lent + cx->outqs.free_count) * memory_block(sizeof(struct outq)) +
           (cx->hub ? hub_bytes(cx->hub) : 0);
}

static void note_lag(struct client_context *cx, uint64_t now_ns)
{
    loop_lag_tick(&cx->counters->lag, WHEEL_TICK_MS * UINT64_C(1000000), now_ns);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct client_loop *l = w->data;
    struct client_context *cx = &l->context;
    uint64_t now_ns = clock_monotonic_ns();
    note_lag(cx, now_ns);
    cx->now_ms = now_ns / 1000000u;
    l->is_late = cx->now_ms > l->last_tick_ms + LATE_MS;
    l->last_tick_ms = cx->now_ms;
    http_date((int64_t)ev_now(loop), cx->date);
    wheel_advance(&cx->wheel, cx->now_ms, on_deadline, l);
    outq_pool_trim(&cx->outqs);
    revocation_tick(cx);
    lease_renewal_tick(cx);
    if (cx->hub)
        hub_tick(cx->hub, cx->now_ms);
    counter_set(cx->counters, COUNTER_CONNECTION_BYTES, client_bytes(cx));
    counter_set(cx->counters, COUNTER_REPLAY_BYTES, cx->hub ? hub_replay_bytes(cx->hub) : 0);
}

static void flush(struct client_context *cx)
{
    while (cx->dirty) {
        struct conn *c = cx->dirty;
        if (c->once)
            stream_end_once(c); // still dirty: what this sends marks it no second time
        assert(cx->dirty == c);
        cx->dirty = c->mark_next;
        c->dirty = false;
        if (c->state == CONN_CLOSED) {
            c->mark_next = cx->closing;
            cx->closing = c;
        } else {
            conn_flush(c);
        }
    }
    while (cx->closing) {
        struct conn *c = cx->closing;
        cx->closing = c->mark_next;
        conn_destroy(c);
    }
}

static void feed_lagging(struct client_loop *l)
{
    struct client_context *cx = &l->context;
    cx->coalesce = true;
    (void)hub_feed(cx->hub, FEED_BUDGET); // hub_feed is asked again before the loop sleeps
    client_loop_flush(l);
}

// After the flush, which wakes streams whose sockets have room again.
static bool has_more_to_do(struct client_context *cx)
{
    return cx->handshakes.must_go_on || (cx->hub && hub_feed(cx->hub, 0));
}

static void on_end_of_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)loop, (void)events;
    struct client_loop *l = w->data;
    l->context.now_ms = clock_monotonic_ms();
    conn_read_handshakes(&l->context);
    client_loop_flush(l);
    if (l->context.hub)
        feed_lagging(l);
    if (has_more_to_do(&l->context))
        ev_idle_start(l->context.loop, &l->feeding);
    else
        ev_idle_stop(l->context.loop, &l->feeding);
}

static void on_feeding(struct ev_loop *loop, ev_idle *w, int events)
{
    (void)loop, (void)w, (void)events; // the end of the turn does the work
}

// The hub's callbacks to subscribers. Their `ctx` is that of the callbacks to the bus, and not used here.

static void on_frame(void *ctx, struct subscriber *s, struct frame *f)
{
    (void)ctx;
    stream_deliver(conn_of_subscriber(s), f);
}

// In the place of on_frame where connections have accounts: elsewhere a delivery does not even ask.
static void on_frame_counted(void *ctx, struct subscriber *s, struct frame *f)
{
    struct conn *c = conn_of_subscriber(s);
    if (c->state == CONN_STREAM)
        conn_account(c)->events++;
    on_frame(ctx, s, f);
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
    if (c->once && c->state == CONN_STREAM)
        conn_mark(c); // it may have caught up by this step: the end of the turn ends it
    // A connection that is over will never take a frame: no page must be read for it.
    return c->state == CONN_WAITING                ? SUBSCRIBER_NOT_OPEN
           : c->state != CONN_STREAM || c->blocked ? SUBSCRIBER_BLOCKED
                                                   : SUBSCRIBER_READY;
}

static void on_no_memory(void *ctx, struct subscriber *s)
{
    (void)ctx;
    conn_close(conn_of_subscriber(s), CLOSE_OUT_OF_MEMORY);
}

bool client_loop_init(struct client_loop *l, const struct client_loop_setup *setup)
{
    struct client_context *cx = &l->context;
    *l = (struct client_loop){0};
    *cx = (struct client_context){.index = setup->index,
                                  .loop = setup->loop,
                                  .settings = setup->settings,
                                  .accounts = setup->settings->accounts,
                                  .hooks = *setup->hooks,
                                  .counters = setup->counters,
                                  .limits = setup->limits};
    id_table_init(&cx->conns, conn_serial);
    TAILQ_INIT(&cx->streamless);
    handshake_queue_init(&cx->handshakes);
    cx->routes[0] = request_stream_route(cx->settings);
    cx->routes[1] = request_server_route();
    if (cx->settings->ticket_keys)
        cx->routes[2] = ticket_route();
    cx->random = jitter_seed();
    cx->age_seed = jitter_next(&cx->random);
    cx->now_ms = clock_monotonic_ms();
    cx->policy = cx->settings->policy;
    cx->policy.date = cx->date;
    http_date((int64_t)ev_now(cx->loop), cx->date);
    cx->wheel.start_ms = cx->now_ms;
    cx->scratch = malloc(SCRATCH_SIZE);
    cx->heartbeat = frame_from_bytes(":\n", 2, true);
    if (!cx->scratch || !cx->heartbeat || !stream_request_init(&cx->request, cx->settings->max_channels))
        return false;
    ev_prepare_init(&l->end_of_turn, on_end_of_turn);
    l->end_of_turn.data = l;
    ev_prepare_start(cx->loop, &l->end_of_turn);
    ev_idle_init(&l->feeding, on_feeding);
    ev_timer_init(&l->tick, on_tick, WHEEL_TICK_MS / 1000.0, WHEEL_TICK_MS / 1000.0);
    ev_set_priority(&l->tick, EV_MINPRI); // sockets first: what has arrived is not late
    l->tick.data = l;
    l->last_tick_ms = cx->now_ms;
    ev_timer_start(cx->loop, &l->tick);
    note_lag(cx, clock_monotonic_ns());
    return true;
}

bool client_loop_enable_streams(struct client_loop *l, const struct hub_events *bus)
{
    struct client_context *cx = &l->context;
    struct hub_events events = {.on_interest = bus->on_interest,
                                .on_history = bus->on_history,
                                .on_frame = cx->accounts ? on_frame_counted : on_frame,
                                .on_ready = on_ready,
                                .readiness = on_readiness,
                                .on_no_memory = on_no_memory,
                                .ctx = bus->ctx};
    cx->hub = hub_create(&events, &(struct hub_settings){.replay_budget = cx->settings->replay_budget,
                                                         .durable_named = cx->settings->durable_named});
    if (cx->hub)
        hub_tick(cx->hub, cx->now_ms); // so that it knows the time before the first tick
    return cx->hub != NULL;
}

void client_loop_deinit(struct client_loop *l)
{
    struct client_context *cx = &l->context;
    size_t cursor = 0;
    for (struct conn *c; (c = id_table_next(&cx->conns, &cursor));)
        conn_close(c, CLOSE_STOPPED);
    flush(cx);
    ev_prepare_stop(cx->loop, &l->end_of_turn);
    ev_timer_stop(cx->loop, &l->tick);
    ev_idle_stop(cx->loop, &l->feeding);
    client_drain_stop(&l->drain);
    assert(TAILQ_EMPTY(&cx->streamless));
    id_table_deinit(&cx->conns);
    assert(cx->wheel.count == 0);
    hub_destroy(cx->hub);
    outq_pool_deinit(&cx->outqs);
    stream_request_deinit(&cx->request);
    frame_release(cx->heartbeat);
    frame_release(cx->sourced);
    tls_crypt_destroy(cx->crypt);
    free(cx->scratch);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    struct conn *c = container_of(w, struct conn, io);
    if (events & EV_ERROR) { // epoll_ctl(2) had no memory or no watch left, and libev has stopped the watcher
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    if (events & EV_READ)
        conn_read(c);
    if ((events & EV_WRITE) && c->state != CONN_CLOSED)
        conn_flush(c);
}

// Idle connections and half heads must not take the descriptors that streams, and Redis, need: those that
// were idle longest go, at once, since more may be accepted in this turn. Other loops evict theirs.
static void make_room(struct client_context *cx, const struct conn *newest)
{
    struct conn *oldest;
    while (limits_crowded(cx->limits) && (oldest = TAILQ_FIRST(&cx->streamless)) != newest) {
        conn_close(oldest, CLOSE_EVICTED);
        flush(cx);
    }
}

void client_loop_add(struct client_loop *l, int fd, const struct listen_attributes *from,
                     const struct peer_address *peer)
{
    struct client_context *cx = &l->context;
    counter_add(cx->counters, COUNTER_SOCKETS_ACCEPTED, 1);
    struct conn *c = calloc(1, conn_block_size(cx->settings, from->tls));
    if (c && peer && (c->peer = calloc(1, sizeof *c->peer)))
        c->peer->socket = *peer;
    uint64_t serial = c && (!peer || c->peer) ? id_table_add(&cx->conns, c) : 0;
    if (serial == 0) {
        if (c)
            free(c->peer);
        free(c);
        (void)close(fd);
        conn_count_end(cx, CLOSE_OUT_OF_MEMORY);
        return;
    }
    c->serial = serial & ((UINT64_C(1) << CONN_SERIAL_BITS) - 1);
    ev_io_init(&c->io, on_io, fd, EV_READ);
    c->io.data = cx;
    c->is_tls = from->tls;
    c->is_admin = from->role == LISTENER_ADMIN;
    c->state = peer && cx->settings->proxy_protocol != PROXY_OFF ? CONN_PROXY : conn_after_proxy(c);
    c->deadline.owner = (uint32_t)cx->now_ms;
    c->reason = CLOSE_HEAD_TIMEOUT;
    if (cx->accounts)
        conn_account(c)->accepted_ms = clock_monotonic_ms();
    PROBE3(accept, cx->index, serial, fd);
    conn_enter_streamless(c);
    make_room(cx, c);
    counter_add(cx->counters, COUNTER_SOCKETS_OPEN, 1);
    conn_set_deadline(c, client_head_ms(cx));
    ev_io_start(cx->loop, &c->io);
    if (c->state == CONN_PROXY)
        conn_proxy_begin(c);
    // The request is usually there already: one wake-up less.
    if (c->state != CONN_CLOSED && c->state != CONN_HANDSHAKE)
        conn_read(c);
}

size_t client_loop_deliver(struct client_loop *l, struct frame *f, bool more)
{
    if (more)
        l->context.coalesce = true;
    size_t streams = hub_deliver(l->context.hub, f);
    PROBE4(deliver, f->channel, f->channel_len, f->body_len, streams);
    frame_release(f);
    return streams;
}

void client_loop_flush(struct client_loop *l)
{
    l->context.coalesce = false;
    flush(&l->context);
    // Mails may come behind the end of the turn, where the bus shares the loop: lagging streams must not wait
    // for the next.
    if (l->context.hub && hub_feed(l->context.hub, 0))
        ev_idle_start(l->context.loop, &l->feeding);
}

void client_loop_end_stream(struct client_loop *l, uint64_t id, enum close_reason reason)
{
    struct conn *c = conn_find(&l->context, id);
    if (c)
        admission_end(c, reason, "This stream was ended before it opened; try again.");
}

size_t client_loop_streams(const struct client_loop *l)
{
    return l->context.streams;
}

size_t client_loop_end_some(struct client_loop *l, size_t n, uint64_t min_age_ms, enum close_reason reason)
{
    return end_some_streams(&l->context, n, min_age_ms, reason);
}

void client_loop_answer(struct client_loop *l, struct question *q)
{
    struct client_context *cx = &l->context;
    if (q->kind == QUESTION_RENEW)
        lease_renewed(cx, q);
    else if (q->walk)
        revocation_answered(cx, q);
    else if (q->connection)
        admission_answered(cx, q);
    else if (cx->settings->revocation)
        revocation_apply(cx, q);
    free(q);
}

void client_loop_recheck(struct client_loop *l)
{
    if (l->context.settings->revocation)
        revocation_recheck(&l->context);
    lease_renewal_begin(&l->context);
}

void client_loop_drain(struct client_loop *l, const struct drain_plan *plan)
{
    client_drain_begin(&l->drain, &l->context, plan);
}

bool client_loop_is_drained(const struct client_loop *l)
{
    return l->context.draining && l->context.conns.count == 0;
}

struct hub *client_loop_hub(struct client_loop *l)
{
    return l->context.hub;
}

uint64_t client_loop_closes(const struct client_loop *l, enum close_reason reason)
{
    return atomic_load_explicit(&l->context.closes[reason], memory_order_relaxed);
}

void client_loop_set_read_redis(struct client_loop *l, void (*read_redis)(void *ctx), void *ctx)
{
    l->context.read_redis = read_redis;
    l->context.read_redis_ctx = ctx;
}
