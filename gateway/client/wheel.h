// A timer wheel with a coarse tick, for heartbeats and deadlines of many thousands of streams: set, move and
// remove are O(1) and take no memory beyond the entry. Pure: the caller brings the time. Not thread-safe; one
// per worker.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_TICK_MS 250u
#define WHEEL_SLOTS 512u // one turn is 128 s; entries further away wait for the next turn

// Embedded in what is timed. All zero is "not set".
struct wheel_entry {
    LIST_ENTRY(wheel_entry) in_slot;
    uint32_t tick;  // when, in ticks since start_ms
    uint32_t owner; // whatever the owner likes: these bytes would be padding
};

LIST_HEAD(wheel_list, wheel_entry);

// All zero but for `start_ms` is an empty one.
struct wheel {
    uint64_t start_ms; // of any monotonic clock, milliseconds
    uint64_t current;  // ticks since start_ms at the last advance
    size_t count;      // entries that are set; they belong to the caller
    struct wheel_list slots[WHEEL_SLOTS];
};

// (Re)sets `e` to fire at the first wheel_advance whose now_ms >= at_ms, rounded up to a tick; never early.
// A time further away than 8 years fires after 8 years.
void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t at_ms);
// Whole ticks from start_ms to `now_ms`; they wrap after 34 years.
static inline uint32_t wheel_ticks(const struct wheel *w, uint64_t now_ms)
{
    return now_ms > w->start_ms ? (uint32_t)((now_ms - w->start_ms) / WHEEL_TICK_MS) : 0;
}
static inline bool wheel_is_set(const struct wheel_entry *e)
{
    return e->in_slot.le_prev != NULL;
}
// No effect on an entry that is not set.
void wheel_remove(struct wheel *w, struct wheel_entry *e);

// Fires all entries due at `now_ms`: each is removed, then passed to `on_due`, which may set it (or any
// other) again or remove others. An entry set during the call to a time already past fires in the next call,
// not in this one. Callbacks must not advance or destroy the wheel. A clock that
// jumped far ahead (suspend) costs at most one turn of the wheel.
void wheel_advance(struct wheel *w, uint64_t now_ms, void (*on_due)(struct wheel_entry *e, void *ctx),
                   void *ctx);
