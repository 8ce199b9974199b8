// How many streams the whole process may hold. Shared by all workers, touched when a stream begins and ends
// only.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct limits {
    _Atomic uint64_t streams;
    uint64_t max_streams;
};

// Takes a place for one more stream; false where all are taken. Any thread.
bool limits_enter(struct limits *l);
// Gives it back.
void limits_leave(struct limits *l);
// True where no place is left.
bool limits_full(const struct limits *l);
