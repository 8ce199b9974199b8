// The id of an event of a durable channel, which is the id of its stream entry in Redis, `<ms>-<offset>`.
// Offsets are dense per channel; the milliseconds tell one life of a channel's history from another
// (docs/protocol.md, "Durable events"). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// All zero stands before the first event.
struct event_id {
    uint64_t ms, offset;
};

static inline bool event_id_is_zero(struct event_id p)
{
    return p.ms == 0 && p.offset == 0;
}

static inline bool event_id_equal(struct event_id a, struct event_id b)
{
    return a.ms == b.ms && a.offset == b.offset;
}

// The order in which Redis keeps them.
static inline bool event_id_before(struct event_id a, struct event_id b)
{
    return a.ms != b.ms ? a.ms < b.ms : a.offset < b.offset;
}

// Reads `<ms>-<offset>` from the beginning of `text` as Redis writes it; returns the bytes read, 0 where
// there is none.
size_t event_id_parse(const char *text, size_t len, struct event_id *out);
// Reads a decimal number likewise.
size_t event_id_parse_number(const char *text, size_t len, uint64_t *out);
