// Which channels this process wants from Redis, for which workers, and how far Redis is told. Pure: no
// sockets, no clock.
//
//      wanted --> FRESH --SUBSCRIBE sent--> SENT --confirmed--> ACTIVE
//                   ^                        |                    |
//                   +-- connection lost -----+--------------------+
//                   +-- another try --- MOVED <-- its slot is elsewhere (sharded Pub/Sub on a cluster)
// When the last worker leaves, the channel lingers before it is unsubscribed: in a reconnect storm the same
// channels come back.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/map.h"

enum interest_state { INTEREST_FRESH, INTEREST_SENT, INTEREST_ACTIVE, INTEREST_DENIED, INTEREST_MOVED };

struct interest {
    struct map_entry entry; // key is name
    uint64_t workers;       // a bit for each that wants it
    uint64_t gap_told;      // a bit for each worker that was told of a loss, until a message reaches it again
    // How far the channel's history has got (resume.h):
    uint64_t asked_for; // workers that the question which is on its way speaks for
    uint64_t ask_next;  // those who came since: what is on its way may be older than they are
    uint64_t query;     // its number; 0: there is none on its way
    enum interest_state state;
    bool was_active; // before the connection was lost: there may be a hole
    bool lingering;
    bool told_denied; // the log has it
    uint16_t slot;    // of the cluster, set by who wants it; 0 where slots do not matter
    uint32_t batch;   // the SUBSCRIBE command that it went out with
    uint64_t linger_until_ms;
    TAILQ_ENTRY(interest) in_state;  // FRESH, SENT, DENIED, MOVED: the list of that name
    TAILQ_ENTRY(interest) in_linger; // set->lingering, oldest first
    char name[];
};

TAILQ_HEAD(interest_list, interest);

struct interest_set {
    struct map map;
    struct interest_list fresh, sent, denied, moved, lingering;
    uint32_t next_batch;
    size_t lingering_count;
    size_t bytes; // of all but the map
};

// Memory that the set takes.
size_t interest_bytes(const struct interest_set *set);

void interest_init(struct interest_set *set);
void interest_deinit(struct interest_set *set);

// Worker `worker` wants the channel. NULL when out of memory.
struct interest *interest_want(struct interest_set *set, unsigned worker, uint64_t hash, const char *name,
                               size_t len);
// It does not any more. With the last one gone, the channel lingers until `until_ms` (or goes at once if
// Redis was never told).
void interest_unwant(struct interest_set *set, unsigned worker, uint64_t hash, const char *name, size_t len,
                     uint64_t until_ms);
struct interest *interest_find(const struct interest_set *set, uint64_t hash, const char *name, size_t len);

// Moves up to `max` channels of one slot from FRESH to SENT as one batch: to be subscribed in one command.
// Returns how many.
size_t interest_take_batch(struct interest_set *set, struct interest **out, size_t max);
// Redis confirmed: SENT becomes ACTIVE. Returns the channel, NULL where it was not SENT.
struct interest *interest_confirm(struct interest_set *set, uint64_t hash, const char *name, size_t len);
// Redis refused the oldest batch. A batch of one is DENIED, and returned; a larger one will be sent again one
// by one, since one channel that an ACL forbids must not hurt the others (NULL then).
struct interest *interest_refuse_oldest(struct interest_set *set);
// Redis refused a batch for now, since a slot is elsewhere or is moving: the oldest one of `slot`, or of any
// slot where that is negative. All of it is MOVED.
void interest_batch_moved(struct interest_set *set, int slot);
// Redis unsubscribed an ACTIVE channel that nobody asked it to: it is MOVED. Returns the channel; NULL
// where it was not ACTIVE, or nobody wanted it any more, in which case it is gone.
struct interest *interest_moved(struct interest_set *set, uint64_t hash, const char *name, size_t len);
// What was MOVED is FRESH again.
void interest_retry_moved(struct interest_set *set);
// Puts channels of one slot beside each other, so that they go out together; `last` (may be NULL) behind all
// others. Without memory for that, all stays as it was.
void interest_sort_fresh(struct interest_set *set, struct interest *last);
// Moves a channel that does not linger to another set, where it is FRESH. False when out of memory: nothing
// has changed then.
bool interest_move(struct interest_set *from, struct interest_set *to, struct interest *i);
// Takes a channel out of the set and frees it, whatever its state.
void interest_forget(struct interest_set *set, struct interest *i);
// Walks all channels: start with *cursor = 0; NULL at the end. The set must not change meanwhile.
struct interest *interest_next(const struct interest_set *set, size_t *cursor);
// All channels of the set, in no order; the caller frees the array. NULL when out of memory.
struct interest **interest_list_all(const struct interest_set *set, size_t *count);

// What was DENIED is FRESH again: rights may have been given meanwhile.
void interest_retry_denied(struct interest_set *set);
// The connection is lost: what is still wanted is FRESH again, `last` (may be NULL) behind all others; what
// lingered is forgotten.
void interest_reset(struct interest_set *set, struct interest *last);

// Takes up to `max` channels whose linger is over at `now_ms` out of the set: to be unsubscribed, then
// free()d by the caller.
size_t interest_take_expired(struct interest_set *set, uint64_t now_ms, struct interest **out, size_t max);
