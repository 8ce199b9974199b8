#include "common/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/thread.h"

#define TICK_MS 1000u
// A crash waits for the thread at most CRASH_WAITS times CRASH_WAIT_NS: half a second.
#define CRASH_WAITS 100
#define CRASH_WAIT_NS 5000000

// Lines stand in the ring one after the other, each behind its length.
typedef uint16_t line_length;
_Static_assert(LOG_LINE_MAX <= UINT16_MAX, "a length fits");

// Standard error is one per process, and so is this.
static struct {
    pthread_mutex_t lock; // guards what follows
    pthread_cond_t work, done;
    char *ring;
    size_t size, start, used;
    uint64_t unsaid; // dropped lines that were not reported yet
    bool refused;    // standard error did not take the last line (a full disk): a report would be lost, too
    bool running, stopping, ended;

    struct log_writer_hooks hooks;
    pthread_t thread;
    _Atomic size_t pending;   // bytes that are not written yet, for the handler of a crash
    _Atomic uint64_t dropped; // since the start
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

// False where standard error takes nothing any more.
static bool write_line(const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n >= 0) {
            line += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) { // a parent has made it non-blocking
            struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
            (void)poll(&ready, 1, -1); // its result is not needed: write fails where it failed
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void ring_write(const void *bytes, size_t len)
{
    size_t at = (writer.start + writer.used) % writer.size;
    size_t first = len < writer.size - at ? len : writer.size - at;
    memcpy(writer.ring + at, bytes, first);
    memcpy(writer.ring, (const char *)bytes + first, len - first);
    writer.used += len;
}

static void ring_read(void *bytes, size_t len)
{
    assert(len <= writer.used);
    size_t first = len < writer.size - writer.start ? len : writer.size - writer.start;
    memcpy(bytes, writer.ring + writer.start, first);
    memcpy((char *)bytes + first, writer.ring, len - first);
    writer.start = (writer.start + len) % writer.size;
    writer.used -= len;
}

static void count_dropped(void)
{
    writer.unsaid++;
    atomic_fetch_add_explicit(&writer.dropped, 1, memory_order_relaxed);
}

// Under the lock. The length of the next line, 0 where there is none; or the number of dropped lines to
// report.
static size_t take_line(char *line, uint64_t *dropped)
{
    line_length len = 0;
    // While the ring is more than half full, more lines may be dropped in a moment: one line tells of all.
    if (writer.unsaid > 0 && !writer.refused && writer.used <= writer.size / 2) {
        *dropped = writer.unsaid;
        writer.unsaid = 0;
    } else if (writer.used > 0) {
        ring_read(&len, sizeof len);
        ring_read(line, len);
    }
    return len;
}

// Under the lock, which it gives up while the hook runs: the hook may put lines.
static void tick(void)
{
    pthread_mutex_unlock(&writer.lock);
    writer.hooks.on_tick();
    pthread_mutex_lock(&writer.lock);
}

// Under the lock. Waits for lines until `until_ms`.
static void wait_for_lines(uint64_t until_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    // The time is over, or there is work, or neither: the caller looks.
    (void)pthread_cond_timedwait(&writer.work, &writer.lock, &until);
}

static void *writer_run(void *arg)
{
    (void)arg;
    char line[LOG_LINE_MAX];
    uint64_t next_tick = clock_monotonic_ms() + TICK_MS;
    pthread_mutex_lock(&writer.lock);
    for (;;) {
        if (clock_monotonic_ms() >= next_tick) {
            next_tick = clock_monotonic_ms() + TICK_MS;
            tick();
        }
        uint64_t dropped = 0;
        size_t len = take_line(line, &dropped);
        if (len == 0 && dropped == 0) {
            atomic_store(&writer.pending, 0);
            if (writer.stopping)
                break;
            wait_for_lines(next_tick);
            continue;
        }
        pthread_mutex_unlock(&writer.lock);
        if (dropped > 0)
            len = writer.hooks.on_dropped(line, dropped);
        bool written = write_line(line, len);
        pthread_mutex_lock(&writer.lock);
        writer.refused = !written;
        if (!written && dropped == 0)
            count_dropped();
        else if (!written)
            writer.unsaid += dropped;
    }
    writer.ended = true;
    pthread_cond_signal(&writer.done);
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

// The other threads run on meanwhile, the writer among them; what a handler may do is little, and waiting is
// in it (signal-safety(7)).
static void on_crash(int signum)
{
    const struct timespec moment = {.tv_nsec = CRASH_WAIT_NS};
    for (int i = 0; i < CRASH_WAITS && atomic_load(&writer.pending) > 0; i++)
        (void)nanosleep(&moment, NULL);
    (void)raise(signum); // SA_RESETHAND: the default action, when this handler has returned
}

// Handlers that are installed already are a sanitizer's, whose report says more.
static void watch_crashes(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    const struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND};
    struct sigaction old;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(signals[i], &action, NULL); // without it a crash loses a line or two
}

bool log_writer_start(size_t bytes, const struct log_writer_hooks *hooks)
{
    assert(!writer.ring && bytes >= LOG_LINE_MAX + sizeof(line_length));
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return false;
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&writer.work, &attr) == 0 && pthread_cond_init(&writer.done, &attr) == 0;
    pthread_condattr_destroy(&attr);
    writer.ring = ok ? malloc(bytes) : NULL;
    if (!writer.ring)
        return false;
    writer.size = bytes;
    writer.hooks = *hooks;
    writer.running = true;
    if (!thread_start(&writer.thread, "log", writer_run, NULL)) {
        writer.running = false;
        free(writer.ring);
        writer.ring = NULL;
        return false;
    }
    watch_crashes();
    return true;
}

void log_writer_put(const char *line, size_t len)
{
    assert(len <= LOG_LINE_MAX);
    const line_length head = (line_length)len;
    pthread_mutex_lock(&writer.lock);
    bool direct = !writer.running;
    if (!direct && writer.used + sizeof head + len > writer.size) {
        count_dropped();
    } else if (!direct) {
        ring_write(&head, sizeof head);
        ring_write(line, len);
        atomic_store(&writer.pending, writer.used);
        pthread_cond_signal(&writer.work);
    }
    pthread_mutex_unlock(&writer.lock);
    if (direct)
        (void)write_line(line, len); // a failure could not be reported anywhere
}

bool log_writer_stop(uint32_t timeout_ms)
{
    uint64_t until_ms = clock_monotonic_ms() + timeout_ms;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&writer.lock);
    if (!writer.running) {
        pthread_mutex_unlock(&writer.lock);
        return true;
    }
    writer.stopping = true;
    pthread_cond_signal(&writer.work);
    int failure = 0;
    while (!writer.ended && failure == 0)
        failure = pthread_cond_timedwait(&writer.done, &writer.lock, &until);
    bool ended = writer.ended;
    if (ended)
        writer.running = false;
    pthread_mutex_unlock(&writer.lock);
    if (!ended)
        return false;
    (void)pthread_join(writer.thread, NULL); // the thread has ended
    free(writer.ring);
    writer.ring = NULL;
    return true;
}

uint64_t log_writer_dropped(void)
{
    return atomic_load_explicit(&writer.dropped, memory_order_relaxed);
}
