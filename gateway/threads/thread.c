#include "gateway/threads/thread.h"

#include <signal.h>
#include <time.h>

bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    // A thread inherits the mask of its creator (pthread_sigmask(3)).
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    bool started = pthread_create(thread, NULL, run, arg) == 0;
    if (started)
        (void)pthread_setname_np(*thread, name); // a nameless thread works as well
    return pthread_sigmask(SIG_SETMASK, &old, NULL) == 0 && started;
}

void thread_stop(pthread_t thread, struct mailbox *inbox)
{
    const struct mail stop = {.kind = MAIL_STOP};
    const struct timespec moment = {.tv_nsec = 1000000};
    // Out of memory passes: the receiver empties its box.
    while (!mailbox_post(inbox, &stop))
        (void)nanosleep(&moment, NULL);
    (void)pthread_join(thread, NULL);
}
