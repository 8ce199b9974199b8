#include "common/thread.h"

#include <signal.h>
#include <sys/prctl.h>

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
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL); // fails for arguments that make no sense alone
    return started;
}
