// The last event id: one opaque text that says how far a client has got in each of its stream's channels, so
// that any gateway can go on from there. Of A-Z a-z 0-9 - _ only, at most CURSOR_MAX bytes. Pure.
//
//      base64url( check (3) | flags (1) | newest ms (varint) | [ count (1) | that many long entries ] | short entries )
//
//      short entry:  low 24 bits of cursor_hash (3) | offset (varint) | age (varint)
//      long entry:   all of cursor_hash         (8) | offset (varint) | age (varint)
//
// `check` is a hash of what follows it: what no gateway has made is told apart from what one has. `age` is the
// newest ms less the event id's own; a channel at its very beginning has offset 0 and no age.
//
// A channel is known by 24 bits of a hash of its name. Where two channels of the stream share them, which one
// stream of 64 channels in 8,000 has, both get long entries, and a flag says that there are such. An entry found
// twice says nothing: the client is told of a gap. So is one that adds a channel to its stream, and brings the
// cursor of the old stream, where the two share 24 bits.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/event_id.h"

#define CURSOR_MAX 1024

enum cursor_result {
    CURSOR_KNOWN,   // the client goes on after the event id
    CURSOR_UNKNOWN, // it had one, and nobody knows which
    CURSOR_NEW,     // it has not been told anything of this channel: it begins now
};

// A channel of a stream. All channels of the stream are given, also those of which the cursor says nothing: they
// are to be told apart from the others.
struct cursor_entry {
    uint64_t hash; // cursor_hash of its name
    struct event_id at;
    enum cursor_result result; // what cursor_find is to answer
};

// The same on all gateways: without the seed of common/map.h.
uint64_t cursor_hash(const char *channel, size_t len);

// Writes the cursor of `entries` to `out`, which has room for CURSOR_MAX bytes; returns its length. Entries
// that do not fit are left out, and the cursor says so.
size_t cursor_encode(const struct cursor_entry *entries, size_t count, char *out);

// What a cursor says of one channel. A text that no gateway has made is CURSOR_UNKNOWN for all.
enum cursor_result cursor_find(const char *text, size_t len, const char *channel, size_t channel_len,
                               struct event_id *at);
