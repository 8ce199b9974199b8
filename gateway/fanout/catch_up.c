#include "gateway/fanout/catch_up.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"
#include "gateway/fanout/catch_up_pages.h"
#include "gateway/fanout/catch_up_step.h"
#include "gateway/fanout/gap.h"
#include "gateway/fanout/hub_end.h"

#define FRAMES_PER_TURN 64u
#define KEEP_MS 10000u // after the last stream has caught up: in a reconnect storm more will come

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
    assert(cu->count == 0 && cu->ready_count == 0);
    pages_forget(h, cu);
    pages_stop(h, cu);
    TAILQ_REMOVE(&h->catching_up, cu, in_hub);
    h->bytes -= memory_block(sizeof *cu);
    free(cu->lagging);
    free(cu);
    c->catch_up = NULL;
}

void catch_up_forget(struct hub *h, struct hub_channel *c)
{
    if (c->catch_up)
        pages_forget(h, c->catch_up);
}

void catch_up_wake_one(struct hub *h, struct lagging *lag)
{
    if (lag->is_ready)
        return;
    lag->is_ready = true;
    lag->channel->catch_up->ready_count++;
    TAILQ_INSERT_TAIL(&h->ready, lag, in_ready);
}

void catch_up_wake(struct hub *h, struct hub_channel *c)
{
    for (uint32_t i = 0; c->catch_up && i < c->catch_up->count; i++)
        catch_up_wake_one(h, c->catch_up->lagging[i]);
}

static void leave_ready(struct hub *h, struct lagging *lag)
{
    struct catch_up *cu = lag->channel->catch_up;
    if (!lag->is_ready)
        return;
    assert(cu->ready_count > 0);
    lag->is_ready = false;
    TAILQ_REMOVE(&h->ready, lag, in_ready);
    // The next page replaces this one: only when no stream is being fed from it any more.
    if (--cu->ready_count == 0)
        pages_ask(h, cu);
}

static bool lagging_array_reserve(struct catch_up *cu)
{
    if (cu->count < cu->capacity)
        return true;
    uint32_t capacity = cu->capacity ? cu->capacity * 2 : 4;
    struct lagging **array = realloc(cu->lagging, capacity * sizeof *array);
    if (!array)
        return false;
    cu->lagging = array;
    cu->capacity = capacity;
    return true;
}

bool catch_up_add(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription,
                  enum lagging_mode mode, struct event_id at)
{
    struct catch_up *cu = catch_up_of(h, c);
    struct lagging *lag = cu && lagging_array_reserve(cu) ? calloc(1, sizeof *lag) : NULL;
    if (!lag)
        return false;
    *lag = (struct lagging){.channel = c,
                            .subscriber = s,
                            .subscription = subscription,
                            .index = cu->count,
                            .since = cu->pages,
                            .mode = mode,
                            .at = at};
    s->subscriptions[subscription] = (struct subscription){.channel = c, .slot = cu->count, .lagging = true};
    cu->lagging[cu->count++] = lag;
    h->bytes += memory_block(sizeof *lag);
    catch_up_wake_one(h, lag);
    return true;
}

void catch_up_remove(struct hub *h, struct lagging *lag)
{
    struct catch_up *cu = lag->channel->catch_up;
    assert(lag->index < cu->count && cu->lagging[lag->index] == lag);
    struct lagging *moved = cu->lagging[--cu->count];
    // Not the subscription's own index: that may be a slot's already.
    if (moved != lag) {
        cu->lagging[lag->index] = moved;
        moved->index = lag->index;
        moved->subscriber->subscriptions[moved->subscription].slot = lag->index;
    }
    cu->used_at = h->now_ms;
    cu->is_wanted = cu->is_wanted && cu->count > 0;
    cu->short_pages = cu->count > 0 ? cu->short_pages : 0;
    leave_ready(h, lag);
    h->bytes -= memory_block(sizeof *lag);
    free(lag);
}

static void move_all(struct hub *h, struct hub_channel *c, enum lagging_mode mode, struct event_id at,
                     enum lagging_start start)
{
    // Of an end that came while the channel was not confirmed, no stream has been told.
    bool is_untold = mode == LAGGING_AT && c->ends && channel_has_history(c) && !c->end_told;
    while (c->count > 0) {
        const struct slot *last = &c->slots[c->count - 1];
        if (!catch_up_add(h, c, last->subscriber, last->subscription, mode, at))
            break;
        struct lagging *lag = c->catch_up->lagging[c->catch_up->count - 1];
        lag->start = start;
        lag->end_epoch = is_untold ? c->epoch : 0;
        c->count--;
    }
    // Out of memory: the clients come back, and resume by their event ids.
    for (uint32_t i = 0; i < c->count; i++)
        h->events.on_no_memory(h->events.ctx, c->slots[i].subscriber);
}

void catch_up_all(struct hub *h, struct hub_channel *c)
{
    move_all(h, c, LAGGING_AT, c->last_id, START_FELL_BEHIND);
    catch_up_forget(h, c);
}

void catch_up_begin_all(struct hub *h, struct hub_channel *c)
{
    move_all(h, c, LAGGING_FRESH, (struct event_id){0}, START_PENDING);
}

void catch_up_lose_all(struct hub *h, struct hub_channel *c)
{
    uint32_t i = c->catch_up ? c->catch_up->count : 0;
    move_all(h, c, LAGGING_LOST, (struct event_id){0}, START_FELL_BEHIND);
    for (; c->catch_up && i < c->catch_up->count; i++) {
        struct lagging *lag = c->catch_up->lagging[i];
        if (h->events.readiness(h->events.ctx, lag->subscriber) == SUBSCRIBER_NOT_OPEN) {
            lag->mode = LAGGING_FRESH;
            lag->start = START_PENDING;
        }
    }
}

void catch_up_append(struct hub *h, struct hub_channel *c, struct frame *f)
{
    struct catch_up *cu = c->catch_up;
    if (!cu)
        return;
    replay_append(&cu->replay, f, replay_budget_left(h->settings.replay_budget));
    pages_account(h, cu);
    if (cu->awaits_live)
        catch_up_wake(h, c);
    cu->awaits_live = false;
}

// The gap before `next`, or up to the channel's last_id.
static struct frame *gap_for(const struct lagging *lag, const struct frame *next)
{
    const struct hub_channel *c = lag->channel;
    uint64_t from = lag->mode == LAGGING_AT ? lag->at.offset + 1 : 0, to = 0;
    // Offsets of another life of the history mean nothing to a client that has event ids of this one.
    if (next && lag->mode != LAGGING_FORKED && (event_id_is_zero(lag->at) || next->epoch <= lag->at.ms))
        to = next->prev.offset;
    if (to && to < from)
        from = to = 0;
    return gap_frame_durable(channel_ref_of(&c->entry), from, to, lag->at, next ? next->prev : c->last_id);
}

// A gap behind which no place is known has no id: the client comes back with the one that it has.
static struct frame *gap_without_place(const struct hub_channel *c)
{
    struct frame *gap = gap_frame(channel_ref_of(&c->entry));
    if (gap)
        gap->durable = true;
    return gap;
}

static void give_gap(struct hub *h, struct lagging *lag, const struct frame *next)
{
    struct hub_channel *c = lag->channel;
    bool has_place = next || channel_knows_last_id(c);
    struct frame *gap = has_place ? gap_for(lag, next) : gap_without_place(c);
    c->is_place_lost = c->is_place_lost || !has_place;
    lag->mode = LAGGING_AT;
    lag->at = next ? next->prev : c->last_id;
    lag->told_gap = true;
    if (gap)
        h->events.on_frame(h->events.ctx, lag->subscriber, gap);
    else
        h->events.on_no_memory(h->events.ctx, lag->subscriber);
    frame_release(gap);
}

// A new life of the channel has begun behind the end that the stream has got to. Of the end of the newest one go_live tells.
static void tell_past_end(struct hub *h, struct lagging *lag)
{
    if (!lag->end_epoch || event_id_equal(lag->at, lag->channel->last_id))
        return;
    hub_end_tell_past(h, lag->channel, lag->at, lag->end_epoch, lag->subscriber);
    lag->end_epoch = 0;
}

// With each step `at` grows, whatever the entries say of what was before them: `next` is given together with
// the gap before it.
static bool give(struct hub *h, struct lagging *lag, bool gap, struct frame *next)
{
    struct catch_up *cu = lag->channel->catch_up;
    assert(!next || event_id_before(lag->at, next->at));
    if (next && event_id_before(lag->channel->last_id, next->at)) {
        cu->awaits_live = true; // Redis was asked before the bus had it
        return false;
    }
    if (gap)
        give_gap(h, lag, next);
    if (!next)
        return true;
    lag->mode = LAGGING_AT;
    lag->at = next->at;
    if (event_id_before(cu->asked_last_id, lag->at))
        lag->since = cu->pages; // the last page was asked for too early to tell whether `at` is gone
    // There may be many entries that sse_publish did not write: one gap stands for all in a row.
    if (!next->is_foreign || !lag->told_gap)
        h->events.on_frame(h->events.ctx, lag->subscriber, next);
    lag->told_gap = next->is_gap;
    lag->end_epoch = next->ends && channel_has_history(lag->channel) ? next->epoch : 0;
    tell_past_end(h, lag);
    return true;
}

// Gives a slot in the channel to a stream that has caught up.
static void go_live(struct hub *h, struct lagging *lag)
{
    struct hub_channel *c = lag->channel;
    struct subscriber *s = lag->subscriber;
    if (!channel_add_slot(h, c, s, lag->subscription)) {
        h->events.on_no_memory(h->events.ctx, s);
        return;
    }
    // The client's position is behind all that there was, which has expired (empty_at): the channel begins anew.
    if (lag->mode == LAGGING_AT && event_id_is_zero(lag->at))
        c->ends = false;
    catch_up_remove(h, lag);
    hub_end_tell_one(h, c, s);
}

// It is known now which events `lag` has missed: its stream can be opened, if this was its last pending
// channel.
static void decide_start(struct hub *h, struct lagging *lag, enum lagging_start start)
{
    if (lag->start != START_PENDING)
        return;
    lag->start = start;
    if (subscriber_is_ready(lag->subscriber))
        h->events.on_ready(h->events.ctx, lag->subscriber);
}

// One step for `lag`. False where it has to wait, or has caught up and is freed.
static bool feed_step(struct hub *h, struct lagging *lag)
{
    struct frame *next;
    if (!channel_is_confirmed(lag->channel) || lag->tail_seq > lag->channel->catch_up->tail_seq)
        return false;
    bool is_fresh = lag->mode == LAGGING_FRESH;
    enum step step = catch_up_step(lag, &next);
    if (step != STEP_READ)
        decide_start(h, lag, is_fresh ? START_FRESH : step == STEP_GAP ? START_GAP : START_COMPLETE);
    enum subscriber_readiness readiness = h->events.readiness(h->events.ctx, lag->subscriber);
    // With STEP_LIVE nothing is sent, but for gateway:end.
    if (readiness == SUBSCRIBER_BLOCKED && (step != STEP_LIVE || channel_has_ended(lag->channel)))
        return false;
    if (step == STEP_READ)
        pages_want(lag->channel->catch_up, lag->at);
    if (readiness == SUBSCRIBER_NOT_OPEN)
        return false;
    tell_past_end(h, lag);
    switch (step) {
    case STEP_FRAME:
        return give(h, lag, false, next);
    case STEP_GAP:
        return give(h, lag, true, next);
    case STEP_LIVE:
        // After a loss the tail says whether the channel's end is still its newest one: with a slot the stream could not be
        // told of an end behind which a new life has begun.
        if (lag->end_epoch && !channel_has_ended(lag->channel))
            lag->channel->catch_up->awaits_live = true;
        else
            go_live(h, lag);
        return false;
    case STEP_READ:
    case STEP_AWAIT:
        break;
    }
    return false;
}

bool catch_up_feed(struct hub *h, size_t budget)
{
    struct lagging *lag;
    while (budget > 0 && (lag = TAILQ_FIRST(&h->ready))) {
        struct catch_up *cu = lag->channel->catch_up;
        uint32_t count = cu->count;
        unsigned n = 0;
        while (n < FRAMES_PER_TURN && feed_step(h, lag))
            n++;
        budget -= n + 1 < budget ? n + 1 : budget;
        if (cu->count < count)
            continue; // it was freed
        if (n == FRAMES_PER_TURN) {
            TAILQ_REMOVE(&h->ready, lag, in_ready);
            TAILQ_INSERT_TAIL(&h->ready, lag, in_ready);
        } else {
            // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): `count` tells of one that was freed
            leave_ready(h, lag);
        }
    }
    return !TAILQ_EMPTY(&h->ready);
}

void catch_up_take_page(struct hub *h, struct hub_channel *c, const struct history_page *page)
{
    if (pages_take(h, c ? c->catch_up : NULL, page))
        catch_up_wake(h, c);
    pages_ask_waiting(h);
}

void catch_up_tick(struct hub *h)
{
    bool is_over =
        replay_budget_left(h->settings.replay_budget) == 0; // another hub may need what is kept here
    for (struct catch_up *cu = TAILQ_FIRST(&h->catching_up), *next; cu; cu = next) {
        next = TAILQ_NEXT(cu, in_hub);
        if (pages_tick(h, cu))
            catch_up_wake(h, cu->channel);
        if (cu->count == 0 && (is_over || h->now_ms - cu->used_at >= KEEP_MS))
            catch_up_destroy(h, cu->channel);
    }
    pages_ask_waiting(h);
}
