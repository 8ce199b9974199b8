// The hub of one worker: which of its streams want which channel, and how far each has got. No locks, one
// thread.
//
//      map: name -> channel ---- slots[] ---> subscriber (embedded in a connection)
//                      ^                          |
//                      +------ subscription[] <---+        both directions: leaving is O(its channels)
//
// A durable channel has a position, the last event that came. Subscribers with a slot have had all up to it;
// one that resumes, or all of them after a hole, are behind: they get what they miss from Redis, by way of
// the channel's replay (replay.h), as fast as their sockets take it, and then a slot.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/channel_ref.h"
#include "gateway/fanout/frame.h"
#include "gateway/fanout/history_page.h"

#define HUB_CHANNELS_MAX 1024u // of one subscriber

struct hub;
struct hub_channel;

struct subscription {
    struct hub_channel *channel;
    uint32_t slot; // where this subscriber stands in the channel's slots; or among those who are behind
    bool lagging;
};

struct subscriber {
    struct subscription *subscriptions; // `one` or an allocation; NULL while it is in no hub
    struct subscription one;            // most streams have a single channel
    uint32_t count, allotted;           // subscriptions, and room for them
};

// Where a subscriber begins in a channel.
enum hub_from {
    FROM_NOW,
    FROM_EVENT_ID, // after `at`
    FROM_EARLIEST, // with all that is kept
    FROM_UNKNOWN,  // it has been here before, and nobody knows how far it got: a gap, then as FROM_NOW
};

struct hub_name {
    struct channel_ref channel;
    enum hub_from from;
    struct event_id at;
};

// Whether a subscriber can take events that it missed.
enum subscriber_readiness {
    SUBSCRIBER_NOT_OPEN, // its stream is not open: hub_wake when it is
    SUBSCRIBER_BLOCKED,  // its socket is full: hub_wake when it has room; or the stream has ended
    SUBSCRIBER_READY,
};

struct hub_events {
    // The first subscriber of a channel came (`subscribe_seq`, a number that grows), or its last one left (0). Tell
    // the bus. False where that cannot be told, which fails the join; a leave must not fail.
    bool (*on_interest)(void *ctx, struct channel_ref channel, uint64_t subscribe_seq);
    // A page of history is wanted; it comes by hub_page. False where that cannot be told: it will be asked
    // again.
    bool (*on_history)(void *ctx, struct channel_ref channel, const struct history_query *query);
    // A frame for `s`. Must neither add to nor remove from the hub; mark what is to go, and remove it later.
    void (*on_frame)(void *ctx, struct subscriber *s, struct frame *f);
    // hub_is_ready(s) has come true.
    void (*on_ready)(void *ctx, struct subscriber *s);
    enum subscriber_readiness (*readiness)(void *ctx, struct subscriber *s);
    // There is no memory to keep track of `s`: end it, and it will come back.
    void (*on_no_memory)(void *ctx, struct subscriber *s);
    void *ctx;
};

// `replay_limit`: bytes of history that may be remembered for lagging streams. NULL when out of memory.
struct hub *hub_create(const struct hub_events *events, size_t replay_limit);
// No subscriber may be in it.
void hub_destroy(struct hub *h);

// Enters `s` (all zero) for all the names, which are distinct. False when out of memory: `s` is in no channel
// then.
bool hub_join(struct hub *h, struct subscriber *s, const struct hub_name *names, size_t count);
// Takes `s` out of all its channels. No effect where it is in none.
void hub_leave(struct hub *h, struct subscriber *s);
// True where Redis has confirmed every channel of `s`, and it is known what `s` has missed.
bool hub_is_ready(const struct subscriber *s);

// Hands `f` (borrowed) to each subscriber of its channel. Returns how many there were.
size_t hub_deliver(struct hub *h, struct frame *f);

// Redis confirmed the subscription of a channel: tells each subscriber that has all it waits for.
void hub_confirm(struct hub *h, struct channel_ref channel, const struct history_tail *tail);
// The subscription of a channel is gone.
void hub_unconfirm(struct hub *h, struct channel_ref channel);
// The connection to Redis is gone: no channel is confirmed any more.
void hub_unconfirm_all(struct hub *h);
// Messages of the channel may have been lost. True where that must be told to its streams. Where the channel
// has history, what is missing of that is read as soon as the bus has said how far it got; it is asked for
// that unless `is_confirmed_soon`.
bool hub_lost(struct hub *h, struct channel_ref channel, bool is_confirmed_soon);

// The answer to on_history. Takes the references of the frames, not the array.
void hub_page(struct hub *h, struct channel_ref channel, const struct history_page *page);
// The page with that number will not come: it is asked for again at one of the next ticks.
void hub_page_lost(struct hub *h, uint32_t number);
// `s` may take more of what it missed, or has been opened.
void hub_wake(struct hub *h, struct subscriber *s);
// Hands about `budget` frames to those who are behind and can take them. True where there is more to do at
// once.
bool hub_feed(struct hub *h, size_t budget);
// Now and then.
void hub_tick(struct hub *h, uint64_t now_ms);

// What the client is to keep as its last event id: CURSOR_MAX bytes of room; returns the length. 0 where no
// channel of `s` can have a history.
size_t hub_cursor(const struct subscriber *s, char *out);
// True where a channel of `s` has had a durable event.
bool hub_is_durable(const struct subscriber *s);

enum hub_standing { HUB_FRESH, HUB_RESUMED, HUB_GAP };
enum hub_standing hub_standing(const struct subscriber *s, size_t i);
// True where `s` begins now in a channel that has history: it has to be told where that is. `even_empty`:
// also one that has no event yet.
bool hub_is_new_to_history(const struct subscriber *s, bool even_empty);

size_t hub_channel_count(const struct hub *h);
// Memory that channels, their slots and the subscriptions outside of subscribers take.
size_t hub_bytes(const struct hub *h);
// Memory of what is remembered for lagging streams.
size_t hub_replay_bytes(const struct hub *h);
// The i-th channel of a subscriber.
struct channel_ref hub_channel_name(const struct subscriber *s, size_t i);
