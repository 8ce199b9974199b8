#include "gateway/client/limits.h"

#include <assert.h>

bool limits_enter(struct limits *l)
{
    if (atomic_fetch_add(&l->streams, 1) < l->max_streams)
        return true;
    limits_leave(l);
    return false;
}

void limits_leave(struct limits *l)
{
    uint64_t before = atomic_fetch_sub(&l->streams, 1);
    assert(before > 0);
    (void)before; // where asserts are off
}

bool limits_full(const struct limits *l)
{
    return atomic_load(&l->streams) >= l->max_streams;
}
