// The frames that a worker keeps of one durable channel while streams lag in it, shared by all those streams:
// two chains of frames, each of which begins where the one before it ended (frame.prev == the other's
// frame.at).
//
//      page: o--o--o--o  what was read last from Redis            ring: o--o--o  the newest, up to live
//
// A thousand clients that come back at the same moment cost one read and no copies. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"

#define REPLAY_RING_FRAMES 1024u
#define REPLAY_RING_BYTES (1u << 20)

// Oldest first, in a circle of `capacity` (a power of two). Each frame is one reference.
struct chain {
    struct frame **frames;
    uint32_t head, count, capacity;
    size_t bytes;
};

struct replay {
    struct chain ring, page;
    struct event_id page_from; // the page holds what Redis kept from here on, this entry included,
    bool has_page;
    bool page_at_end; // up to its end at that time
};

// A struct replay that is all zero is empty.
void replay_clear(struct replay *r);
void replay_drop_page(struct replay *r);
void replay_drop_ring(struct replay *r);
size_t replay_bytes(const struct replay *r);

// A live event (borrowed): the ring ends with it from now on. Where it does not follow the ring's last one,
// or memory is short, the ring is forgotten; where it is a snapshot, all is. `budget`: bytes that the ring may grow by.
void replay_append(struct replay *r, struct frame *f, size_t budget);

// A page that was read: takes the references, and leaves the array alone. Where it reaches the ring, or
// `live` (the channel's last_id) with no ring there, the ring grows downwards by what fits.
void replay_add_page(struct replay *r, struct event_id from, bool at_end, struct frame *const *frames,
                     size_t count, struct event_id live, size_t budget);

// The oldest event of the ring; NULL where it is empty.
struct frame *replay_ring_first(const struct replay *r);

enum replay_result {
    REPLAY_NEXT,    // `next` follows
    REPLAY_GAP,     // `at` is there, and events after it are gone; `next` is the first one after those
    REPLAY_MISSING, // `at` is not there; `next` is the first one after it
    REPLAY_END,     // Redis had nothing after `at`
    REPLAY_LOST,    // Redis has neither `at` nor anything after it
    REPLAY_UNREAD   // neither chain shows what follows `at`: a page has to be read from `at` on
};

// Looks for the event that follows `at`. `next` is borrowed.
enum replay_result replay_next(const struct replay *r, struct event_id at, struct frame **next);
