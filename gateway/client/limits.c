#include "gateway/client/limits.h"

#include <assert.h>

#define HANDSHAKES_SHARE 16u // of the sockets
#define HANDSHAKES_MIN 32u

static void leave(_Atomic uint64_t *count)
{
    uint64_t before = atomic_fetch_sub(count, 1);
    assert(before > 0);
    (void)before; // where asserts are off
}

bool limits_enter(struct limits *l)
{
    if (atomic_fetch_add(&l->streams, 1) < l->max_streams)
        return true;
    limits_leave(l);
    return false;
}

void limits_leave(struct limits *l)
{
    leave(&l->streams);
}

bool limits_full(const struct limits *l)
{
    return atomic_load(&l->streams) >= l->max_streams;
}

void limits_enter_streamless(struct limits *l)
{
    atomic_fetch_add(&l->streamless, 1);
}

void limits_leave_streamless(struct limits *l)
{
    leave(&l->streamless);
}

bool limits_crowded(const struct limits *l)
{
    return atomic_load(&l->streams) + atomic_load(&l->streamless) > l->max_sockets;
}

static uint64_t handshakes_max(const struct limits *l)
{
    uint64_t share = l->max_sockets / HANDSHAKES_SHARE;
    return share > HANDSHAKES_MIN ? share : HANDSHAKES_MIN;
}

bool limits_handshakes_full(const struct limits *l)
{
    return atomic_load(&l->handshakes) >= handshakes_max(l);
}

bool limits_enter_handshake(struct limits *l)
{
    if (atomic_fetch_add(&l->handshakes, 1) < handshakes_max(l))
        return true;
    limits_leave_handshake(l);
    return false;
}

void limits_leave_handshake(struct limits *l)
{
    leave(&l->handshakes);
}
