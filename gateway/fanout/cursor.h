// The last event id: one opaque text that says how far a client has got in each of its stream's channels, so
// that any gateway can go on from there. Of A-Z a-z 0-9 - _ only, at most CURSOR_MAX bytes. Pure.
//
//      base64url( check (3) | flags (1) | newest ms (varint) | for each channel:
//                 hash (3) | offset (varint) | age (varint) )
//
// `check` is a hash of what follows it: what no gateway has made is told apart from what one has. A channel
// is known by 24 bits of a hash of its name; where two names share them, the position does not fit into the
// other's history, and the client is told of a gap. `age` is the newest ms less the position's own; a channel
// at its very beginning has offset 0 and no age.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/fanout/event_id.h"

#define CURSOR_MAX 1024

struct cursor_entry {
    const char *channel; // borrowed
    size_t channel_len;
    struct event_id at;
    bool unknown; // nobody knows how far the client has got in it: CURSOR_UNKNOWN when it comes back
};

// Writes the cursor of `entries` to `out`, which has room for CURSOR_MAX bytes; returns its length. Entries
// that do not fit are left out, and the cursor says so.
size_t cursor_encode(const struct cursor_entry *entries, size_t count, char *out);

enum cursor_result {
    CURSOR_NEW,     // the client has not been told anything of this channel: it begins now
    CURSOR_KNOWN,   // it goes on after the position
    CURSOR_UNKNOWN, // it had a position, and nobody knows which
};

// What a cursor says of one channel. A text that no gateway has made is CURSOR_UNKNOWN for all.
enum cursor_result cursor_find(const char *text, size_t len, const char *channel, size_t channel_len,
                               struct event_id *at);
