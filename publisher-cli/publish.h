// Publishes to Redis over one connection, with several commands on the way at a time.
#pragma once

#include "publisher-cli/connection.h"
#include "publisher-cli/durable.h"
#include "publisher-cli/message.h"

#include <stdbool.h>
#include <stdint.h>

struct publisher;

// The messages that Redis has confirmed so far; and after a failure, which messages failed, counted from 1.
// 0: none.
struct publisher_totals {
    uint64_t messages;
    uint64_t receivers_min, receivers_max; // subscribers that one message reached; both 0 with no message
    char last_id[48];                      // of the newest durable event; "" for none
    uint64_t refused, refused_last; // the first message that Redis refused, and the last that went with it
    bool is_fenced;                 // since the channel's last offset is another one than was given
    uint64_t unknown_first, unknown_last; // messages that Redis may or may not have taken
};

// Everything that its pointers refer to is borrowed until publisher_destroy.
struct publisher_settings {
    const struct redis_target *target;
    const char *channel;
    const struct durable_settings *durable; // each event is kept in its channel's history; NULL: plain
    bool is_sharded;                        // of plain ones: SPUBLISH
    bool is_batched;                        // durable events that wait for each other go in one command
};

// Connects as discovery_open does. NULL on failure.
struct publisher *publisher_create(const struct publisher_settings *settings, struct failure *failure);
void publisher_destroy(struct publisher *publisher); // may be NULL

// Sends one message (borrowed for the call), or keeps it until enough are together or publisher_flush is
// called. For a durable event `payload` is its data alone. `is_last`: no other one follows.
//
// A connection that ended is made anew, for as long as one answer may take, and the messages that Redis has
// certainly not taken are sent again. False where Redis refuses or is gone, or it cannot be known whether it
// took a message; the publisher is good for nothing but its totals then.
bool publisher_send(struct publisher *publisher, struct span payload, bool is_last, struct failure *failure);

// Sends what is kept and waits for all answers. Errors as above.
bool publisher_flush(struct publisher *publisher, struct failure *failure);

// Messages that publisher_flush has something to do for.
size_t publisher_pending(const struct publisher *publisher);

struct publisher_totals publisher_totals(const struct publisher *publisher);
