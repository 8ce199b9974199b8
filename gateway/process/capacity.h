// How many streams the limit of open files has room for, beside the descriptors that the gateway itself
// needs. Main thread, before others start.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"

// The settings on which the number of descriptors for other purposes than streams depends.
struct capacity_needs {
    uint64_t workers, listeners;
    enum redis_url_kind redis;
    bool asks; // workers ask questions (bus/questions.h)
};

// Descriptors to keep for loops, listeners, the log, the admin listener, Redis and look-ups of names. Pure.
uint64_t capacity_reserved(const struct capacity_needs *needs);

#define CAPACITY_STREAMS_MAX 100000000u // also where a limit of open files is said to be infinite

struct capacity {
    uint64_t streams;
    uint64_t streamless; // connections without a stream that there is room for beside as many streams
};

// Shares what `limit` descriptors leave beside `reserved`: `asked` streams (--max-connections), or, where
// that is OPTION_UNSET, all but a sixteenth (64 to 1,024) for streams. False, and one line in `error`, where
// the limit is too low. Pure.
bool capacity_share(uint64_t limit, uint64_t reserved, uint64_t asked, struct capacity *out, char *error,
                    size_t error_size);

// Raises the limit of open files as far as this process may, and returns what is in force.
uint64_t capacity_raise_limit(void);
