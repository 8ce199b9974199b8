// One client connection, from accept to close.
//
//      PROXY (--proxy-protocol) --its header--> HANDSHAKE (TLS only) --done--> HEAD
//
//      HEAD --stream's request--> ADMITTING --joined--> WAITING --Redis confirmed--> STREAM
//       |                            |                     |                            |
//       | page, error                | problem, refusal    | refusal                    | end
//       v                            v                     v                            v
//      FINISHING (what is queued goes out, then FIN) --> LINGER (until the peer's FIN) --> CLOSED
//
// A page that keeps the connection alive leaves it in HEAD. A feed (feed.h) goes from HEAD to FEED, and ends like a
// stream. Each state may go to CLOSED at once; HANDSHAKE goes
// to FINISHING where the client sent plain HTTP, which is answered.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gateway/client/client_context.h"
#include "gateway/client/conn_head.h"
#include "gateway/client/peer_address.h"

enum conn_state {
    CONN_PROXY,
    CONN_HANDSHAKE,
    CONN_HEAD,
    CONN_ADMITTING,
    CONN_WAITING,
    CONN_STREAM,
    CONN_FEED,
    CONN_FINISHING,
    CONN_LINGER,
    CONN_CLOSED
};

struct admission;

// Where a connection comes from. Kept until the stream is admitted, and only where an option asks for it.
struct conn_peer {
    struct peer_address socket; // the other end of the socket, or what its PROXY header says
    struct peer_address client; // of the request that is being admitted: behind trusted proxies
};

// The budget of an idle stream is in docs/performance.md: think before you add a field.
#define CONN_SERIAL_BITS 45 // at 30,000 new connections a second: 37 years

struct conn {
    ev_io io; // io.data is the client_context
    union {
        struct subscriber subscriber; // once `joined`
        struct {                      // until then
            TAILQ_ENTRY(conn) in_streamless;
            struct conn_peer *peer; // owned; NULL where no option asks for addresses
        };
    };
    struct wheel_entry deadline; // of the current state; its `owner` is last_write_ms
    struct conn *mark_next;      // in context->dirty, later in context->closing
    struct outq *queue;          // NULL: nothing waits
    struct principal *principal; // owned; NULL: anonymous, or not asked yet
    union {
        struct conn_head *head;      // PROXY, HEAD: or NULL
        struct handshake *handshake; // HANDSHAKE: once bytes came; handshake_queue.h
        struct admission *admission; // ADMITTING: while a step is pending; or NULL
        char *origin;                // WAITING: the Origin header, for the answer; or NULL
        struct {                     // STREAM
            uint32_t discarded;      // bytes the client sent although nothing more is read
            uint32_t opened_tick;    // of the wheel, when the stream was opened
        };
        uint64_t give_up_ms; // FINISHING: closed then, even if it makes progress
    };
    uint64_t serial : CONN_SERIAL_BITS; // in context->conns; see conn_id
    uint8_t wait_s;     // of `once`: the stream ends so many seconds after its begin, or with the
                        // first events; 0: when it has caught up
    uint8_t state : 4;  // enum conn_state
    uint8_t reason : 5; // enum close_reason: once FINISHING; in HEAD that of the deadline while nothing came
    bool dirty : 1;     // stands in context->dirty
    bool blocked : 1;   // the socket is full; waits for EV_WRITE
    bool body_only : 1; // HTTP/1.0
    bool control : 1;   // wants gateway:open on any stream, and gateway:close
    bool source : 1;    // wants to know of each event which channel it is of
    bool once : 1;      // ends when it has had what there is (&live=0, &wait=N)
    bool has_event : 1; // of `once`: an event or a gap was sent
    bool has_place : 1; // counts in the limits
    bool has_lease : 1; // of the tier's cap; lease.h
    bool in_users : 1;  // stands in settings->users
    bool joined : 1;    // is in the hub, until the connection is freed
    bool is_admin : 1;  // came by an admin listener
    bool is_stream : 1; // was counted as an open stream
    bool is_tls : 1;    // came by a listener with TLS: this is a conn_tls
};

// Queues `f` for the end of the turn, and takes the caller's reference. No effect on a connection that is
// over. `f` may be NULL, which is out of memory: the connection ends.
void conn_send(struct conn *c, struct frame *f);
// The end of the turn looks at the connection, even where its socket is full.
void conn_mark(struct conn *c);
// Writes `f` (borrowed) at once where nothing waits before it, and queues what the socket does not take.
void conn_send_now(struct conn *c, struct frame *f);
// Nothing more will be queued: after what is queued, FIN, then wait for the peer's.
void conn_finish(struct conn *c, enum close_reason reason);
// Ends the connection at once; it is freed at the end of the turn.
void conn_close(struct conn *c, enum close_reason reason);
// Writes what is queued until the socket is full.
void conn_flush(struct conn *c);
// True where `failure` (an errno of a socket) says that the peer is not reached any more.
bool conn_is_lost(int failure);
// Counts a connection that ended.
void conn_count_end(struct client_context *cx, enum close_reason reason);
// Frees the connection; at the end of the turn only.
void conn_destroy(struct conn *c);
// The one place where a state changes, by a line of the drawing above. Frees what belongs to the state that
// is left; the union is zero in the next one.
void conn_set_state(struct conn *c, enum conn_state next);
// The first state of a connection, or the next one where that is PROXY.
static inline enum conn_state conn_after_proxy(const struct conn *c)
{
    return c->is_tls ? CONN_HANDSHAKE : CONN_HEAD;
}
// A new connection: the last one of those without a stream to be evicted.
void conn_enter_streamless(struct conn *c);
// The connection has sent a whole request: it becomes the last one to be evicted, too.
void conn_touch(struct conn *c);
// The connection gets a stream: its subscriber, all zero, is ready for the hub.
void conn_leave_streamless(struct conn *c);
// Puts the deadline `in_ms` from now.
void conn_set_deadline(struct conn *c, uint32_t in_ms);

// Names a connection for good, in all loops of the process: the answer of another thread names its connection
// by it.
uint64_t conn_id(const struct conn *c);
// The index of the loop that has the connection.
unsigned conn_id_loop(uint64_t id);
// NULL where that connection is gone, or belongs to another loop.
struct conn *conn_find(const struct client_context *cx, uint64_t id);
// For context->conns.
uint64_t conn_serial(const void *conn);

static inline struct client_context *conn_context(const struct conn *c)
{
    return c->io.data;
}
