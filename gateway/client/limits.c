#include "gateway/client/limits.h"

bool limits_enter(struct limits *l)
{
    if (atomic_fetch_add(&l->streams, 1) < l->max_streams)
        return true;
    limits_leave(l);
    return false;
}

void limits_leave(struct limits *l)
{
    atomic_fetch_sub(&l->streams, 1);
}

bool limits_full(const struct limits *l)
{
    return atomic_load(&l->streams) >= l->max_streams;
}
