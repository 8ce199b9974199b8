// Why something failed: one line for a person, without the line break and never with a password. A function
// that is given a `struct failure` writes to it where it returns false or NULL, and only then.
#pragma once

#include <stdbool.h>

struct failure {
    char text[512];
};

// Cuts what is longer. Returns false, to be returned in turn.
bool failure_set(struct failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool failure_out_of_memory(struct failure *failure);
