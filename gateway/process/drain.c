#include "gateway/process/drain.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

_Static_assert(WORKERS_MAX <= 64, "a bit for each worker");

#define TELL_AGAIN_S 0.01
#define LOOK_EVERY_S 1.0
// Lines about progress: one a second, but no more than this many in all.
#define PROGRESS_LINES 20

// A worker to which MAIL_DRAIN could not be posted for want of memory gets it a moment later: without it the
// worker would keep its streams until the timeout.
static void drain_tell(struct drain *d)
{
    struct mail mail = {.kind = MAIL_DRAIN, .begin_ms = d->ending_ms};
    for (size_t i = 0; i < d->status->worker_count; i++)
        if (d->untold & UINT64_C(1) << i && mailbox_post(worker_mailbox(d->status->workers[i]), &mail))
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

static void on_delay(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct drain *d = w->data;
    d->ending_ms = clock_monotonic_ms();
    d->still_busy = d->status->worker_count;
    d->untold = UINT64_MAX >> (64 - d->still_busy);
    drain_tell(d);
}

static void on_progress(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    const struct drain *d = w->data;
    log_info("drain", "%" PRIu64 " of %" PRIu64 " streams are open after %" PRIu64 " ms",
             status_count(d->status, COUNTER_STREAMS_OPEN), atomic_load(&d->status->drain_streams),
             clock_monotonic_ms() - d->began_ms);
}

// By the monotonic clock, and not by the loop's time, which may be older than the signal.
static void start_timer(struct drain *d, ev_timer *timer, double s, double again_s)
{
    ev_now_update(d->loop);
    ev_timer_set(timer, s, again_s);
    ev_timer_start(d->loop, timer);
}

static void drain_begin(struct drain *d, const char *signal_name)
{
    const struct drain_times *t = &d->times;
    uint64_t streams = status_count(d->status, COUNTER_STREAMS_OPEN);
    log_info("drain",
             "%s: draining %" PRIu64 " streams: after %" PRIu64 " ms they end over %" PRIu64
             " ms, and the gateway at the latest in %" PRIu64 " ms",
             signal_name, streams, t->delay_ms, t->window_ms, t->timeout_ms);
    d->began_ms = clock_monotonic_ms();
    atomic_store(&d->status->drain_streams, streams);
    atomic_store(&d->status->drain_deadline_ms, d->began_ms + t->timeout_ms);
    atomic_store(&d->status->draining, true);
    double timeout_s = (double)t->timeout_ms / 1000.0, line_s = timeout_s / PROGRESS_LINES;
    line_s = line_s < 1.0 ? 1.0 : line_s;
    start_timer(d, &d->timeout, timeout_s, 0.);
    start_timer(d, &d->progress, line_s, line_s);
    if (t->delay_ms > 0)
        start_timer(d, &d->delay, (double)t->delay_ms / 1000.0, 0.);
    else
        on_delay(d->loop, &d->delay, 0);
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

#define SIGNALS (sizeof signals / sizeof *signals)

static void drain_signal(struct drain *d, uint32_t number)
{
    size_t i = 0;
    while (i < SIGNALS - 1 && (uint32_t)signals[i].number != number)
        i++;
    const char *name = signals[i].name;
    if (signals[i].number == SIGHUP && d->on_reload) {
        d->on_reload(d->reload_ctx);
    } else if (!signals[i].ends) {
        log_warn("drain", "%s is ignored: there is nothing to reload; restart to change options", name);
    } else if (!atomic_load(&d->status->draining)) {
        drain_begin(d, name);
    } else {
        log_warn("drain", "second %s: ending at once", name);
        ev_break(d->loop, EVBREAK_ALL);
    }
}

static void read_signals(struct drain *d)
{
    struct signalfd_siginfo info;
    while (read(d->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        drain_signal(d, info.ssi_signo);
}

static void on_signals(struct ev_loop *loop, ev_io *w, int events)
{
    struct drain *d = w->data;
    if (events & EV_ERROR) { // libev has stopped the watcher
        log_error("drain",
                  "the kernel has no memory to watch for signals, which are looked for once a second "
                  "until it has");
        ev_timer_again(loop, &d->look);
    }
    read_signals(d);
}

static void on_look(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct drain *d = w->data;
    ev_io_start(loop, &d->signals);
    read_signals(d);
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
        log_info("drain",
                 "every stream has ended after %" PRIu64 " ms: of %" PRIu64 " the drain ended %" PRIu64,
                 clock_monotonic_ms() - d->began_ms, atomic_load(&d->status->drain_streams),
                 status_count(d->status, COUNTER_STREAMS_DRAINED));
        ev_break(d->loop, EVBREAK_ALL);
    }
}

static bool signal_set(sigset_t *set)
{
    bool ok = sigemptyset(set) == 0;
    for (size_t i = 0; i < SIGNALS; i++)
        ok = ok && sigaddset(set, signals[i].number) == 0;
    return ok;
}

bool drain_hold_signals(void)
{
    sigset_t set;
    // A write to a client that has gone must fail with an error, not raise a signal.
    (void)signal(SIGPIPE, SIG_IGN); // fails for a wrong number only
    if (!signal_set(&set) || pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    for (size_t i = 0; i < SIGNALS; i++)
        (void)signal(signals[i].number, SIG_DFL); // an ignored signal would not be queued
    return true;
}

// A signalfd and not libev's handlers: those wake the loop by a write to a descriptor that libev watches, and
// a signal would be lost without notice where the write or the watch fails.
static bool open_signals(struct drain *d)
{
    sigset_t set;
    d->signal_fd = signal_set(&set) ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
    return d->signal_fd >= 0;
}

bool drain_watch(struct drain *d, struct ev_loop *loop, struct status *status,
                 const struct drain_times *times)
{
    *d = (struct drain){.status = status, .times = *times};
    if (!open_signals(d))
        return false;
    d->loop = loop;
    ev_io_init(&d->signals, on_signals, d->signal_fd, EV_READ);
    ev_timer_init(&d->look, on_look, LOOK_EVERY_S, LOOK_EVERY_S);
    ev_timer_init(&d->delay, on_delay, 0., 0.);
    ev_timer_init(&d->timeout, on_timeout, 0., 0.);
    ev_timer_init(&d->progress, on_progress, 0., 0.);
    ev_timer_init(&d->tell_again, on_tell_again, TELL_AGAIN_S, TELL_AGAIN_S);
    d->signals.data = d->look.data = d->delay.data = d->timeout.data = d->progress.data = d->tell_again.data =
        d;
    ev_io_start(loop, &d->signals);
    return true;
}

void drain_set_reload(struct drain *d, void (*on_reload)(void *ctx), void *ctx)
{
    d->on_reload = on_reload;
    d->reload_ctx = ctx;
}

void drain_unwatch(struct drain *d)
{
    if (!d->loop)
        return;
    ev_io_stop(d->loop, &d->signals);
    ev_timer_stop(d->loop, &d->look);
    (void)close(d->signal_fd); // signals stay blocked: the shutdown is bounded
    d->loop = NULL;
}
