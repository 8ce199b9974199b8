// A growable run of bytes.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; // NULL while nothing was appended. Not terminated.
    size_t len, capacity;
};

// All zero is an empty buffer. False when out of memory: nothing has changed then.
bool buf_reserve(struct buf *b, size_t more); // room for `more` bytes behind the `len` that are there
bool buf_append(struct buf *b, const void *bytes, size_t len);
// Formatted text, without its terminator.
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Empties; keeps the memory unless it is large.
void buf_clear(struct buf *b);
void buf_free(struct buf *b);
