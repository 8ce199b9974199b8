#include "gateway/client/handshake_queue.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"
#include "gateway/client/connect_rate.h"

// Time that a turn of the loop may spend on handshakes before others wait for the next turn: what an open
// stream may wait beside the handshake that is being worked on. Each turn makes progress with at least one.
#define NS_PER_TURN 2000000u
// A client that does not go on makes way after this long, where others wait for its place.
#define PATIENCE_MS 2000u
// A client that waited for this long before its first message was read is let go: it has half of its time left at most,
// and those behind it have more.
#define WAIT_MAX_MS 5000u

struct handshake {
    TAILQ_ENTRY(handshake) in_list;  // while it waits
    struct handshake_list *list;     // that list; NULL: it does not wait
    TAILQ_ENTRY(handshake) in_begun; // while it has a place
    struct conn *conn;
    uint64_t since_ms; // when it came; once it has a place, when it got that
    bool has_place;
};

void handshake_queue_init(struct handshake_queue *q)
{
    *q = (struct handshake_queue){0};
    TAILQ_INIT(&q->arrived);
    TAILQ_INIT(&q->fresh);
    TAILQ_INIT(&q->answers);
    TAILQ_INIT(&q->begun);
}

static void leave_list(struct handshake *h)
{
    TAILQ_REMOVE(h->list, h, in_list);
    h->list = NULL;
}

static void fail(struct conn *c, enum counter why, enum close_reason reason)
{
    counter_add(conn_context(c)->counters, why, 1);
    conn_close(c, reason);
}

// Where all places are taken, the client that has had one here longest makes way, if that is long enough.
static void make_place(struct client_context *cx)
{
    struct handshake *oldest = TAILQ_FIRST(&cx->handshakes.begun);
    if (oldest && !oldest->list && cx->now_ms - oldest->since_ms >= PATIENCE_MS &&
        limits_handshakes_full(cx->limits))
        fail(oldest->conn, COUNTER_TLS_FAILED_CROWDED, CLOSE_EVICTED);
}

void handshake_queue_begin(struct client_context *cx)
{
    struct handshake_queue *q = &cx->handshakes;
    q->spent_ns = 0;
    q->must_go_on = false;
    for (struct handshake *h; (h = TAILQ_FIRST(&q->arrived));) {
        leave_list(h);
        h->list = h->has_place ? &q->answers : &q->fresh;
        TAILQ_INSERT_TAIL(h->list, h, in_list);
    }
    make_place(cx); // for another loop, too, that may have none at all
}

// Whether the address of a client that is no proxy may begin one more.
static bool has_token(const struct conn *c)
{
    const struct client_context *cx = conn_context(c);
    struct connect_rate *rate = cx->settings->handshake_rate;
    if (!rate || !c->peer || peer_ranges_have(&cx->settings->trusted, &c->peer->socket))
        return true;
    uint64_t key = peer_address_key(&c->peer->socket);
    return key == 0 || connect_rate_take(rate, key, cx->now_ms);
}

static struct handshake *create(struct conn *c)
{
    if (!has_token(c)) {
        fail(c, COUNTER_TLS_FAILED_RATE, CLOSE_HANDSHAKE_FAILED);
        return NULL;
    }
    struct handshake *h = calloc(1, sizeof *h);
    if (!h) {
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return NULL;
    }
    h->conn = c;
    h->since_ms = conn_context(c)->now_ms;
    conn_context(c)->tls_bytes += memory_block(sizeof *h);
    return h;
}

void handshake_queue_add(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    assert(c->state == CONN_HANDSHAKE);
    if (!c->handshake && !(c->handshake = create(c)))
        return;
    struct handshake *h = c->handshake;
    assert(!h->list);
    h->list = &cx->handshakes.arrived;
    TAILQ_INSERT_HEAD(h->list, h, in_list); // libev calls for what was ready last first
    ev_io_stop(cx->loop, &c->io);
}

bool handshake_queue_has(const struct conn *c)
{
    return c->state == CONN_HANDSHAKE && c->handshake && c->handshake->list;
}

// A place for `h`. False: none for now.
static bool take_place(struct client_context *cx, struct handshake *h)
{
    make_place(cx);
    if (!limits_enter_handshake(cx->limits))
        return false;
    TAILQ_INSERT_TAIL(&cx->handshakes.begun, h, in_begun);
    h->has_place = true;
    h->since_ms = cx->now_ms;
    return true;
}

// The first that may go on.
static struct handshake *take_next(struct client_context *cx)
{
    struct handshake_queue *q = &cx->handshakes;
    struct handshake *h = TAILQ_FIRST(&q->answers);
    if (h)
        return h;
    while ((h = TAILQ_FIRST(&q->fresh)) && cx->now_ms - h->since_ms >= WAIT_MAX_MS)
        fail(h->conn, COUNTER_TLS_FAILED_CROWDED, CLOSE_EVICTED);
    return h && take_place(cx, h) ? h : NULL;
}

struct conn *handshake_queue_next(struct client_context *cx)
{
    struct handshake_queue *q = &cx->handshakes;
    if (q->spent_ns >= NS_PER_TURN) {
        q->must_go_on = !TAILQ_EMPTY(&q->answers) || !TAILQ_EMPTY(&q->fresh);
        counter_add(cx->counters, COUNTER_TLS_POSTPONED, q->must_go_on);
        return NULL;
    }
    struct handshake *h = take_next(cx);
    if (!h)
        return NULL;
    leave_list(h);
    ev_io_start(cx->loop, &h->conn->io);
    return h->conn;
}

void handshake_queue_leave(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    struct handshake *h = c->handshake;
    if (!h)
        return;
    if (h->list)
        leave_list(h);
    if (h->has_place) {
        TAILQ_REMOVE(&cx->handshakes.begun, h, in_begun);
        limits_leave_handshake(cx->limits);
    }
    cx->tls_bytes -= memory_block(sizeof *h);
    free(h);
}
