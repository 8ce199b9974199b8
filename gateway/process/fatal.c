#include "gateway/process/fatal.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

// A shortage of memory that passes within a second does not end the process.
#define ALLOCATE_TRIES 100
#define ALLOCATE_PAUSE_NS 10000000

// In the place of glibc's own, which assert calls.
// NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the name is glibc's
void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
    log_error("main", "%s:%u: %s: \"%s\" does not hold; this is a fault of the gateway: please report it",
              file, line, function, assertion);
    abort();
}

static void on_failed_call(const char *call)
{
    log_error("main", "the event loop (libev) cannot go on: %s: %s", call, strerror(errno));
    abort();
}

// libev's allocator (ev_set_allocator): as realloc; a size of 0 frees. The loop stands still while this waits
// for memory, which is better than the end of every stream of the process.
static void *on_allocate(void *old, long size)
{
    static const struct timespec pause = {.tv_nsec = ALLOCATE_PAUSE_NS};
    if (size == 0) {
        free(old);
        return NULL;
    }
    void *block = realloc(old, (size_t)size);
    for (int i = 1; !block && i < ALLOCATE_TRIES; i++) {
        (void)nanosleep(&pause, NULL); // a shorter pause will do
        block = realloc(old, (size_t)size);
    }
    if (!block) {
        log_error("main", "out of memory: the event loop (libev) cannot go on without %ld bytes", size);
        abort();
    }
    return block;
}

void fatal_setup(void)
{
    ev_set_syserr_cb(on_failed_call);
    ev_set_allocator(on_allocate);
}
