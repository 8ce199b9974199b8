// The hub of one worker: which of its streams want which channel, and how far each has got. No locks: the
// worker's thread alone.
//
//      map: name -> channel ---- slots[] ---> subscriber (embedded in a connection)
//                      ^                          |
//                      +------ subscription[] <---+        both directions: leaving is O(its channels)
//
// A durable channel has a last_id, that of the newest event. Subscribers with a slot have had all events up
// to it. A subscriber that resumes lags, and so do all subscribers of the channel after a loss: they get the
// events that they miss from Redis, by way of the channel's replay (replay.h), as fast as their sockets take
// it, and then a slot (catch_up.h).
#pragma once

#include "gateway/fanout/subscriber.h"

#define HUB_CHANNELS_MAX 4096u // of one subscriber

struct hub;

// Where a subscriber begins in a channel.
enum hub_from {
    FROM_NOW,
    FROM_EVENT_ID, // after `at`
    FROM_EARLIEST, // with all that is kept
    FROM_UNKNOWN,  // the client has had events, and it is not known which: with a gap, then as FROM_NOW
};

struct hub_name {
    struct channel_ref channel;
    uint64_t cursor_hash; // of the channel's name; for resume_from alone
    enum hub_from from;
    struct event_id at; // as in a cursor_entry
    // What is published before the join must be among what is read from the history: Redis is asked for the tail once
    // more, since a message may still be on its way to here. Of FROM_EVENT_ID and FROM_EARLIEST.
    bool to_the_tail;
};

// Both are copied. NULL when out of memory.
struct hub *hub_create(const struct hub_events *events, const struct hub_settings *settings);
// No subscriber may be in it.
void hub_destroy(struct hub *h);

// Subscribes `s` (all zero) to all the names, which are distinct. False when out of memory: `s` is in no
// channel then.
bool hub_join(struct hub *h, struct subscriber *s, const struct hub_name *names, size_t count);
// Unsubscribes `s` from all its channels. No effect where it is in none.
void hub_leave(struct hub *h, struct subscriber *s);
// True where Redis has confirmed every channel of `s`, and it is known what `s` has missed.
bool hub_is_ready(const struct subscriber *s);

// True where `s` has had all events that the hub knows of.
bool hub_has_caught_up(const struct subscriber *s);

// True where a subscriber is in the channel.
bool hub_has_channel(const struct hub *h, struct channel_ref channel);
// Hands `f` (borrowed) to each subscriber of its channel. Returns how many there were.
size_t hub_deliver(struct hub *h, struct frame *f);

// Redis confirmed the subscription of a channel: calls on_ready for each subscriber that is ready by that.
void hub_confirm(struct hub *h, struct channel_ref channel, const struct history_tail *tail);
// The subscription of a channel is gone.
void hub_unconfirm(struct hub *h, struct channel_ref channel);
// The connection to Redis is gone: no channel is confirmed any more.
void hub_unconfirm_all(struct hub *h);
// Messages of the channel may have been lost. True where its streams must get a gap, since some of the
// messages may be in no history. Where the channel has history, the missing events are read as soon as the
// bus has sent the history's tail; the hub asks the bus for the tail, unless a confirmation is already due
// (`is_confirmed_soon`).
bool hub_lost(struct hub *h, struct channel_ref channel, bool is_confirmed_soon);
// Memory is too short to give the streams of a channel a gap: on_no_memory ends each of them.
void hub_end_streams(struct hub *h, struct channel_ref channel);

// The answer to on_history. Takes the references of the frames, not the array.
void hub_page(struct hub *h, struct channel_ref channel, const struct history_page *page);
// The page with that number (0: any page) will not come: it is asked for again at one of the next ticks.
void hub_page_lost(struct hub *h, uint32_t number);
// `s` may take more of what it missed, or has been opened.
void hub_wake(struct hub *h, struct subscriber *s);
// Hands about `budget` frames to lagging streams that can take them. True where there is more to do at once.
bool hub_feed(struct hub *h, size_t budget);
// Several times a second: times out, retries, drops what is not needed any more. `now_ms`: monotonic.
void hub_tick(struct hub *h, uint64_t now_ms);

size_t hub_channel_count(const struct hub *h);
// Memory that channels, their slots and the subscriptions outside of subscribers take.
size_t hub_bytes(const struct hub *h);
// Memory of the replays, which hold history for lagging streams.
size_t hub_replay_bytes(const struct hub *h);
// The i-th channel of a subscriber.
struct channel_ref hub_channel_name(const struct subscriber *s, size_t i);
