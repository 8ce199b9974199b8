// How many streams the limit of open files has room for, beside the descriptors that the gateway itself needs.
// Main thread, before others start.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"

// What decides how many descriptors are not streams'.
struct capacity_needs {
    uint64_t workers, listeners;
    enum redis_url_kind redis;
};

// Descriptors to keep for loops, listeners, the log, the admin listener, Redis and look-ups of names. Pure.
uint64_t capacity_reserved(const struct capacity_needs *needs);

// Streams beside `reserved` descriptors, of `limit` in all: `asked` (--max-connections), or, where that is
// OPTION_UNSET, as many as there is room for. False, and one line in `error`, where the limit is too low.
// Pure.
bool capacity_streams(uint64_t limit, uint64_t reserved, uint64_t asked, uint64_t *streams, char *error,
                      size_t error_size);

// Raises the limit of open files as far as this process may, and returns what is in force.
uint64_t capacity_raise_limit(void);
