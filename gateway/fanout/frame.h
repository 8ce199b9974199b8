// A frame: the ready bytes of one event, made once and shared by every stream that gets it.
//
//      wire: | 1f\r\n | event: order\ndata: {..}\n\n | \r\n |      HTTP/1.1 streams send all of it,
//                     ^ body .................. ^                  HTTP/1.0 streams only the body.
//
// Immutable once made. Counted references, because the workers that send it finish at different times.
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/sse.h"

struct frame {
    _Atomic uint32_t refs;
    uint32_t wire_len;
    uint32_t body_len;
    uint16_t body_at;     // where the body begins in wire
    bool is_gap;          // gateway:gap: stands for events that were lost
    uint16_t channel_len; // 0: belongs to no channel (heartbeats, ends of streams)
    uint64_t channel_hash;
    char *channel; // inside this allocation, behind wire
    char wire[];
};

// The frame of `event` for `channel` (copied; NULL with length 0 for none), in one chunk. One reference, the
// caller's. NULL when out of memory or when the event is 4 GiB or more. Any thread.
struct frame *frame_create(const struct sse_event *event, uint64_t channel_hash, const char *channel,
                           size_t channel_len);

// A frame of `len` body bytes that are copied: in a chunk of its own, or as they are (`chunked` false: wire
// is body).
struct frame *frame_from_bytes(const char *bytes, size_t len, bool chunked);

// Any thread. frame_release frees with the last reference.
struct frame *frame_retain(struct frame *f);
void frame_release(struct frame *f);
