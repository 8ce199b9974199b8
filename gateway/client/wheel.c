#include "gateway/client/wheel.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

// Entries hang in rings, one a slot. The head of a ring is itself an entry, so that adding and removing have
// no special case:
//
//   slots[tick % WHEEL_SLOTS] <-> entry <-> entry <-> (back to the slot)
//
// Ticks of entries have 32 bits and wrap; they are only ever compared with `current`, from which an entry is
// never further than TICKS_MAX.
#define TICKS_MAX (1u << 30)

struct wheel {
    uint64_t start_ms;
    uint64_t current; // ticks since start_ms at the last advance
    size_t count;
    struct wheel_entry slots[WHEEL_SLOTS];
};

static void ring_init(struct wheel_entry *head)
{
    head->prev = head->next = head;
}

static bool ring_empty(const struct wheel_entry *head)
{
    return head->next == head;
}

static void ring_append(struct wheel_entry *head, struct wheel_entry *e)
{
    e->prev = head->prev;
    e->next = head;
    head->prev->next = e;
    head->prev = e;
}

static void ring_unlink(struct wheel_entry *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    e->prev = e->next = NULL;
}

struct wheel *wheel_create(uint64_t now_ms)
{
    struct wheel *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->start_ms = now_ms;
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        ring_init(&w->slots[i]);
    return w;
}

void wheel_destroy(struct wheel *w)
{
    free(w);
}

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
    ring_append(&w->slots[e->tick % WHEEL_SLOTS], e);
    w->count++;
}

void wheel_remove(struct wheel *w, struct wheel_entry *e)
{
    if (e->next == NULL)
        return;
    assert(w->count > 0 && e->prev->next == e && e->next->prev == e);
    ring_unlink(e);
    w->count--;
}

// Moves the entries of a slot that are due within `elapsed` ticks of `current` over to `due`.
static void take_due(struct wheel *w, struct wheel_entry *slot, uint64_t elapsed, struct wheel_entry *due)
{
    for (struct wheel_entry *e = slot->next, *next; e != slot; e = next) {
        next = e->next;
        if (e->tick - (uint32_t)w->current > elapsed)
            continue;
        ring_unlink(e);
        ring_append(due, e);
    }
}

size_t wheel_advance(struct wheel *w, uint64_t now_ms, void (*on_due)(struct wheel_entry *e, void *ctx),
                     void *ctx)
{
    uint64_t now = now_ms > w->start_ms ? (now_ms - w->start_ms) / WHEEL_TICK_MS : 0;
    if (now < w->current)
        now = w->current;
    uint64_t elapsed = now - w->current;

    // All due entries are taken out before the first callback: what callbacks set cannot fire in this call,
    // and what they remove is unlinked from `due` like from any ring.
    struct wheel_entry due;
    ring_init(&due);
    for (uint64_t i = 0; i <= elapsed && i < WHEEL_SLOTS; i++)
        take_due(w, &w->slots[(w->current + i) % WHEEL_SLOTS], elapsed, &due);
    w->current = now;

    size_t fired = 0;
    while (!ring_empty(&due)) {
        struct wheel_entry *e = due.next;
        wheel_remove(w, e);
        fired++;
        on_due(e, ctx);
    }
    return fired;
}

size_t wheel_count(const struct wheel *w)
{
    return w->count;
}
