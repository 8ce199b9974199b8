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

// The key of a map's entry.
static inline struct channel_ref channel_ref_of(const struct map_entry *e)
{
    return (struct channel_ref){.name = e->key, .len = e->len, .hash = e->hash};
}

// The entry of that name; NULL where there is none.
static inline struct map_entry *channel_find(const struct map *m, struct channel_ref channel)
{
    return map_find(m, channel.hash, channel.name, channel.len);
}
