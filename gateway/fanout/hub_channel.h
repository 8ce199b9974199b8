// What hub.c and catch_up.c share; nobody else's.
#pragma once

#include <sys/queue.h>

#include "common/map.h"
#include "gateway/fanout/hub.h"
#include "gateway/fanout/replay.h"

struct slot {
    struct subscriber *subscriber;
    uint32_t subscription; // which of the subscriber's subscriptions points back here
};

// A subscriber that has not had all events up to the channel's position yet.
struct lagging {
    TAILQ_ENTRY(lagging) in_ready;
    struct hub_channel *channel;
    struct subscriber *subscriber;
    uint32_t subscription;
    uint32_t index; // in catch_up->lagging
    uint32_t since; // pages that had been asked for when it got to `at`: only later ones speak of its end
    struct event_id at;
    struct event_id forked; // where it was, if that is in no history: it looks for its place; else zero
    enum hub_from from;     // what it asked for; FROM_EVENT_ID once `at` is right
    uint8_t forks;          // times that it was forked
    bool told_gap;          // nothing but gaps since the last one
    bool ready;             // stands in hub->ready
    bool verified;          // it is known what it has missed, or that this cannot be known
    bool gap;               // the latter, or a part of it is gone
    bool had_slot;          // fell behind where it stood; it did not come to resume
};

TAILQ_HEAD(lagging_list, lagging);

// Exists while streams are behind in the channel, and for a while after.
struct catch_up {
    TAILQ_ENTRY(catch_up) in_hub;
    struct hub_channel *channel;
    struct replay replay;
    struct lagging **lagging;
    uint32_t count, capacity;
    uint32_t ready_count;
    struct event_id wanted;        // the place that comes next of those that somebody waits for
    struct history_query query;    // the last one
    struct event_id asked_last_id; // where the channel was then
    bool is_wanted;
    bool reading;      // the bus was asked for a page
    bool awaits_live;  // somebody has more than the channel's position
    bool awaits_redis; // what Redis has ends before the channel's position: it is asked again a little later
    uint32_t pages;    // that were asked for
    uint32_t page;     // which of them is there
    uint32_t entries;  // that the next page may have
    unsigned short_pages; // in a row that ended before the channel's position
    bool is_paused;       // the last page brought nothing: the next one is asked for a little later
    uint64_t asked_at, answer_by, used_at; // milliseconds
};

TAILQ_HEAD(catch_up_list, catch_up);

struct hub_channel {
    struct map_entry entry; // key is name
    struct slot *slots;     // subscribers that have all up to `position`
    uint32_t count, capacity;
    bool confirmed;
    bool answered;    // was confirmed before: `has_history` is true or false
    bool known;       // `position` is
    bool has_history; // Redis can be asked for it
    bool has_plain;   // messages that are not durable came, too
    bool stale;       // the subscription was lost since the last event
    bool joining;     // just confirmed: events up to `position` may still arrive, and were read already
    struct event_id last_id;
    uint64_t epoch;            // which life of the history `position` is of
    uint64_t subscribe_seq;    // an answer to an older one is not meant for it
    uint64_t cursor_hash;      // of the name
    struct catch_up *catch_up; // or NULL
    char name[];
};

struct hub {
    struct map channels;
    struct hub_events events;
    size_t bytes; // of all but the map
    struct lagging_list ready;
    struct catch_up_list catching_up;
    size_t replay_bytes, replay_limit;
    uint64_t now_ms;
    uint32_t queries;       // that were sent, of any channel
    uint64_t subscribe_seq; // likewise: a channel may outlive 2^32 of them
};

// Puts a subscriber's subscription behind, without a slot. False when out of memory.
bool catch_up_add(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription,
                  enum hub_from from, struct event_id at);
void catch_up_remove(struct hub *h, const struct subscription *gone);
// Forgets all about the channel; nobody may be behind.
void catch_up_destroy(struct hub *h, struct hub_channel *c);
// All who have a slot are behind from the channel's position on.
void catch_up_all(struct hub *h, struct hub_channel *c);
// Drops what is remembered of the channel's history.
void catch_up_forget(struct hub *h, struct hub_channel *c);
// There is something new for lagging streams in the channel.
void catch_up_wake(struct hub *h, struct hub_channel *c);
// An event has come, and the channel's position is behind it.
void catch_up_append(struct hub *h, struct hub_channel *c, struct frame *f);

// Slots, for those who have caught up. False when out of memory.
bool channel_add(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription);
