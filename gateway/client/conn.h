// One client connection, from accept to close.
//
//      HEAD --whole request--> WAITING --Redis confirmed--> STREAM
//        |  \--page, error--\     |                           |
//        |                   v    v                           v
//        |                  FINISHING (what is queued goes out, then FIN) --> LINGER (until the peer's FIN)
//        --> closed
//        +--keep-alive page: back to HEAD
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/client/conn_table.h"

enum conn_state { CONN_HEAD, CONN_WAITING, CONN_STREAM, CONN_FINISHING, CONN_LINGER, CONN_CLOSED };

// A request head that came in pieces: what has come so far.
struct conn_head {
    size_t len;
    struct http_scan scan;
    char bytes[];
};

// The budget of an idle stream is in docs/performance.md: think before you add a field.
struct conn {
    ev_io io; // io.data is the conn_table
    struct subscriber subscriber;
    struct wheel_entry deadline; // what it is for depends on the state
    struct conn *prev, *next;    // in table->all
    struct conn *mark_next;      // in table->dirty, later in table->closing
    struct outq *queue;          // NULL: nothing waits
    union {
        struct conn_head *head; // HEAD: or NULL
        char *origin;           // WAITING: the Origin header, for the answer; or NULL
        uint64_t discarded;     // STREAM: bytes the client sent although nothing more is read
        uint64_t give_up_ms;    // FINISHING: cut off then, progress or not
    };
    uint32_t last_write_ms; // low bits of the monotonic clock
    uint8_t state;          // enum conn_state
    uint8_t reason;         // enum close_reason, once FINISHING
    bool dirty : 1;         // stands in table->dirty
    bool blocked : 1;       // the socket is full; waits for EV_WRITE
    bool body_only : 1;     // HTTP/1.0
    bool control : 1;       // wants gateway:open and gateway:close
    bool has_place : 1;     // counts in the limits
    bool is_stream : 1;     // was counted as an open stream
};

// Queues `f` for the end of the turn, and takes the caller's reference. No effect on a connection that is
// over. `f` may be NULL, which is out of memory: the connection ends.
void conn_send(struct conn *c, struct frame *f);
// Writes `f` (borrowed) at once where nothing waits before it, and queues what the socket does not take.
void conn_send_now(struct conn *c, struct frame *f);
// Nothing more will be queued: after what is queued, FIN, then wait for the peer's.
void conn_finish(struct conn *c, enum close_reason reason);
// Over at once; freed at the end of the turn.
void conn_close(struct conn *c, enum close_reason reason);
// Writes what is queued until the socket is full.
void conn_flush(struct conn *c);
// True where `failure` (an errno of a socket) says that the peer is not reached any more.
bool conn_is_lost(int failure);
// Frees; by the table only.
void conn_destroy(struct conn *c);
// The state is left: forgets what belongs to it alone.
void conn_leave_state(struct conn *c, enum conn_state next);
// Puts the deadline `in_ms` from now.
void conn_set_deadline(struct conn *c, uint32_t in_ms);

static inline struct conn_table *conn_table_of(const struct conn *c)
{
    return c->io.data;
}
