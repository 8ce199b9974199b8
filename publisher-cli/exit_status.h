// How sse-publish ends.
#pragma once

#include <stdio.h>

enum exit_status { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

// Says why on standard error, in one line. Returns `status`.
static inline enum exit_status fail(enum exit_status status, const char *reason)
{
    fprintf(stderr, "sse-publish: %s\n", reason);
    return status;
}
