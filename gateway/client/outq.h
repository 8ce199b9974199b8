// The frames that wait to be written to one client: references, never copies. A stream that keeps up has no
// queue at all; queues come from a pool of the worker and go back when they are empty.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "gateway/fanout/frame.h"

#define OUTQ_INLINE 16u

struct outq {
    struct frame **ring; // `small`, or an allocation when more than OUTQ_INLINE wait
    uint32_t head, count, capacity;
    uint32_t head_sent; // bytes of the first frame that the socket has taken
    size_t bytes;       // not yet taken, over all frames
    uint64_t taken;     // bytes taken since the last slow_client_check_progress
    uint64_t in_flight; // bytes that were not acknowledged at that time
    bool body_only;     // HTTP/1.0: no chunk framing
    bool watched;       // the two above are those of a slow_client_check_progress
    union {
        struct frame *small[OUTQ_INLINE];
        struct outq *next_free;
    };
};

struct outq_pool {
    struct outq *free;
    uint32_t free_count, lent; // in the pool; out of it
};

// NULL when out of memory.
struct outq *outq_borrow(struct outq_pool *pool, bool body_only);
// Releases what still waits, and the queue. `q` may be NULL.
void outq_return(struct outq_pool *pool, struct outq *q);
// Gives a part of the pool back to the allocator: called now and then, so that a burst leaves no memory
// behind.
void outq_pool_trim(struct outq_pool *pool);
void outq_pool_deinit(struct outq_pool *pool);

// Appends `f`; the queue takes the caller's reference. False when out of memory: the reference is still the
// caller's.
bool outq_push(struct outq *q, struct frame *f);
// Fills `iov` with what is to be sent next; returns how many entries. `max` is at least FRAME_PIECES.
int outq_gather(const struct outq *q, struct iovec *iov, int max);
// The socket took `n` bytes (at most q->bytes).
void outq_consume(struct outq *q, size_t n);
// Drops all frames of which no byte has been sent: what remains is the rest of a whole event. Returns how
// many were dropped.
uint32_t outq_drop_unstarted(struct outq *q);

// Takes the oldest event that may be dropped out of the queue: not started, of a channel, no gap and no gateway:end. NULL
// where there is none. The reference is the caller's. A gateway:end of its channel that stands before it goes too: the
// channel has begun anew, and the gap that stands for the event would come before that end. So of a channel one end is
// kept, and another each time that it is told again because Redis was away.
struct frame *outq_take_oldest(struct outq *q);
// Puts `f` before all that has not been started; takes the reference. False when out of memory: the reference
// is still the caller's.
bool outq_insert_first(struct outq *q, struct frame *f);
// True where a gap for the channel of `f` waits before all events (or is on its way).
bool outq_has_gap(const struct outq *q, const struct frame *f);
// Bytes that wait behind the frame that is on its way.
size_t outq_waiting_bytes(const struct outq *q);
