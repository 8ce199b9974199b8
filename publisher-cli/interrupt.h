// SIGINT and SIGTERM, for commands that wait.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// A descriptor that can be read once SIGINT or SIGTERM has come; they end the process no longer. To be called before any
// thread is started. -1 on failure.
int interrupt_open(void);

// Waits. True as soon as a signal came; it stays readable. `fd` may be -1: then it only waits.
bool interrupt_within(int fd, uint64_t ms);
