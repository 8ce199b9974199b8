// The last event id: one opaque text that says how far a client has got in each of its stream's channels, so
// that any gateway can go on from there. Of A-Z a-z 0-9 - _ only, at most CURSOR_MAX bytes. Pure.
//
//      base64url( check (3) | flags (1) | newest ms (varint) | [ count (1) | that many long entries ] | short entries )
//
//      short entry:  low 24 bits of cursor_hash (3) | offset (varint) | age (varint)
//      long entry:   all of cursor_hash         (8) | offset (varint) | age (varint)
//
// `check` is a hash of what follows it: by this a gateway recognises cursors, and rejects all other texts.
// `age` is the newest ms less the event id's own; a channel at its very beginning has offset 0 and no age. Where
// no entry has age 0, and none was left out, the newest ms is the time by Redis' clock at which sse_position
// (common/sse/) made the cursor: channels with offset 0 had no history then.
//
// An entry names its channel by 24 bits of a hash of the name. Where two channels of the stream share those
// bits, as in one of 8,000 streams with 64 channels, both get long entries, and a flag says that there are
// some. Where two entries match a channel, neither counts: the client gets a gap. It also gets one where it
// adds a channel to its stream, brings the cursor of the old stream, and the new channel shares 24 bits with
// an old one.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base64url.h"
#include "gateway/fanout/event_id.h"

#define CURSOR_MAX 1024
#define CURSOR_ENTRIES_MAX 4096u // of one call of cursor_encode; about a hundred fit

enum cursor_result {
    CURSOR_KNOWN,   // the client goes on after the event id
    CURSOR_UNKNOWN, // the client had an event id, and it is not known which
    CURSOR_NEW,     // the cursor says nothing of this channel: the client begins now
};

// A channel of a stream. All channels of the stream are given, also those of which the cursor says nothing,
// since their 24 bits may be those of another channel. Of one that has had no event `at` is all zero, or has a
// millisecond at which it had no history.
struct cursor_entry {
    uint64_t hash; // cursor_hash of its name
    struct event_id at;
    enum cursor_result result; // what cursor_look_up is to answer
};

// The same on all gateways: without the seed of common/map.h.
uint64_t cursor_hash(const char *channel, size_t len);

// Writes the cursor of `entries` to `out`, which has room for CURSOR_MAX bytes; returns its length. Entries
// that do not fit are left out, and the cursor says so.
size_t cursor_encode(const struct cursor_entry *entries, size_t count, char *out);

// A cursor whose text has been read.
struct cursor {
    uint8_t bytes[BASE64URL_BYTES(CURSOR_MAX)];
    size_t len;
};

// False where no gateway, and no sse_position, has made the text.
bool cursor_read(struct cursor *c, const char *text, size_t len);
// `hash`: cursor_hash of the channel's name. `at` as in a cursor_entry.
enum cursor_result cursor_look_up(const struct cursor *c, uint64_t hash, struct event_id *at);
