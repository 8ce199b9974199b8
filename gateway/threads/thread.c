#include "gateway/threads/thread.h"

#include <signal.h>

bool thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    // A thread inherits the mask of its creator (pthread_sigmask(3)).
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    bool started = pthread_create(thread, NULL, run, arg) == 0;
    return pthread_sigmask(SIG_SETMASK, &old, NULL) == 0 && started;
}
