// A stream as the hub sees it, its subscriptions, and the callbacks of the hub. Types only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/channel_ref.h"
#include "gateway/fanout/frame.h"
#include "gateway/fanout/history_page.h"
#include "gateway/fanout/replay_budget.h"

struct hub_channel;

struct subscription {
    struct hub_channel *channel;
    uint32_t slot; // index in the channel's slots; of a lagging one in its catch_up's array
    bool lagging;
};

// Embedded in a connection.
struct subscriber {
    struct subscription *subscriptions; // `one` or an allocation; NULL while it is in no hub
    struct subscription one;            // most streams have a single channel
    uint32_t count, allotted;           // subscriptions, and room for them
};

// Whether a subscriber can take events that it missed.
enum subscriber_readiness {
    SUBSCRIBER_NOT_OPEN, // its stream is not open: hub_wake when it is
    SUBSCRIBER_BLOCKED,  // its socket is full: hub_wake when it has room; or the stream has ended
    SUBSCRIBER_READY,
};

struct hub_events {
    // The first subscriber of a channel came, or its tail is asked for once more (`subscribe_seq`, a number that
    // grows), or its last one left (0): post that to the bus. False where it cannot be posted, which fails the
    // join; a leave must not fail.
    bool (*on_interest)(void *ctx, struct channel_ref channel, uint64_t subscribe_seq);
    // A page of history is wanted; it comes by hub_page. False where the query cannot be posted: the hub asks
    // again later.
    bool (*on_history)(void *ctx, struct channel_ref channel, const struct history_query *query);
    // A frame for `s`. Must neither add to nor remove from the hub; mark what is to go, and remove it later.
    void (*on_frame)(void *ctx, struct subscriber *s, struct frame *f);
    // hub_is_ready(s) has become true.
    void (*on_ready)(void *ctx, struct subscriber *s);
    enum subscriber_readiness (*readiness)(void *ctx, struct subscriber *s);
    // There is no memory to keep track of `s`: end its stream; the client comes back.
    void (*on_no_memory)(void *ctx, struct subscriber *s);
    void *ctx;
};

struct hub_settings {
    struct replay_budget *replay_budget; // borrowed, shared by all hubs
    // The channels that have a history are named by --durable: they have durable events only. Else any
    // channel with history may have plain messages, too, which no history has.
    bool durable_named;
};
