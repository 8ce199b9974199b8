// The client side of one loop: its connections, the pools and timers that they share, and the turn. One
// thread.
//
// A turn is one round of the event loop. Within it frames are queued on connections, which become dirty, and
// connections that are over are marked. At its end (an ev_prepare watcher, just before the loop sleeps) every
// dirty connection gets one write, and what was marked is freed: so nothing is freed under the feet of a
// fan-out.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/http_response.h"
#include "gateway/client/limits.h"
#include "gateway/client/outq.h"
#include "gateway/client/stream_request.h"
#include "gateway/client/wheel.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/hub.h"

struct conn;

// Why a connection ended: names for logs and for sse_gateway_closes_total{reason=".."}.
#define CLOSE_REASONS(X)                                                                                     \
    X(CLIENT_GONE, "client_gone")                                                                            \
    X(WRITE_FAILED, "write_failed")                                                                          \
    X(DRAIN, "drain")                                                                                        \
    X(REAPED, "reaped")                                                                                      \
    X(SLOW, "slow")                                                                                          \
    X(ANSWERED, "answered")                                                                                  \
    X(BAD_REQUEST, "bad_request")                                                                            \
    X(REFUSED, "refused")                                                                                    \
    X(HEAD_TIMEOUT, "head_timeout")                                                                          \
    X(NOISY, "noisy")                                                                                        \
    X(OUT_OF_MEMORY, "out_of_memory")                                                                        \
    X(STOPPED, "stopped")

enum close_reason {
#define X(symbol, name) CLOSE_##symbol,
    CLOSE_REASONS(X)
#undef X
        CLOSE_REASON_COUNT
};

const char *close_reason_name(enum close_reason reason);

// Made once from the options; immutable and shared by all loops.
struct client_settings {
    const char *stream_path;
    struct http_policy policy;
    const char *const *anonymous; // patterns open to all
    size_t anonymous_count;
    size_t max_channels;
    uint32_t heartbeat_ms, retry_ms;
    size_t queue_limit;                  // bytes
    struct replay_budget *replay_budget; // shared by all loops
    bool durable_named;                  // --durable says which channels have a history, if only later
    bool drop_oldest;                    // --slow-client
    bool refuse_with_status;
    uint32_t head_timeout_ms;
};

// A page is what a path other than the stream answers: health, metrics.
struct client_page {
    int status;
    const char *content_type; // static
    char *body;               // malloc'ed by the page, freed by the connection
    size_t body_len;
};

// Questions that go up, given at creation; called on the loop's thread.
struct client_hooks {
    // May new streams be let in? NULL, or a static word for why not (a refusal that may pass).
    const char *(*refuse)(void *ctx);
    // False where there is no such page.
    bool (*page)(void *ctx, const char *path, size_t path_len, struct client_page *out);
    void *ctx;
};

// What the hub asks of the bus (fanout/hub.h).
struct client_bus {
    bool (*on_interest)(void *ctx, struct channel_ref channel, uint64_t subscribe_seq);
    bool (*on_history)(void *ctx, struct channel_ref channel, const struct history_query *query);
    void *ctx;
};

struct conn_table {
    struct ev_loop *loop;
    const struct client_settings *settings;
    struct http_policy policy; // of the settings, with our date
    char date[HTTP_DATE_SIZE];
    struct client_hooks hooks;
    struct hub *hub; // NULL: no streams here (the admin listener)
    struct client_bus bus;
    struct counters *counters;
    struct limits *limits;
    _Atomic uint64_t closes[CLOSE_REASON_COUNT]; // connections ended, by reason; read by any thread

    struct wheel *wheel;
    struct outq_pool outqs;
    struct stream_request request; // scratch of the one request that is being read
    struct frame *heartbeat;
    char *scratch;      // SCRATCH_SIZE bytes that are nobody's between two calls
    struct conn *all;   // every connection
    struct conn *dirty; // have something to write at the end of the turn
    struct conn *closing;
    size_t count;
    bool draining;
    bool coalesce;   // more frames follow in this turn: collect them, and write once
    uint64_t now_ms; // of this turn: precise enough for heartbeats, and no clock call per write
    uint64_t random; // state for jitter
    ev_prepare end_of_turn;
    ev_idle feeding; // runs while there is more to do for lagging streams: the loop does not sleep
    ev_timer tick;
};

#define SCRATCH_SIZE 65536u

// Sets up `t` on `loop` (borrowed, as are settings and counters), without streams. False when out of memory.
bool conn_table_init(struct conn_table *t, struct ev_loop *loop, const struct client_settings *settings,
                     const struct client_hooks *hooks, struct counters *counters);
// Gives the table a hub: it can hold streams, within `limits` (borrowed).
bool conn_table_enable_streams(struct conn_table *t, struct limits *limits, const struct client_bus *bus);
// Closes every connection at once.
void conn_table_deinit(struct conn_table *t);

// Takes over a connected socket (non-blocking, close-on-exec).
void conn_table_add(struct conn_table *t, int fd);

// Writes what is queued and frees what is over; the loop does so itself before it sleeps. Call between
// batches of frames.
void conn_table_flush(struct conn_table *t);

// Ends every stream with whole events, its own jittered retry and a clean last chunk; from now on new
// requests are refused.
void conn_table_drain(struct conn_table *t);
