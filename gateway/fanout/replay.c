#include "gateway/fanout/replay.h"

#include <stdlib.h>

#define CHAIN_MIN 16u

static struct frame *chain_at(const struct chain *c, uint32_t i)
{
    return c->frames[(c->head + i) & (c->capacity - 1)];
}

static size_t cost(const struct frame *f)
{
    return sizeof *f + f->wire_len;
}

static void chain_drop_first(struct chain *c)
{
    struct frame *f = chain_at(c, 0);
    c->head = (c->head + 1) & (c->capacity - 1);
    c->count--;
    c->bytes -= cost(f);
    frame_release(f);
}

static void chain_clear(struct chain *c)
{
    while (c->count > 0)
        chain_drop_first(c);
    free(c->frames);
    *c = (struct chain){0};
}

static bool chain_reserve(struct chain *c)
{
    if (c->count < c->capacity)
        return true;
    uint32_t capacity = c->capacity ? c->capacity * 2 : CHAIN_MIN;
    struct frame **frames = malloc(capacity * sizeof *frames);
    if (!frames)
        return false;
    for (uint32_t i = 0; i < c->count; i++)
        frames[i] = chain_at(c, i);
    free(c->frames);
    c->frames = frames;
    c->head = 0;
    c->capacity = capacity;
    return true;
}

// The frame (borrowed) becomes the first one, or the last. False when out of memory.
static bool chain_push(struct chain *c, struct frame *f, bool first)
{
    if (!chain_reserve(c))
        return false;
    c->head = (c->head - first) & (c->capacity - 1);
    c->frames[(c->head + (first ? 0 : c->count)) & (c->capacity - 1)] = frame_retain(f);
    c->count++;
    c->bytes += cost(f);
    return true;
}

// The index of the first frame after `at`; `count` where there is none.
static uint32_t chain_search(const struct chain *c, struct event_id at)
{
    uint32_t low = 0, high = c->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (event_id_before(at, chain_at(c, middle)->at))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// Redis keeps nothing that is before a snapshot, so what a chain begins with follows all that is before it, too.
static bool begins_with_snapshot(const struct chain *c)
{
    return c->count > 0 && chain_at(c, 0)->is_snapshot;
}

void replay_drop_page(struct replay *r)
{
    chain_clear(&r->page);
    r->has_page = false;
}

void replay_drop_ring(struct replay *r)
{
    chain_clear(&r->ring);
}

void replay_clear(struct replay *r)
{
    replay_drop_page(r);
    replay_drop_ring(r);
}

size_t replay_bytes(const struct replay *r)
{
    return r->ring.bytes + r->page.bytes;
}

static bool ring_has_room(const struct replay *r, const struct frame *f)
{
    return r->ring.count < REPLAY_RING_FRAMES && r->ring.bytes + cost(f) <= REPLAY_RING_BYTES;
}

void replay_append(struct replay *r, struct frame *f, size_t budget)
{
    struct chain *ring = &r->ring;
    if (f->is_snapshot)
        replay_clear(r);
    if (ring->count > 0 && !event_id_equal(chain_at(ring, ring->count - 1)->at, f->prev))
        replay_drop_ring(r);
    while (ring->count > 0 && (!ring_has_room(r, f) || cost(f) > budget)) {
        budget += cost(chain_at(ring, 0));
        chain_drop_first(ring);
    }
    if (!chain_push(ring, f, false))
        replay_drop_ring(r);
}

// The page's frames that lead up to `until` go before the ring's, newest first, as far as there is room.
static void ring_extend(struct replay *r, struct event_id until, size_t budget)
{
    uint32_t i = chain_search(&r->page, until);
    if (i == 0 || !event_id_equal(chain_at(&r->page, i - 1)->at, until))
        return;
    while (i-- > 0) {
        struct frame *f = chain_at(&r->page, i);
        if (!ring_has_room(r, f) || cost(f) > budget || f->is_gap)
            return;
        if (!chain_push(&r->ring, f, true) || f->is_snapshot)
            return;
        budget -= cost(f);
    }
}

void replay_add_page(struct replay *r, struct event_id from, bool at_end, struct frame *const *frames,
                     size_t count, struct event_id live, size_t budget)
{
    replay_drop_page(r);
    r->page_from = from;
    r->has_page = true;
    r->page_at_end = at_end;
    for (size_t i = 0; i < count; i++) {
        if (r->has_page && !chain_push(&r->page, frames[i], false))
            replay_drop_page(r); // out of memory: as if it had not been read
        frame_release(frames[i]);
    }
    if (r->page.count > 0 && !begins_with_snapshot(&r->ring))
        ring_extend(r, r->ring.count > 0 ? chain_at(&r->ring, 0)->prev : live, budget);
}

struct frame *replay_ring_first(const struct replay *r)
{
    return r->ring.count > 0 ? chain_at(&r->ring, 0) : NULL;
}

static bool chain_has(const struct chain *c, uint32_t behind, struct event_id at)
{
    return behind > 0 && event_id_equal(chain_at(c, behind - 1)->at, at);
}

static enum replay_result next_in_ring(const struct chain *ring, struct event_id at, struct frame **next)
{
    uint32_t i = chain_search(ring, at);
    if (i == ring->count)
        return REPLAY_UNREAD;
    *next = chain_at(ring, i);
    if (event_id_equal((*next)->prev, at))
        return REPLAY_NEXT;
    if (i == 0 && !begins_with_snapshot(ring))
        return REPLAY_UNREAD; // `at` may be before the ring's first event, with more events in between
    return chain_has(ring, i, at) ? REPLAY_GAP : REPLAY_MISSING;
}

static enum replay_result next_in_page(const struct replay *r, struct event_id at, struct frame **next)
{
    if (!r->has_page || (event_id_before(at, r->page_from) && !begins_with_snapshot(&r->page)))
        return REPLAY_UNREAD;
    uint32_t i = chain_search(&r->page, at);
    if (i < r->page.count) {
        *next = chain_at(&r->page, i);
        if (event_id_equal((*next)->prev, at))
            return REPLAY_NEXT;
        return chain_has(&r->page, i, at) ? REPLAY_GAP : REPLAY_MISSING;
    }
    if (!r->page_at_end)
        return REPLAY_UNREAD;
    bool is_there = chain_has(&r->page, i, at) || (i == 0 && event_id_is_zero(at));
    return is_there ? REPLAY_END : REPLAY_LOST;
}

enum replay_result replay_next(const struct replay *r, struct event_id at, struct frame **next)
{
    *next = NULL;
    enum replay_result result = next_in_ring(&r->ring, at, next);
    return result == REPLAY_UNREAD ? next_in_page(r, at, next) : result;
}
