#include "gateway/client/wheel.h"

#include <assert.h>

// Entries hang in lists, one a slot, the newest first:
//
//   slots[tick % WHEEL_SLOTS] -> entry -> entry
//
// Ticks of entries have 32 bits and wrap; they are only ever compared with `current`, from which an entry is
// never further than TICKS_MAX.
#define TICKS_MAX (1u << 30)

// The first tick that begins at or after `at_ms`, at most TICKS_MAX ahead.
static uint64_t tick_of(const struct wheel *w, uint64_t at_ms)
{
    if (at_ms <= w->start_ms)
        return w->current;
    uint64_t ms = at_ms - w->start_ms;
    uint64_t tick = ms / WHEEL_TICK_MS + (ms % WHEEL_TICK_MS != 0);
    if (tick < w->current)
        return w->current;
    return tick - w->current > TICKS_MAX ? w->current + TICKS_MAX : tick;
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t at_ms)
{
    wheel_remove(w, e);
    e->tick = (uint32_t)tick_of(w, at_ms);
    LIST_INSERT_HEAD(&w->slots[e->tick % WHEEL_SLOTS], e, in_slot);
    w->count++;
}

void wheel_remove(struct wheel *w, struct wheel_entry *e)
{
    if (!wheel_is_set(e))
        return;
    assert(w->count > 0 && *e->in_slot.le_prev == e);
    LIST_REMOVE(e, in_slot);
    e->in_slot.le_prev = NULL;
    w->count--;
}

// Moves the entries of a slot that are due within `elapsed` ticks of `current` to the front of `due`, the
// oldest first.
static void take_due(struct wheel *w, struct wheel_list *slot, uint64_t elapsed, struct wheel_list *due)
{
    for (struct wheel_entry *e = LIST_FIRST(slot), *next; e; e = next) {
        next = LIST_NEXT(e, in_slot);
        if (e->tick - (uint32_t)w->current > elapsed)
            continue;
        LIST_REMOVE(e, in_slot);
        LIST_INSERT_HEAD(due, e, in_slot);
    }
}

void wheel_advance(struct wheel *w, uint64_t now_ms, void (*on_due)(struct wheel_entry *e, void *ctx),
                   void *ctx)
{
    uint64_t now = now_ms > w->start_ms ? (now_ms - w->start_ms) / WHEEL_TICK_MS : 0;
    if (now < w->current)
        now = w->current;
    uint64_t elapsed = now - w->current;

    // All due entries are taken out before the first callback: what callbacks set cannot fire in this call,
    // and what they remove is unlinked from `due` like from any list.
    struct wheel_list due = LIST_HEAD_INITIALIZER(due);
    struct wheel_entry *e;
    for (uint64_t i = elapsed < WHEEL_SLOTS ? elapsed + 1 : WHEEL_SLOTS; i > 0; i--) // the last slot first
        take_due(w, &w->slots[(w->current + i - 1) % WHEEL_SLOTS], elapsed, &due);
    w->current = now;
    while ((e = LIST_FIRST(&due))) {
        wheel_remove(w, e);
        on_due(e, ctx);
    }
}
