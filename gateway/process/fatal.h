// The ways in which the process ends at once: an assertion that fails, and libev, which aborts when it gets
// no memory or a system call fails. Both would write to standard error themselves, in a form of their own,
// and wait for its reader; they go to the log instead, and then abort().
#pragma once

// Main thread, before the first loop.
void fatal_setup(void);
