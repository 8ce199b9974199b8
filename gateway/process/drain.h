// Signals, and the end of the process. SIGTERM, SIGINT or SIGQUIT: not ready at once; after the delay listeners are
// closed and streams end, evenly over the window; when none is left, and at the latest after the timeout, the loop is
// left. A second signal leaves the loop at once. SIGHUP calls `on_reload`, where it is set; without it SIGHUP, and in
// any case SIGUSR1, SIGUSR2 and SIGALRM, whose default is to end the process, are ignored and logged.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/process/status.h"

struct drain_times {
    uint64_t delay_ms;   // from the signal until streams begin to end
    uint64_t window_ms;  // over which they end: the workers know it, too
    uint64_t timeout_ms; // from the signal until the loop is left
};

struct drain {
    struct status *status; // borrowed; `draining` is set here
    struct drain_times times;
    uint64_t began_ms;            // monotonic: when the signal came
    uint64_t ending_ms;           // monotonic: when streams began to end
    void (*on_reload)(void *ctx); // SIGHUP; NULL: there is nothing to reload
    void *reload_ctx;
    size_t still_busy; // workers that have not posted MAIL_EMPTY
    uint64_t untold;   // a bit for each worker that has no MAIL_DRAIN yet
    struct ev_loop *loop;
    int signal_fd;
    ev_io signals;
    ev_timer look; // for signals, where the kernel had no memory to watch signal_fd
    ev_timer delay, timeout, progress, tell_again;
};

// From the first moment no signal above ends the process, and none is lost: those that come before drain_watch are
// read when the loop runs. Before other threads start, which inherit that they are blocked. False with errno.
bool drain_hold_signals(void);

// Watches signals on `loop`, the main thread's, after drain_hold_signals. False without memory or descriptors.
bool drain_watch(struct drain *d, struct ev_loop *loop, struct status *status,
                 const struct drain_times *times);
// Before the loop runs.
void drain_set_reload(struct drain *d, void (*on_reload)(void *ctx), void *ctx);
// Stops watching, before the loop is destroyed; signals stay blocked from then on. No effect where drain_watch
// was not called or failed.
void drain_unwatch(struct drain *d);
// A worker has no connection left.
void drain_worker_empty(struct drain *d);
