#include "tests/unit/lib/log_capture.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static int captured = -1;

void log_capture_start(void)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
    close(fds[1]);
    captured = fds[0];
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
}

size_t log_capture_count(const char *text)
{
    static char all[65536];
    static size_t len;
    ssize_t n;
    while (len < sizeof all - 1 && (n = read(captured, all + len, sizeof all - 1 - len)) > 0)
        len += (size_t)n;
    size_t count = 0;
    for (const char *at = all; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}
