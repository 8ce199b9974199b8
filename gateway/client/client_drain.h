// The drain of one loop: ends its streams in random order, evenly over a window. One thread.
#pragma once

#include <ev.h>

#include "gateway/client/conn.h"
#include "gateway/client/drain_pace.h"

// The same for all loops but for `part`.
struct drain_plan {
    uint64_t begin_ms;    // monotonic: when the window begins
    uint64_t window_ms;   // 0: all streams end at once
    unsigned part, parts; // as in struct drain_pace
};

// All zero: no drain has begun.
struct client_drain {
    struct client_context *context;
    struct drain_pace pace;
    uint64_t begin_ms;
    ev_timer step;
};

// From now on requests for streams are refused, and a connection on which no request has begun is closed in a moment.
// Streams that are not open yet are refused at once.
void client_drain_begin(struct client_drain *d, struct client_context *cx, const struct drain_plan *plan);
// Before the loop is undone. No effect where no drain has begun.
void client_drain_stop(struct client_drain *d);
