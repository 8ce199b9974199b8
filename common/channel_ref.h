// A channel's name on its way through calls: a view that owns nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/map.h"

struct channel_ref {
    const char *name; // borrowed, not terminated
    size_t len;
    uint64_t hash; // map_hash of the name
};

static inline struct channel_ref channel_ref(const char *name, size_t len)
{
    return (struct channel_ref){.name = name, .len = len, .hash = map_hash(name, len)};
}
