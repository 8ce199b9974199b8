#include "publisher-cli/interrupt.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

int interrupt_open(void)
{
    sigset_t signals;
    if (sigemptyset(&signals) != 0 || sigaddset(&signals, SIGINT) != 0 || sigaddset(&signals, SIGTERM) != 0 ||
        sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
        return -1;
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool interrupt_within(int fd, uint64_t ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    uint64_t now = clock_monotonic_ms(), deadline = now + ms;
    int n;
    do {
        n = poll(&readable, 1, (int)(deadline - now));
        now = clock_monotonic_ms();
    } while (n < 0 && errno == EINTR && now < deadline);
    return n > 0;
}
