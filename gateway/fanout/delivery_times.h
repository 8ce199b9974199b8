// How long the messages took that a worker writes to its streams together: when they were read from Redis is noted for
// each, and the clock is looked at once, behind the last write. Of one thread. Pure.
#pragma once

#include <stdint.h>

#include "gateway/fanout/counters.h"

#define DELIVERY_TIMES_MAX 16u

// All zero before the first note.
struct delivery_times {
    unsigned count;
    // Messages that were read together have one entry. Where there are more entries than room, the last one is for all
    // that follow.
    struct {
        uint64_t read_at_ns, messages;
    } read[DELIVERY_TIMES_MAX];
};

void delivery_times_note(struct delivery_times *t, uint64_t read_at_ns);
// All that were noted have been written: counts them in HISTOGRAM_DELIVERY, and the time since `begun_ns` in
// HISTOGRAM_FAN_OUT. Forgets the notes.
void delivery_times_observe(struct delivery_times *t, struct counters *counters, uint64_t begun_ns,
                            uint64_t now_ns);
