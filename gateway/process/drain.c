#include "gateway/process/drain.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"

_Static_assert(WORKERS_MAX <= 64, "a bit for each worker");

#define TELL_AGAIN_S 0.01
#define LOOK_EVERY_S 1.0

// A worker to which MAIL_DRAIN could not be posted for want of memory gets it a moment later: without it the
// worker would keep its streams until the timeout.
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
        log_info("drain", "every stream has ended");
        ev_break(d->loop, EVBREAK_ALL);
    }
}

void drain_ignore_signals(void)
{
    // A write to a client that has gone must fail with an error, not raise a signal.
    (void)signal(SIGPIPE, SIG_IGN); // fails for a wrong number only
    for (size_t i = 0; i < SIGNALS; i++)
        if (!signals[i].ends)
            (void)signal(signals[i].number, SIG_IGN); // as above
}

// A signalfd and not libev's handlers: those wake the loop by a write to a descriptor that libev watches, and
// a signal would be lost without notice where the write or the watch fails.
static bool open_signals(struct drain *d)
{
    sigset_t set;
    (void)sigemptyset(&set); // no signal here has a number that could be wrong, and nothing else fails below
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaddset(&set, signals[i].number);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    for (size_t i = 0; i < SIGNALS; i++)
        (void)signal(signals[i].number, SIG_DFL); // an ignored signal would not be queued
    d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return d->signal_fd >= 0;
}

bool drain_watch(struct drain *d, struct ev_loop *loop, struct status *status, struct worker **workers,
                 uint64_t timeout_ms)
{
    *d = (struct drain){.status = status, .workers = workers, .timeout_ms = timeout_ms};
    if (!open_signals(d))
        return false;
    d->loop = loop;
    ev_io_init(&d->signals, on_signals, d->signal_fd, EV_READ);
    ev_timer_init(&d->look, on_look, LOOK_EVERY_S, LOOK_EVERY_S);
    ev_timer_init(&d->timeout, on_timeout, 0., 0.);
    ev_timer_init(&d->tell_again, on_tell_again, TELL_AGAIN_S, TELL_AGAIN_S);
    d->signals.data = d->look.data = d->timeout.data = d->tell_again.data = d;
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
