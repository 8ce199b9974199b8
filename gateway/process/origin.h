// Origins as browsers write them in a request: lower case, without a default port, addresses in their
// shortest form (RFC 6454 section 6.2; WHATWG URL, "Host serializing"). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define ORIGIN_SIZE 512

// Writes to `out` the form in which browsers send the origin `text` ("*" stays, and so does "*." in front of a name).
// False where no browser can ever send it: then `error` has the rest of a sentence `"x" ...` that says what to write.
bool origin_normalise(const char *text, char out[ORIGIN_SIZE], char *error, size_t error_size);
