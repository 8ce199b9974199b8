#include "common/lookup.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"

struct lookup {
    _Atomic int holders; // the loop and the thread; the last one frees
    int done;            // eventfd: written by the thread when `failure` and `found` are there
    _Atomic bool over;   // set by the thread before that, should the eventfd fail
    int failure, reason; // of getaddrinfo, and errno
    struct addrinfo *found;
    char service[8];

    // The loop's alone.
    struct ev_loop *loop;
    ev_io io;
    void (*on_done)(void *ctx, const struct addrinfo *found, const char *error);
    void *ctx;

    char host[];
};

static void lookup_drop(struct lookup *l)
{
    int holders = atomic_fetch_sub(&l->holders, 1);
    assert(holders > 0);
    if (holders != 1)
        return;
    if (l->found)
        freeaddrinfo(l->found);
    (void)close(l->done);
    free(l);
}

static void *lookup_run(void *arg)
{
    struct lookup *l = arg;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    l->failure = getaddrinfo(l->host, l->service, &hints, &l->found);
    l->reason = errno;
    if (l->failure != 0)
        l->found = NULL;
    atomic_store(&l->over, true);
    const uint64_t one = 1;
    // The first write to an eventfd never waits; should it fail, lookup_is_over() shows that the thread has
    // ended.
    (void)!write(l->done, &one, sizeof one);
    lookup_drop(l);
    return NULL;
}

bool lookup_is_over(const struct lookup *l)
{
    return atomic_load(&l->over);
}

static const char *lookup_error(const struct lookup *l)
{
    return l->failure == 0 ? NULL : l->failure == EAI_SYSTEM ? strerror(l->reason) : gai_strerror(l->failure);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct lookup *l = w->data;
    uint64_t number;
    if (events & EV_ERROR) { // libev has dropped the watcher; the thread goes on by itself
        l->on_done(l->ctx, NULL, "no memory to wait for its address");
        return;
    }
    if (read(l->done, &number, sizeof number) != (ssize_t)sizeof number)
        return;
    ev_io_stop(loop, w);
    l->on_done(l->ctx, l->found, lookup_error(l));
}

static bool lookup_thread(struct lookup *l)
{
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    atomic_store(&l->holders, 2);
    bool started = pthread_create(&thread, NULL, lookup_run, l) == 0;
    if (started)
        (void)pthread_detach(thread); // cannot fail for a new thread
    else
        atomic_store(&l->holders, 1);
    return pthread_sigmask(SIG_SETMASK, &old, NULL) == 0 && started;
}

struct lookup *lookup_start(struct ev_loop *loop, const char *host, unsigned short port,
                            void (*on_done)(void *ctx, const struct addrinfo *found, const char *error),
                            void *ctx)
{
    struct lookup *l = calloc(1, sizeof *l + strlen(host) + 1);
    if (!l)
        return NULL;
    memcpy(l->host, host, strlen(host) + 1);
    snprintf(l->service, sizeof l->service, "%u", port);
    l->loop = loop;
    l->on_done = on_done;
    l->ctx = ctx;
    atomic_store(&l->holders, 1);
    l->done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->done < 0) {
        free(l);
        return NULL;
    }
    ev_io_init(&l->io, on_readable, l->done, EV_READ);
    l->io.data = l;
    if (!lookup_thread(l)) {
        lookup_drop(l);
        return NULL;
    }
    if (loop)
        ev_io_start(loop, &l->io);
    return l;
}

void lookup_release(struct lookup *l)
{
    if (!l)
        return;
    if (l->loop)
        ev_io_stop(l->loop, &l->io);
    lookup_drop(l);
}

bool lookup_wait(struct lookup *l, uint64_t timeout_ms)
{
    struct pollfd done = {.fd = l->done, .events = POLLIN};
    uint64_t until = clock_monotonic_ms() + timeout_ms, now;
    while (!lookup_is_over(l) && (now = clock_monotonic_ms()) < until)
        if (poll(&done, 1, until - now < INT_MAX ? (int)(until - now) : INT_MAX) < 0 && errno != EINTR)
            break;
    return lookup_is_over(l);
}

struct addrinfo *lookup_take(struct lookup *l, const char **error)
{
    struct addrinfo *found = l->found;
    assert(!l->loop && lookup_is_over(l));
    l->found = NULL;
    *error = lookup_error(l);
    return found;
}

struct addrinfo *lookup_numeric(const char *host, unsigned short port)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    return getaddrinfo(host, service, &hints, &found) == 0 ? found : NULL;
}
