#include "gateway/threads/thread.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    // A thread inherits the mask of its creator (pthread_sigmask(3)).
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    // It inherits the name, too. pthread_setname_np writes a file of proc(5), which --seccomp does not allow.
    char own[16] = "";
    (void)prctl(PR_GET_NAME, own); // a nameless thread works as well
    (void)prctl(PR_SET_NAME, name);
    bool started = pthread_create(thread, NULL, run, arg) == 0;
    (void)prctl(PR_SET_NAME, own);
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
