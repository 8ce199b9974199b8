// How sse-publish ends.
#pragma once

#include "publisher-cli/shown.h"

#include <stdio.h>
#include <string.h>

// EXIT_FENCED: Redis refused since the channel is at another offset than --after says. A script asks for this one.
enum exit_status { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_FENCED = 3 };

// Says why on standard error, in one line; a reason may have text of a server. Returns `status`.
static inline enum exit_status fail(enum exit_status status, const char *reason)
{
    fprintf(stderr, "sse-publish: ");
    shown_text(stderr, reason, strlen(reason));
    fputc('\n', stderr);
    return status;
}
