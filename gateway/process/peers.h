// The tier as this gateway sees it: one row for each gateway that announced itself lately, this one included. A row
// expires after three of its intervals without news and PEERS_GRACE_MS. Pure: announcements in, a table out.
//
// A row belongs to a life of a process (its `run`), not to an id: two gateways that were given the same id are two
// rows.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/announcement.h"

#define PEERS_MAX 2048u
#define PEERS_GRACE_MS 500u
#define PEERS_EVERY_MS 1000u // an interval, up to PEERS_EVERY_MS / PEERS_EVERY_EACH_MS gateways; then more
#define PEERS_EVERY_EACH_MS 10u

struct peer {
    struct announcement said; // its last one
    uint64_t heard_ms;        // when that came
    uint64_t since_ms;        // when the first one came
    bool told_same_id;        // it was logged that another gateway has this id, too
};

struct peers {
    struct peer *items;
    size_t count, capacity;
    uint64_t since_ms; // when listening began (again)
};

enum peers_news {
    PEERS_JUNK,    // no announcement
    PEERS_FULL,    // of a gateway for which there is no room, or no memory
    PEERS_KNOWN,   // news of a gateway that is known
    PEERS_NEW,     // a gateway has come
    PEERS_GONE,    // a gateway says that it leaves
    PEERS_SAME_ID, // two gateways that are alive have the id of `out`; said once for each
};

// Sums over the gateways that take part in balancing: those that are not draining, and are ready or full.
struct peers_sum {
    size_t gateways;
    uint64_t connections, capacity;
    uint64_t members; // changes when one of them comes or goes, or has another capacity
    // Of the one that has the least streams for its capacity.
    uint64_t lowest_connections, lowest_capacity;
    uint64_t oldest_news_ms; // when the one was heard that was not heard longest; UINT64_MAX: there is none
    bool any_draining;
};

// All zero is an empty table.
void peers_free(struct peers *p);
// Forgets all: listening begins anew, and news may have been missed.
void peers_begin(struct peers *p, uint64_t now_ms);
// Takes one message of the channel; `out` is what it says, unless it is junk.
enum peers_news peers_hear(struct peers *p, const char *text, size_t len, uint64_t now_ms,
                           struct announcement *out);
// Removes the rows that have expired.
void peers_expire(struct peers *p, uint64_t now_ms);
// The row of that life of a process; NULL where there is none.
const struct peer *peers_find(const struct peers *p, uint64_t run);
// Sums over all rows but that of `run`.
struct peers_sum peers_sum_others(const struct peers *p, uint64_t run);
// How long to wait between two announcements: longer in a large tier, since each is delivered to each gateway.
uint32_t peers_every_ms(const struct peers *p);
// Whether a gateway that said this takes part in balancing.
bool peers_takes_part(const struct announcement *a);
