// SIGINT and SIGTERM, for commands that wait.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A descriptor that can be read once SIGINT or SIGTERM has come; they end the process no longer. To be called before
// any thread is started. -1 on failure.
int interrupt_open(void);

// Writes all of `bytes` to `out`, even where that has to wait. False with `*is_interrupted` where a signal came before
// `out` took all, or on an error of `out` (errno). `out` is not changed to be non-blocking: others may write to it,
// too.
bool interrupt_write(int fd, int out, const char *bytes, size_t len, bool *is_interrupted);

// Waits. True as soon as a signal came; it stays readable. `fd` may be -1: then it only waits.
bool interrupt_within(int fd, uint64_t ms);
