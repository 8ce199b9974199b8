// Those who are behind in a durable channel, until they are not. What they miss comes from the channel's
// replay; what is not there is read from Redis a page at a time, one read per channel at a time however many
// wait for it. Everybody is fed as fast as the own socket takes it, a few frames in turn, so that nobody
// waits for the slowest.
#include <stdlib.h>

#include "common/memory.h"
#include "gateway/fanout/catch_up_pages.h"
#include "gateway/fanout/catch_up_step.h"
#include "gateway/fanout/gap.h"
#include "gateway/fanout/hub_channel.h"

#define FRAMES_PER_TURN 64u
#define KEEP_MS 10000u // after the last one has caught up: in a reconnect storm more will come
static struct catch_up *catch_up_of(struct hub *h, struct hub_channel *c)
{
    if (c->catch_up)
        return c->catch_up;
    struct catch_up *cu = calloc(1, sizeof *cu);
    if (!cu)
        return NULL;
    cu->channel = c;
    cu->used_at = h->now_ms;
    cu->entries = PAGE_ENTRIES_FIRST;
    TAILQ_INSERT_TAIL(&h->catching_up, cu, in_hub);
    h->bytes += memory_block(sizeof *cu);
    c->catch_up = cu;
    return cu;
}

void catch_up_destroy(struct hub *h, struct hub_channel *c)
{
    struct catch_up *cu = c->catch_up;
    if (!cu)
        return;
    h->replay_bytes -= replay_bytes(&cu->replay);
    replay_clear(&cu->replay);
    TAILQ_REMOVE(&h->catching_up, cu, in_hub);
    h->bytes -= memory_block(sizeof *cu);
    free(cu->behind);
    free(cu);
    c->catch_up = NULL;
}

static void make_ready(struct hub *h, struct behind *b)
{
    if (b->ready)
        return;
    b->ready = true;
    b->channel->catch_up->ready_count++;
    TAILQ_INSERT_TAIL(&h->ready, b, in_ready);
}

static void leave_ready(struct hub *h, struct behind *b)
{
    struct catch_up *cu = b->channel->catch_up;
    if (!b->ready)
        return;
    b->ready = false;
    TAILQ_REMOVE(&h->ready, b, in_ready);
    // The next page takes the place of this one: only when nobody is at it any more.
    if (--cu->ready_count == 0)
        catch_up_ask(h, cu);
}

static bool behind_array_reserve(struct catch_up *cu)
{
    if (cu->count < cu->capacity)
        return true;
    uint32_t capacity = cu->capacity ? cu->capacity * 2 : 4;
    struct behind **array = realloc(cu->behind, capacity * sizeof *array);
    if (!array)
        return false;
    cu->behind = array;
    cu->capacity = capacity;
    return true;
}

bool catch_up_add(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription,
                  enum hub_from from, struct position at)
{
    struct catch_up *cu = catch_up_of(h, c);
    struct behind *b = cu && behind_array_reserve(cu) ? calloc(1, sizeof *b) : NULL;
    if (!b)
        return false;
    *b = (struct behind){.channel = c,
                         .subscriber = s,
                         .subscription = subscription,
                         .index = cu->count,
                         .since = cu->pages,
                         .at = at,
                         .from = from};
    s->subscriptions[subscription] = (struct subscription){.channel = c, .slot = cu->count, .behind = true};
    cu->behind[cu->count++] = b;
    h->bytes += memory_block(sizeof *b);
    make_ready(h, b);
    return true;
}

static void behind_free(struct hub *h, struct behind *b)
{
    struct catch_up *cu = b->channel->catch_up;
    struct behind *moved = cu->behind[--cu->count];
    // Not its own: that may be a slot's already.
    if (moved != b) {
        cu->behind[b->index] = moved;
        moved->index = b->index;
        moved->subscriber->subscriptions[moved->subscription].slot = b->index;
    }
    cu->used_at = h->now_ms;
    cu->is_wanted = cu->is_wanted && cu->count > 0;
    cu->short_pages = cu->count > 0 ? cu->short_pages : 0;
    leave_ready(h, b);
    h->bytes -= memory_block(sizeof *b);
    free(b);
}

void catch_up_remove(struct hub *h, const struct subscription *gone)
{
    behind_free(h, gone->channel->catch_up->behind[gone->slot]);
}

void catch_up_all(struct hub *h, struct hub_channel *c)
{
    while (c->count > 0) {
        const struct slot *last = &c->slots[c->count - 1];
        if (!catch_up_add(h, c, last->subscriber, last->subscription, FROM_POSITION, c->position))
            break;
        struct behind *b = c->catch_up->behind[c->catch_up->count - 1];
        b->verified = b->had_slot = true;
        c->count--;
    }
    // Out of memory: they come back, and say where they were.
    for (uint32_t i = 0; i < c->count; i++)
        h->events.on_no_memory(h->events.ctx, c->slots[i].subscriber);
    catch_up_forget(h, c);
}

void catch_up_wake(struct hub *h, struct hub_channel *c)
{
    for (uint32_t i = 0; c->catch_up && i < c->catch_up->count; i++)
        make_ready(h, c->catch_up->behind[i]);
}

void catch_up_append(struct hub *h, struct hub_channel *c, struct frame *f)
{
    struct catch_up *cu = c->catch_up;
    if (!cu)
        return;
    size_t before = replay_bytes(&cu->replay);
    replay_append(&cu->replay, f, catch_up_budget(h));
    h->replay_bytes += replay_bytes(&cu->replay) - before;
    if (cu->awaits_live)
        catch_up_wake(h, c);
    cu->awaits_live = false;
}

static struct frame *gap_for(const struct behind *b, const struct frame *next)
{
    const struct hub_channel *c = b->channel;
    bool known = b->from == FROM_POSITION && position_is_zero(b->forked);
    uint64_t from = known ? b->at.offset + 1 : 0, to = 0;
    // Offsets of another life of the history say nothing to a client that knows this one.
    if (next && position_is_zero(b->forked) && (position_is_zero(b->at) || next->epoch <= b->at.ms))
        to = next->prev.offset;
    if (to && to < from)
        from = to = 0;
    return gap_frame_durable(c->entry.hash, c->name, c->entry.len, from, to, b->at,
                             next ? next->prev : c->position);
}

static void give_gap(struct hub *h, struct behind *b, const struct frame *next)
{
    struct frame *gap = gap_for(b, next);
    b->from = FROM_POSITION;
    b->forked = (struct position){0};
    b->at = next ? next->prev : b->channel->position;
    if (gap)
        h->events.on_frame(h->events.ctx, b->subscriber, gap);
    else
        h->events.on_no_memory(h->events.ctx, b->subscriber);
    frame_release(gap);
}

// Gives a slot in the channel to one that has caught up.
static void go_live(struct hub *h, struct behind *b)
{
    if (channel_add(h, b->channel, b->subscriber, b->subscription))
        behind_free(h, b);
    else
        h->events.on_no_memory(h->events.ctx, b->subscriber);
}

// It is known now what `b` has missed: its stream can be opened, if it was the last one.
static void verify(struct hub *h, struct behind *b, bool gap)
{
    if (b->verified)
        return;
    b->verified = true;
    b->gap = gap;
    if (hub_is_ready(b->subscriber))
        h->events.on_ready(h->events.ctx, b->subscriber);
}

// With each step `at` grows, whatever the entries say of themselves: what is behind a gap is given with it.
static bool give(struct hub *h, struct behind *b, bool gap, struct frame *next)
{
    struct catch_up *cu = b->channel->catch_up;
    if (next && position_before(b->channel->position, next->at)) {
        cu->awaits_live = true; // Redis was asked before the bus had it
        return false;
    }
    if (gap)
        give_gap(h, b, next);
    if (next) {
        b->at = next->at;
        if (position_before(cu->asked_position, b->at))
            b->since = cu->pages; // the last page was asked for too early to tell whether this place is gone
        h->events.on_frame(h->events.ctx, b->subscriber, next);
    }
    return true;
}

// One step for `b`. False where it has to wait, or is behind no more.
static bool feed_step(struct hub *h, struct behind *b)
{
    struct frame *next;
    if (!b->channel->confirmed)
        return false;
    enum step step = catch_up_step(b, &next);
    if (step != STEP_READ)
        verify(h, b, step == STEP_GAP);
    enum subscriber_readiness readiness = h->events.readiness(h->events.ctx, b->subscriber);
    if (readiness == SUBSCRIBER_BLOCKED && step != STEP_LIVE)
        return false;
    if (step == STEP_READ)
        catch_up_want(b->channel->catch_up, b->at);
    if (readiness == SUBSCRIBER_NOT_OPEN)
        return false;
    switch (step) {
    case STEP_FRAME:
        return give(h, b, false, next);
    case STEP_GAP:
        return give(h, b, true, next);
    case STEP_LIVE:
        go_live(h, b);
        return false;
    case STEP_READ:
    case STEP_AWAIT:
        break;
    }
    return false;
}

bool hub_feed(struct hub *h, size_t budget)
{
    struct behind *b;
    while (budget > 0 && (b = TAILQ_FIRST(&h->ready))) {
        struct catch_up *cu = b->channel->catch_up;
        uint32_t count = cu->count;
        unsigned n = 0;
        while (n < FRAMES_PER_TURN && feed_step(h, b))
            n++;
        budget -= n + 1 < budget ? n + 1 : budget;
        if (cu->count < count)
            continue; // it was freed
        if (n == FRAMES_PER_TURN) {
            TAILQ_REMOVE(&h->ready, b, in_ready);
            TAILQ_INSERT_TAIL(&h->ready, b, in_ready);
        } else {
            // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): of one that was freed, `count` tells
            leave_ready(h, b);
        }
    }
    return !TAILQ_EMPTY(&h->ready);
}

void hub_wake(struct hub *h, struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->subscriptions[i].behind)
            make_ready(h, s->subscriptions[i].channel->catch_up->behind[s->subscriptions[i].slot]);
}

static void catch_up_tick(struct hub *h, struct catch_up *cu)
{
    catch_up_look_after(h, cu);
    if (cu->count == 0 && h->now_ms - cu->used_at >= KEEP_MS)
        catch_up_destroy(h, cu->channel);
}

void hub_tick(struct hub *h, uint64_t now_ms)
{
    h->now_ms = now_ms;
    for (struct catch_up *cu = TAILQ_FIRST(&h->catching_up), *next; cu; cu = next) {
        next = TAILQ_NEXT(cu, in_hub);
        catch_up_tick(h, cu);
    }
}
