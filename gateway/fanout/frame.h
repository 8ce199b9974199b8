// A frame: the ready bytes of one event, made once and shared by every stream that gets it.
//
//      wire: | 1f\r\n | id: ..\n | event: order\ndata: {..}\n\n | \r\n |      HTTP/1.1 streams send it all,
//                     ^ body ................................. ^              HTTP/1.0 streams the body alone.
//
// Immutable once made. Counted references, because the workers that send it finish at different times.
//
// The id that a client keeps may be its stream's own (fanout/cursor.h). Then a small frame of that stream has
// the chunk head and the id line, and goes on with what follows the id line in the shared one, which it
// holds:
//
//      wire: | 3a\r\n | id: ..\n |  ->  rest: | event: order\ndata: {..}\n\n | \r\n |
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/channel_ref.h"
#include "common/trace.h"
#include "gateway/fanout/event_id.h"
#include "gateway/fanout/sse.h"

// What follows an event that is traced. Written before the frame is shared.
struct frame_trace {
    char id[TRACE_ID_LEN + 1];         // of the trace; "": none
    bool is_logged;                    // the trace is sampled: each worker logs the delivery
    char reply[TRACE_CHANNEL_LEN + 1]; // where each worker reports it; "": nowhere
    bool is_odd;                       // a field was not good, and is ignored
    uint16_t workers;                  // that deliver the event
    int64_t read_at_us;                // Unix time: when its message was read from Redis
};

struct frame {
    _Atomic uint32_t refs;
    uint32_t wire_len;
    uint32_t body_len;    // with that of `rest`
    uint32_t id_line_len; // of the id line at the beginning of the body; 0 where there is none
    uint16_t body_at;     // where the body begins in wire
    uint16_t channel_len; // 0: belongs to no channel (heartbeats, ends of streams)
    bool is_gap : 1;      // gateway:gap: stands for events that were lost
    bool is_foreign : 1;  // a gap, for an entry of the history that sse_publish did not write
    bool is_end : 1;      // gateway:end: the channel has ended
    bool ends : 1;        // the last event of its channel
    bool is_snapshot : 1; // stands for all events before it
    bool durable : 1;     // stands in the channel's history:
    struct event_id prev; // after this event,
    struct event_id at;   // with this id (a gap: the last id that it stands for)
    uint64_t epoch;       // milliseconds of the first event of this life of the channel's history
    uint64_t channel_hash;
    // Monotonic: when its message was read from Redis; 0: it is no message that was just read.
    uint64_t read_at_ns;
    char *channel;             // inside this allocation, after `wire`
    struct frame *rest;        // or NULL
    struct frame_trace *trace; // owned; NULL: nobody follows the event
    char wire[];
};

// The frame of `event` for `channel` (its name is copied; NO_CHANNEL for none), in one chunk. One reference,
// the caller's. NULL when out of memory or when the event is 4 GiB or more. Any thread.
#define NO_CHANNEL ((struct channel_ref){.len = 0})
struct frame *frame_create(const struct sse_event *event, struct channel_ref channel);

static inline struct channel_ref frame_channel(const struct frame *f)
{
    return (struct channel_ref){.name = f->channel, .len = f->channel_len, .hash = f->channel_hash};
}

// A frame of `len` body bytes that are copied: in a chunk of its own, or as they are (`chunked` false: wire
// is body).
struct frame *frame_from_bytes(const char *bytes, size_t len, bool chunked);

// `shared` (borrowed; the new frame takes a reference of its own) with another id, or with one if it has
// none.
struct frame *frame_with_id(struct frame *shared, const char *id, size_t id_len);
// The same with a source line behind the id line: the channel's name, and for a durable event, behind a blank, its
// event id (docs/protocol.md, "Which channel"). NULL for `id`: the shared frame's id line, if it has one.
struct frame *frame_with_source(struct frame *shared, const char *id, size_t id_len);

// Any thread. frame_release frees with the last reference.
struct frame *frame_retain(struct frame *f);
void frame_release(struct frame *f);

// The bytes of `f` as a stream sends them (`body_only`: HTTP/1.0), in one or two pieces; returns how many.
#define FRAME_PIECES 2
int frame_pieces(const struct frame *f, bool body_only, struct iovec pieces[FRAME_PIECES]);

// How many bytes that is.
static inline size_t frame_size(const struct frame *f, bool body_only)
{
    if (body_only)
        return f->body_len;
    return f->rest ? f->body_at + f->body_len + SSE_CHUNK_TAIL : f->wire_len;
}
