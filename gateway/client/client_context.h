// The state that the connections of one loop share: settings, hub, pools, timers, and the lists that the end
// of the turn works off. One thread. client_loop.h owns it and drives it; the order of the modules between
// the two is
//
//      client_context < lease, conn_head < conn, conn_account, conn_tls, handshake_queue < answer, slow_client, conn_proxy, walk,
//          feed < stream
//          < end_some, admission, admission_asks, revocation, lease_renewal < ticket_request, request < conn_read,
//          client_drain < conn_deadline < client_loop
//
// and each includes what stands before it alone, or beside it up to the next "<".
#pragma once

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gateway/client/client_settings.h"
#include "gateway/client/close_reason.h"
#include "gateway/client/id_table.h"
#include "gateway/client/limits.h"
#include "gateway/client/outq.h"
#include "gateway/client/route.h"
#include "gateway/client/stream_request.h"
#include "gateway/client/wheel.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/hub.h"
#include "gateway/fanout/question.h"

struct conn;
TAILQ_HEAD(conn_list, conn);

// Callbacks to the rest of the process, given at creation; called on the loop's thread.
struct client_hooks {
    // NULL where new streams may be admitted; else a short static text that says why not (a refusal that may
    // pass).
    const char *(*refuse)(void *ctx);
    const struct route *pages; // borrowed; NULL for none
    // Asks Redis; client_loop_answer follows. Takes `q`; false when out of memory: it stays the caller's. NULL
    // where no step of admission asks.
    bool (*ask)(void *ctx, struct question *q);
    void *ask_ctx;
    void *ctx; // of `refuse` and of the pages
};

// A walk over all connections that asks Redis about each (walk.h).
struct walk {
    size_t cursor;     // of context->conns
    uint32_t number;   // of this walk
    unsigned asked;    // questions without an answer
    bool running;      // else it is over, or begins anew at `again_at_ms`
    uint64_t heard_ms; // when the last answer came
    uint64_t again_at_ms;
};

struct handshake;
TAILQ_HEAD(handshake_list, handshake);

// Handshakes of TLS whose turn comes (handshake_queue.h).
struct handshake_queue {
    struct handshake_list arrived;        // bytes have come in this turn
    struct handshake_list fresh, answers; // .. earlier: first come, first served
    struct handshake_list begun;          // have a place; the first began first
    uint64_t spent_ns;                    // time that handshakes took in this turn
    bool must_go_on;                      // the time of a turn did not suffice: the loop must not sleep
};

// Writes to clients in one turn after which a loop that also holds the connection to Redis reads that
// connection: a fan-out to many streams takes longer than the kernel's buffer of the connection lasts.
#define WRITES_BETWEEN_READS 128u

struct client_context {
    unsigned index; // of the loop: no two loops of the process have the same
    struct ev_loop *loop;
    const struct client_settings *settings;
    struct http_policy policy; // of the settings, with the date below
    char date[HTTP_DATE_SIZE];
    struct client_hooks hooks;
    // The paths of streams and tickets, the server itself, and the row that ends a table.
    struct route routes[4];
    struct hub *hub; // NULL: no streams here (the admin listener)
    struct counters *counters;
    struct limits *limits;
    _Atomic uint64_t closes[CLOSE_REASON_COUNT]; // connections ended, by reason; read by any thread

    struct walk recheck, lease_walk; // of revocation.h and lease_renewal.h
    struct wheel wheel;
    struct outq_pool outqs;
    struct stream_request request; // scratch of the one request that is being read
    struct frame *heartbeat;
    struct frame *sourced; // the newest frame that was given its source (client/stream.c), or NULL
    char *scratch;         // SCRATCH_SIZE bytes that hold nothing between two calls
    struct conn *dirty;    // have something to write at the end of the turn
    struct conn *closing;
    struct id_table conns;       // every connection
    struct conn_list streamless; // connections that have not joined the hub; idle longest first
    size_t streams;              // connections in state STREAM
    struct id_shuffle ending;    // of `conns`, for streams that are ended in random order
    bool draining;
    bool accounts;     // of the settings
    bool coalesce;     // more frames follow in this turn: collect them, and write once
    uint64_t now_ms;   // of this turn: precise enough for heartbeats, and no clock call per write
    uint64_t random;   // state for jitter
    uint64_t age_seed; // spreads the ages that streams reach
    struct handshake_queue handshakes;
    struct tls_crypt *crypt;       // made with the first encrypted connection
    size_t tls_bytes;              // memory of encrypted connections
    size_t head_bytes;             // of requests that have not come whole (conn_head.h)
    unsigned writes;               // since read_redis was called
    void (*read_redis)(void *ctx); // NULL: another thread reads. Posts mails and calls nothing of this loop's
    void *read_redis_ctx;
};

#define SCRATCH_SIZE 65536u
// While draining, a connection on which no request has begun has this long to send one (it gets a refusal) or
// is closed.
#define DRAIN_IDLE_MS 1000u

// How long a client has for the head of a request from now on.
static inline uint32_t client_head_ms(const struct client_context *cx)
{
    return cx->draining ? DRAIN_IDLE_MS : cx->settings->head_timeout_ms;
}
