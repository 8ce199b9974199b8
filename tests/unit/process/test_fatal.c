// A process that cannot go on says so in its log, whoever reads that, and ends.
#include "gateway/process/fatal.h"

#include <assert.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/lib/unit_main.h"

static int fds[2];

static void fail_assertion(void)
{
    volatile int places = 0;
    assert(places == 1);
}

// libev wants a descriptor to wake the loop.
static void fail_libev(void)
{
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    (void)setrlimit(RLIMIT_NOFILE, &none);
    ev_async wake;
    ev_async_init(&wake, NULL);
    ev_async_start(loop, &wake);
}

static pid_t start(void (*act)(void), bool full)
{
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child > 0)
        return child;
    (void)dup2(fds[1], STDERR_FILENO);
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    (void)fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
    while (full && write(STDERR_FILENO, "x", 1) == 1)
        ;
    (void)fcntl(STDERR_FILENO, F_SETFL, flags);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    fatal_setup();
    if (!log_start(1 << 16))
        _exit(1);
    act();
    _exit(0);
}

static void is_aborted(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}

static const struct {
    void (*act)(void);
    const char *said;
} failures[] = {
    {fail_assertion, "error main: tests/unit/process/test_fatal.c:"},
    {fail_libev, "error main: the event loop (libev) cannot go on: "},
};

TEST_EACH(what_ends_the_process_is_a_line_of_the_log, failures)
{
    char text[4096];
    is_aborted(start(failures[_i].act, false));
    ssize_t n = read(fds[0], text, sizeof text - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_msg(strstr(text, failures[_i].said) != NULL, "%s", text);
    ck_assert_ptr_eq(strchr(text, '\n'), text + n - 1);
}

TEST_EACH(a_reader_of_the_log_that_stands_still_does_not_hold_the_end_up, failures)
{
    is_aborted(start(failures[_i].act, true));
}
