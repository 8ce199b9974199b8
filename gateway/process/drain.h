// Signals, and the end of the process. SIGTERM, SIGINT or SIGQUIT: not ready at once, listeners closed,
// streams ended cleanly, then the loop is left; at the latest after the timeout. A second signal leaves the
// loop at once. SIGHUP calls `on_reload`, where it is set; without it SIGHUP, and in any case SIGUSR1, SIGUSR2
// and SIGALRM, whose default is to end the process, are ignored and logged.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/process/status.h"

struct drain {
    struct status *status;   // borrowed; `draining` is set here
    struct worker **workers; // borrowed
    uint64_t timeout_ms;
    void (*on_reload)(void *ctx); // SIGHUP; NULL: there is nothing to reload
    void *reload_ctx;
    size_t still_busy; // workers that have not posted MAIL_EMPTY
    uint64_t untold;   // a bit for each worker that has no MAIL_DRAIN yet
    struct ev_loop *loop;
    int signal_fd;
    ev_io signals;
    ev_timer look; // for signals, where the kernel had no memory to watch signal_fd
    ev_timer timeout, tell_again;
};

// Ignores, from the first moment, the signals that must not end the process. Before other threads start.
void drain_ignore_signals(void);

// Watches signals on `loop`, the main thread's. All other threads must block them. False without memory or
// descriptors.
bool drain_watch(struct drain *d, struct ev_loop *loop, struct status *status, struct worker **workers,
                 uint64_t timeout_ms);
// Before the loop runs.
void drain_set_reload(struct drain *d, void (*on_reload)(void *ctx), void *ctx);
// Stops watching, before the loop is destroyed; signals stay blocked from then on. No effect where drain_watch
// was not called or failed.
void drain_unwatch(struct drain *d);
// A worker has no connection left.
void drain_worker_empty(struct drain *d);
