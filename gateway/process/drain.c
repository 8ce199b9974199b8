#include "gateway/process/drain.h"

#include <inttypes.h>
#include <signal.h>

#include "common/log.h"

static void drain_begin(struct drain *d, const char *signal_name)
{
    log_info("drain", "%s: draining %" PRIu64 " streams, for at most %" PRIu64 " ms", signal_name,
             status_count(d->status, COUNTER_STREAMS_OPEN), d->timeout_ms);
    atomic_store(&d->status->draining, true);
    d->still_busy = d->status->worker_count;
    ev_timer_set(&d->timeout, (double)d->timeout_ms / 1000.0, 0.);
    ev_timer_start(d->loop, &d->timeout);
    struct mail mail = {.kind = MAIL_DRAIN};
    for (size_t i = 0; i < d->status->worker_count; i++)
        if (!mailbox_post(worker_mailbox(d->workers[i]), &mail))
            log_error("drain", "out of memory: a worker's streams end without a clean last chunk");
}

static void on_signal(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)events;
    struct drain *d = w->data;
    const char *name = w->signum == SIGTERM ? "SIGTERM" : "SIGINT";
    if (!atomic_load(&d->status->draining)) {
        drain_begin(d, name);
        return;
    }
    log_warn("drain", "second %s: ending at once", name);
    ev_break(loop, EVBREAK_ALL);
}

static void on_hangup(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)loop, (void)w, (void)events;
    log_warn("drain", "SIGHUP: this version reloads nothing; restart to change options");
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

void drain_watch(struct drain *d, struct ev_loop *loop, struct status *status, struct worker **workers,
                 uint64_t timeout_ms)
{
    *d = (struct drain){.status = status, .workers = workers, .timeout_ms = timeout_ms, .loop = loop};
    ev_signal_init(&d->term, on_signal, SIGTERM);
    ev_signal_init(&d->interrupt, on_signal, SIGINT);
    ev_signal_init(&d->hangup, on_hangup, SIGHUP);
    d->term.data = d->interrupt.data = d->hangup.data = d;
    ev_signal_start(loop, &d->term);
    ev_signal_start(loop, &d->interrupt);
    ev_signal_start(loop, &d->hangup);
    ev_timer_init(&d->timeout, on_timeout, 0., 0.);
    d->timeout.data = d;
}
