#include "common/thread.h"

#include <signal.h>

bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    // A thread inherits the mask of its creator (pthread_sigmask(3)).
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    bool started = pthread_create(thread, NULL, run, arg) == 0;
    if (started)
        (void)pthread_setname_np(*thread, name);    // a nameless thread works as well
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL); // fails for arguments that make no sense alone
    return started;
}
