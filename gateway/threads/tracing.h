// The traced events (struct frame_trace) of one worker: noted as their batch is handed to the streams, and once the
// batch was written each is a line in the log, a report to the bus, or both. Of more than `per_s` in a second, and
// more than TRACING_MAX in a batch, the rest are counted. The worker's thread alone.
#pragma once

#include "gateway/fanout/counters.h"
#include "gateway/threads/mailbox.h"

#define TRACING_MAX 16u
#define TRACING_PER_S 20u // of the process: each worker has its part, and at least one

// All zero at first, but for `per_s`.
struct tracing {
    unsigned per_s;
    size_t count;
    struct {
        struct frame *frame;
        size_t streams;
    } noted[TRACING_MAX];
    uint64_t second; // of the monotonic clock
    unsigned told;   // events in that second
};

// `f` (taken) was handed to so many streams.
void tracing_note(struct tracing *t, struct counters *counters, struct frame *f, size_t streams);
// What was noted has been written at `written_ns`. Reports go to `bus`, from `worker`.
void tracing_tell(struct tracing *t, struct counters *counters, struct mailbox *bus, unsigned worker,
                  uint64_t written_ns);
