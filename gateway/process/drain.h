// Signals, and the way out. SIGTERM or SIGINT: not ready at once, listeners closed, streams ended cleanly,
// then the loop is left; at the latest after the timeout. A second one leaves it at once.
#pragma once

#include <ev.h>
#include <stdint.h>

#include "gateway/process/status.h"

struct drain {
    struct status *status;   // borrowed; `draining` is set here
    struct worker **workers; // borrowed
    uint64_t timeout_ms;
    size_t still_busy; // workers that have not said that they are empty
    struct ev_loop *loop;
    ev_signal term, interrupt, hangup;
    ev_timer timeout;
};

// Watches signals on `loop`, the main thread's.
void drain_watch(struct drain *d, struct ev_loop *loop, struct status *status, struct worker **workers,
                 uint64_t timeout_ms);
// A worker has no connection left.
void drain_worker_empty(struct drain *d);
