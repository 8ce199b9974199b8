// What one who is behind in a durable channel is given next, by what is remembered and what was read. Gives
// nothing itself.
#pragma once

#include "gateway/fanout/hub_channel.h"

// What `lag` is to be given next.
enum step {
    STEP_FRAME,
    STEP_GAP,   // up to where `next` follows, or to the channel's position
    STEP_LIVE,  // nothing: it has caught up
    STEP_READ,  // the next page of history
    STEP_AWAIT, // nothing now
};

// The next step of `lag`; `next` gets the event that belongs to it (borrowed), or NULL.
enum step catch_up_step(struct lagging *lag, struct frame **next);
