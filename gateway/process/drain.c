#include "gateway/process/drain.h"

#include <inttypes.h>
#include <signal.h>

#include "common/log.h"

_Static_assert(WORKERS_MAX <= 64, "a bit for each worker");

#define TELL_AGAIN_S 0.01

// Workers that memory ran out for are told a moment later: one that is never told would hold its streams until
// the timeout.
static void drain_tell(struct drain *d)
{
    struct mail mail = {.kind = MAIL_DRAIN};
    for (size_t i = 0; i < d->status->worker_count; i++)
        if (d->untold & UINT64_C(1) << i && mailbox_post(worker_mailbox(d->workers[i]), &mail))
            d->untold &= ~(UINT64_C(1) << i);
    if (d->untold == 0)
        ev_timer_stop(d->loop, &d->tell_again);
    else
        ev_timer_again(d->loop, &d->tell_again);
}

static void on_tell_again(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    drain_tell(w->data);
}

static void drain_begin(struct drain *d, const char *signal_name)
{
    log_info("drain", "%s: draining %" PRIu64 " streams, for at most %" PRIu64 " ms", signal_name,
             status_count(d->status, COUNTER_STREAMS_OPEN), d->timeout_ms);
    atomic_store(&d->status->draining, true);
    d->still_busy = d->status->worker_count;
    ev_timer_set(&d->timeout, (double)d->timeout_ms / 1000.0, 0.);
    ev_timer_start(d->loop, &d->timeout);
    d->untold = UINT64_MAX >> (64 - d->still_busy);
    drain_tell(d);
}

static const struct {
    const char *name;
    int number;
    bool ends;
} signals[] = {
    {"SIGTERM", SIGTERM, true},  {"SIGINT", SIGINT, true},    {"SIGQUIT", SIGQUIT, true},
    {"SIGHUP", SIGHUP, false},   {"SIGUSR1", SIGUSR1, false}, {"SIGUSR2", SIGUSR2, false},
    {"SIGALRM", SIGALRM, false},
};
_Static_assert(sizeof signals / sizeof *signals == DRAIN_SIGNALS, "a watcher for each signal");

static void on_signal(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)events;
    struct drain *d = w->data;
    const char *name = signals[w - d->signals].name;
    if (!signals[w - d->signals].ends) {
        log_warn("drain", "%s is ignored: this version reloads nothing; restart to change options", name);
    } else if (!atomic_load(&d->status->draining)) {
        drain_begin(d, name);
    } else {
        log_warn("drain", "second %s: ending at once", name);
        ev_break(loop, EVBREAK_ALL);
    }
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct drain *d = w->data;
    log_warn("drain", "--drain-timeout is over: %" PRIu64 " connections are cut",
             status_count(d->status, COUNTER_SOCKETS_OPEN));
    ev_break(loop, EVBREAK_ALL);
}

void drain_worker_empty(struct drain *d)
{
    if (d->still_busy > 0 && --d->still_busy == 0) {
        log_info("drain", "every stream has ended");
        ev_break(d->loop, EVBREAK_ALL);
    }
}

void drain_ignore_signals(void)
{
    // A client that went is an error of its write, not a signal.
    (void)signal(SIGPIPE, SIG_IGN); // the number is right, which is all that could be wrong
    for (size_t i = 0; i < DRAIN_SIGNALS; i++)
        if (!signals[i].ends)
            (void)signal(signals[i].number, SIG_IGN); // as above
}

void drain_watch(struct drain *d, struct ev_loop *loop, struct status *status, struct worker **workers,
                 uint64_t timeout_ms)
{
    *d = (struct drain){.status = status, .workers = workers, .timeout_ms = timeout_ms, .loop = loop};
    for (size_t i = 0; i < DRAIN_SIGNALS; i++) {
        ev_signal_init(&d->signals[i], on_signal, signals[i].number);
        d->signals[i].data = d;
        ev_signal_start(loop, &d->signals[i]);
    }
    ev_timer_init(&d->timeout, on_timeout, 0., 0.);
    d->timeout.data = d;
    ev_timer_init(&d->tell_again, on_tell_again, TELL_AGAIN_S, TELL_AGAIN_S);
    d->tell_again.data = d;
}

void drain_unwatch(struct drain *d)
{
    for (size_t i = 0; d->loop && i < DRAIN_SIGNALS; i++) {
        ev_signal_stop(d->loop, &d->signals[i]);
        (void)signal(signals[i].number, SIG_IGN); // the end is near, and bounded
    }
    d->loop = NULL;
}
