// The hub of one worker: which of its streams want which channel. No locks, one thread.
//
//      map: name -> channel ---- slots[] ---> subscriber (embedded in a connection)
//                      ^                          |
//                      +------ subscription[] <---+        both directions, so that leaving is O(channels of
//                      the stream)
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"

struct hub;
struct hub_channel;

struct subscription {
    struct hub_channel *channel;
    uint32_t slot; // where this subscriber stands in the channel's slots
};

struct subscriber {
    struct subscription *subscriptions; // `one` or an allocation; NULL while it is in no hub
    struct subscription one;            // most streams have a single channel
    uint32_t count, allotted;           // subscriptions, and room for them
};

struct hub_name {
    const char *text; // borrowed
    size_t len;
};

struct hub_events {
    // The first subscriber of a channel came, or its last one left. Tell the bus. False where that cannot be
    // told, which fails the join; a leave must not fail.
    bool (*on_interest)(void *ctx, uint64_t hash, const char *name, size_t len, bool wanted);
    // A frame for `s`. Must neither add to nor remove from the hub; mark what is to go, and remove it later.
    void (*on_frame)(void *ctx, struct subscriber *s, struct frame *f);
    // All channels of `s` are confirmed now: nothing published from here on is missed.
    void (*on_confirmed)(void *ctx, struct subscriber *s);
    void *ctx;
};

// NULL when out of memory.
struct hub *hub_create(const struct hub_events *events);
// No subscriber may be in it.
void hub_destroy(struct hub *h);

// Enters `s` (all zero) for all the names, which are distinct. False when out of memory: `s` is in no channel
// then.
bool hub_join(struct hub *h, struct subscriber *s, const struct hub_name *names, size_t count);
// Takes `s` out of all its channels. No effect where it is in none.
void hub_leave(struct hub *h, struct subscriber *s);
// True where Redis has confirmed every channel of `s`.
bool hub_is_confirmed(const struct subscriber *s);

// Hands `f` (borrowed) to each subscriber of its channel. Returns how many there were.
size_t hub_deliver(struct hub *h, struct frame *f);
// Redis confirmed the subscription of a channel: tells each subscriber that has all it waits for.
void hub_confirm(struct hub *h, uint64_t hash, const char *name, size_t len);
// The connection to Redis is gone: no channel is confirmed any more.
void hub_unconfirm_all(struct hub *h);

size_t hub_channel_count(const struct hub *h);
// Memory that channels, their slots and the subscriptions outside of subscribers take.
size_t hub_bytes(const struct hub *h);
// The i-th channel's name of a subscriber; `len` gets its length.
const char *hub_channel_name(const struct subscriber *s, size_t i, size_t *len);
