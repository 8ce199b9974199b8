// What this process says on standard error, for tests of what a person gets to read.
#pragma once

#include <stddef.h>

// From now on standard error is kept, for the rest of the (forked) test. Level info, text.
void log_capture_start(void);
// How often `text` was said so far.
size_t log_capture_count(const char *text);
