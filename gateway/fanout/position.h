// A place in the history of a durable channel: the id of a stream entry in Redis, `<ms>-<offset>`. Offsets
// are dense per channel; the milliseconds tell one life of a channel's history from another
// (docs/protocol.md, "Durable channels"). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// All zero stands before the first event.
struct position {
    uint64_t ms, offset;
};

static inline bool position_is_zero(struct position p)
{
    return p.ms == 0 && p.offset == 0;
}

static inline bool position_equal(struct position a, struct position b)
{
    return a.ms == b.ms && a.offset == b.offset;
}

// The order in which Redis keeps them.
static inline bool position_before(struct position a, struct position b)
{
    return a.ms != b.ms ? a.ms < b.ms : a.offset < b.offset;
}

// Reads `<ms>-<offset>` from the beginning of `text` as Redis writes it; returns the bytes read, 0 where
// there is none.
size_t position_parse(const char *text, size_t len, struct position *out);
// Reads a decimal number likewise.
size_t position_parse_number(const char *text, size_t len, uint64_t *out);
