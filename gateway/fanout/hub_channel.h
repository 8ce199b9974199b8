// A channel of a hub: its state, the slots of streams that have all of its events, and the streams that lag
// in it. For the files hub*.c and catch_up*.c alone. The hub's thread.
//
//          not confirmed                                     confirmed
//
//        SUBSCRIBING ------------- confirm, no history ---> SILENT     has had no durable event
//             | event                                          | event
//             v                                                v
//           HEARD ---------------- confirm ---------------> LIVE <-- event beyond the tail -- JOINING
//             ^ event                                          | lost                            ^
//             |                                                v                                 |
//          CUT_OFF --------------- confirm, no history ---> STALE                                |
//             ^                                                                                  |
//             +-- unconfirm: HEARD, LIVE, JOINING, STALE          confirm with a newer tail: any +
//
// SILENT goes back to SUBSCRIBING; HEARD with a loss becomes CUT_OFF, JOINING with a loss STALE; an event
// that comes in STALE makes it LIVE.
#pragma once

#include <sys/queue.h>

#include "common/map.h"
#include "gateway/fanout/replay.h"
#include "gateway/fanout/subscriber.h"

enum hub_channel_state {
    HUB_CHANNEL_SUBSCRIBING, // `last_id` is unknown
    HUB_CHANNEL_HEARD,       // an event has come since the subscription
    HUB_CHANNEL_CUT_OFF,     // events after `last_id` may have been missed
    HUB_CHANNEL_SILENT,      // `last_id` is unknown: there is no history, and no durable event has come
    HUB_CHANNEL_JOINING,     // events up to `last_id` may still arrive, and were in the history already
    HUB_CHANNEL_LIVE,
    HUB_CHANNEL_STALE, // events after `last_id` may have been missed; the bus was asked for the tail
};

enum channel_history {
    HISTORY_UNASKED, // never confirmed yet
    HISTORY_NONE,    // Redis cannot be asked for it
    HISTORY_READABLE,
};

struct slot {
    struct subscriber *subscriber;
    uint32_t subscription; // which of the subscriber's subscriptions points back here
};

struct hub_channel {
    struct map_entry entry; // key is name
    struct slot *slots;     // subscribers that have had all events up to `last_id`
    uint32_t count, capacity;
    enum hub_channel_state state : 8; // there may be a channel for each user: 8 bytes less
    enum channel_history history : 8;
    bool has_plain;            // messages that are not durable came, too
    bool has_snapshot;         // the history may begin with a snapshot, with which new streams begin, too
    bool ends;                 // `last_id` is the last event of the channel: see channel_has_ended
    bool end_told;             // the streams with a slot have been told so
    bool is_place_lost;        // a stream got a gap while `last_id` was unknown
    struct event_id last_id;   // the newest event that came, or the history's last one as of the confirmation
    uint64_t epoch;            // of `last_id`: which life of the history it belongs to
    uint64_t subscribe_seq;    // the one sent to the bus last: a confirmation with a lower one is too old
    uint64_t cursor_hash;      // of the name
    struct catch_up *catch_up; // or NULL
    char name[];
};

// How a lagging stream goes on.
enum lagging_mode {
    LAGGING_AT,       // after `at`
    LAGGING_EARLIEST, // with all that is kept
    LAGGING_FRESH,    // with the newest snapshot; if none is kept, with what is live
    LAGGING_LOST, // it is not known how far it got: with the newest snapshot; if none is kept, or it has had events
                  // in this gateway (`at`), with a gap up to the channel's last_id
    LAGGING_FORKED, // `forked` is in no history: `at` goes from the beginning to the first event not had
};

// Whether it is known which events a stream has missed when it begins to lag.
enum lagging_start {
    START_PENDING,     // what it has missed is not known yet
    START_COMPLETE,    // what it has missed can be read
    START_GAP,         // a part of what it has missed is gone, or it is not known what it has missed
    START_FELL_BEHIND, // it had a slot
    START_FRESH,       // nothing: it begins now (LAGGING_FRESH)
};

// A subscriber that has not had all events up to the channel's last_id yet.
struct lagging {
    TAILQ_ENTRY(lagging) in_ready;
    struct hub_channel *channel;
    struct subscriber *subscriber;
    uint32_t subscription;
    uint32_t index; // in catch_up->lagging
    uint32_t
        since; // pages that had been asked for when it got to `at`: only later ones tell whether `at` is gone
    uint64_t tail_seq; // only a confirmation of this number or a later one tells how far it must get; 0: any
    enum lagging_mode mode;
    enum lagging_start start;
    struct event_id at;     // the last event that it has had, or that it has skipped
    struct event_id forked; // LAGGING_FORKED: the last event that it has had
    uint64_t
        end_epoch; // of `at`, where that has ended its life of the channel and the stream may not know; else 0
    uint64_t empty_at; // milliseconds of Redis' clock at which the channel had no history; 0: unknown
    uint8_t forks;     // times that it was forked
    bool told_gap;     // it was given nothing but gaps since the last one
    bool is_ready;     // stands in hub->ready
};

#define TAIL_NEXT UINT64_MAX // of lagging.tail_seq: the next question for the tail is to be asked

TAILQ_HEAD(lagging_list, lagging);

enum page_state {
    PAGE_NONE,    // none is asked for
    PAGE_PAUSED,  // the last page brought nothing: the next one is asked for a little later
    PAGE_WAITING, // for room in the budget, in hub->waiting
    PAGE_ASKED,
};

// Exists while streams lag in the channel, and for a while after.
struct catch_up {
    TAILQ_ENTRY(catch_up) in_hub, in_waiting;
    struct hub_channel *channel;
    struct replay replay;
    size_t accounted; // bytes of the replay that the budget knows of
    struct lagging **lagging;
    uint32_t count, capacity;
    uint32_t ready_count; // of them stand in hub->ready
    enum page_state page_state;
    bool is_wanted;      // a stream waits for the page that begins at `wanted`
    bool awaits_live;    // a stream has an event beyond the channel's last_id
    bool awaits_redis;   // the history ends before the channel's last_id: it is asked again a little later
    bool is_tail_wanted; // a stream has TAIL_NEXT
    uint64_t tail_asked, tail_seq; // numbers of the last question for the tail, and of the last confirmation
    struct history_tail held;      // a confirmation that is taken later (hub_tail.h)
    uint64_t held_until;           // milliseconds; 0: none is held
    struct event_id wanted;        // the place that comes next, of those that streams wait for
    struct history_query query;    // the last one
    struct event_id asked_last_id; // the channel's last_id then
    uint32_t pages;                // that were asked for
    uint32_t page;                 // which of them is there
    uint32_t entries;              // that the next page may have
    uint32_t short_pages;          // in a row that ended before the channel's last_id
    size_t entry_bytes;            // of the largest entry of the last page; 0: unknown
    size_t reserved;               // bytes of the budget, for the page that was asked for
    uint64_t asked_at, answer_by, used_at; // milliseconds
};

TAILQ_HEAD(catch_up_list, catch_up);

struct hub {
    struct map channels;
    struct hub_events events;
    struct hub_settings settings;
    struct lagging_list ready;
    struct catch_up_list catching_up; // in the order of their last page, the newest at the end
    struct catch_up_list waiting;     // for room in the budget, to ask for a page
    size_t bytes;                     // of all but the map
    size_t replay_bytes;              // of all replays
    size_t entry_bytes;               // of the largest history entries that came lately; 0: none came yet
    uint32_t reads;                   // pages that were asked for and have not come
    uint32_t queries;                 // that were sent, of any channel
    uint64_t subscribe_seq;           // likewise: a channel may outlive 2^32 of them
    uint64_t now_ms;
};

// All moves of a channel's state; asserts that it is one of those drawn above. To the same state always is.
void hub_channel_set_state(struct hub_channel *c, enum hub_channel_state to);
// Redis has confirmed the subscription.
static inline bool channel_is_confirmed(const struct hub_channel *c)
{
    return c->state >= HUB_CHANNEL_SILENT;
}
static inline bool channel_knows_last_id(const struct hub_channel *c)
{
    return c->state != HUB_CHANNEL_SUBSCRIBING && c->state != HUB_CHANNEL_SILENT;
}
// Events after last_id may have been missed.
static inline bool channel_is_stale(const struct hub_channel *c)
{
    return c->state == HUB_CHANNEL_CUT_OFF || c->state == HUB_CHANNEL_STALE;
}
static inline bool channel_has_history(const struct hub_channel *c)
{
    return c->history == HISTORY_READABLE;
}
// The newest event is the last one, and no newer one can have been missed. A channel without a history never ends: its
// streams could not tell what they have missed.
static inline bool channel_has_ended(const struct hub_channel *c)
{
    return c->ends && channel_has_history(c) &&
           (c->state == HUB_CHANNEL_LIVE || c->state == HUB_CHANNEL_JOINING);
}

static inline void channel_set_last(struct hub_channel *c, struct event_id id, uint64_t epoch, bool ends)
{
    c->end_told = c->end_told && ends && event_id_equal(c->last_id, id);
    c->last_id = id;
    c->epoch = epoch;
    c->ends = ends;
}

// NULL when out of memory. Its catch_up is the caller's to destroy before it.
struct hub_channel *channel_create(struct hub *h, struct channel_ref channel);
void channel_destroy(struct hub *h, struct hub_channel *c);
// Gives the subscriber's subscription a slot. False when out of memory.
bool channel_add_slot(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription);
void channel_drop_slot(struct hub *h, struct hub_channel *c, uint32_t slot);

// The i-th subscriber of the channel, those with a slot first; NULL behind the last one.
struct subscriber *channel_subscriber_at(const struct hub_channel *c, uint32_t i);

// NULL where the subscription has a slot.
static inline struct lagging *lagging_of(const struct subscription *s)
{
    return s->lagging ? s->channel->catch_up->lagging[s->slot] : NULL;
}
// As hub_is_ready.
bool subscriber_is_ready(const struct subscriber *s);
