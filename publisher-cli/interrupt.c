#include "publisher-cli/interrupt.h"

#include "common/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupt_open(void)
{
    sigset_t signals;
    if (sigemptyset(&signals) != 0 || sigaddset(&signals, SIGINT) != 0 || sigaddset(&signals, SIGTERM) != 0 ||
        sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
        return -1;
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool interrupt_write(int fd, int out, const char *bytes, size_t len, bool *is_interrupted)
{
    *is_interrupted = false;
    for (size_t at = 0; at < len;) {
        struct pollfd fds[] = {{.fd = out, .events = POLLOUT}, {.fd = fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return false;
        *is_interrupted = !fds[0].revents && fds[1].revents;
        if (*is_interrupted)
            return false;
        // A pipe that can be written takes so much without waiting.
        size_t part = len - at < PIPE_BUF ? len - at : PIPE_BUF;
        ssize_t n = fds[0].revents ? write(out, bytes + at, part) : 0;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool interrupt_within(int fd, uint64_t ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    uint64_t start = clock_monotonic_ms(), past = 0;
    int n;
    do {
        uint64_t left = ms - past;
        n = poll(&readable, 1, left < INT_MAX ? (int)left : INT_MAX);
        past = clock_monotonic_ms() - start;
    } while ((n == 0 || (n < 0 && errno == EINTR)) && past < ms);
    return n > 0;
}
