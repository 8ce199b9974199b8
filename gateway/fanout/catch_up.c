// Those who are behind in a durable channel, until they are not. What they miss comes from the channel's
// replay; what is not there is read from Redis a page at a time, one read per channel at a time however many
// wait for it. Everybody is fed as fast as the own socket takes it, a few frames in turn, so that nobody
// waits for the slowest.
#include <stdlib.h>

#include "common/memory.h"
#include "gateway/fanout/gap.h"
#include "gateway/fanout/hub_channel.h"

#define FRAMES_PER_TURN 64u
#define KEEP_MS 10000u // after the last one has caught up: in a reconnect storm more will come
// The bus answers every question, however long Redis takes; only where it had no memory for that is there no
// answer.
#define READ_TIMEOUT_MS 60000u
#define TELL_RETRY_MS 1000u
// A page is to have about PAGE_BYTES. How large the events of a channel are is not known before the first
// page: so that is a small one, and the next ones grow by what they show.
#define PAGE_BYTES (256u << 10)
#define PAGE_ENTRIES_FIRST 16u
#define PAGE_ENTRIES_MIN 8u
#define PAGE_GROWTH 4u
// A Redis that has less than what it published is asked again: a replica, or an old master, may still lag.
#define SHORT_RETRY_MS 250u
#define SHORT_PAGES_MAX 12u

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

static void ask(struct hub *h, struct catch_up *cu)
{
    struct hub_channel *c = cu->channel;
    cu->asked_at = h->now_ms;
    cu->question =
        (struct hub_question){.number = ++h->questions, .entries = cu->entries, .from = cu->wanted};
    cu->asked_position = c->position;
    cu->is_wanted = false;
    cu->pages++;
    cu->reading = true;
    bool told = h->events.on_history(h->events.ctx, c->entry.hash, c->name, c->entry.len, &cu->question);
    cu->answer_by = h->now_ms + (told ? READ_TIMEOUT_MS : TELL_RETRY_MS);
}

static void leave_ready(struct hub *h, struct behind *b)
{
    struct catch_up *cu = b->channel->catch_up;
    if (!b->ready)
        return;
    b->ready = false;
    TAILQ_REMOVE(&h->ready, b, in_ready);
    // The next page takes the place of this one: only when nobody is at it any more.
    if (--cu->ready_count == 0 && cu->is_wanted && !cu->reading)
        ask(h, cu);
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

void catch_up_forget(struct hub *h, struct hub_channel *c)
{
    if (!c->catch_up)
        return;
    h->replay_bytes -= replay_bytes(&c->catch_up->replay);
    replay_clear(&c->catch_up->replay);
}

void catch_up_wake(struct hub *h, struct hub_channel *c)
{
    for (uint32_t i = 0; c->catch_up && i < c->catch_up->count; i++)
        make_ready(h, c->catch_up->behind[i]);
}

static size_t replay_budget(const struct hub *h)
{
    return h->replay_bytes < h->replay_limit ? h->replay_limit - h->replay_bytes : 0;
}

void catch_up_append(struct hub *h, struct hub_channel *c, struct frame *f)
{
    struct catch_up *cu = c->catch_up;
    if (!cu)
        return;
    size_t before = replay_bytes(&cu->replay);
    replay_append(&cu->replay, f, replay_budget(h));
    h->replay_bytes += replay_bytes(&cu->replay) - before;
    if (cu->awaits_live)
        catch_up_wake(h, c);
    cu->awaits_live = false;
}

// What `b` is to be given next.
enum step {
    STEP_FRAME,
    STEP_GAP,   // up to where `next` follows, or to the channel's position
    STEP_LIVE,  // nothing: it has caught up
    STEP_READ,  // the next page of history
    STEP_AWAIT, // nothing now
};

static enum step step_at_end(struct catch_up *cu, const struct behind *b, struct frame **next)
{
    if (!position_before(b->at, cu->channel->position)) {
        cu->awaits_live = true; // it comes from a gateway that was quicker
        return STEP_AWAIT;
    }
    if (!position_before(b->at, cu->asked_position))
        return STEP_READ; // the page had all that there was: what came since is in the next one
    cu->awaits_redis = true;
    *next = replay_ring_first(&cu->replay);
    return cu->short_pages < SHORT_PAGES_MAX ? STEP_AWAIT : STEP_GAP;
}

// A failover has lost the event that `b` saw last, and the new master has others of its offset and above:
// with earlier times, since its clock is behind, or since the old master went on for a while. So they do not
// come after the place of `b`, and still it cannot have seen them. `kept`: the newest place that is there
// before what comes after it by time.
static bool is_forked(const struct behind *b, struct position kept)
{
    return b->from == FROM_POSITION && position_before(kept, b->at) && kept.offset >= b->at.offset;
}

static enum step go_astray(struct behind *b)
{
    b->astray = b->at;
    b->at = (struct position){0};
    b->since = b->channel->catch_up->pages;
    return STEP_READ;
}

// From the beginning of what is kept to the first event of an offset that `b` has not had from this history.
static enum step step_astray(struct behind *b, struct frame **next)
{
    const struct replay *replay = &b->channel->catch_up->replay;
    for (;;) {
        switch (replay_next(replay, b->at, next)) {
        case REPLAY_NEXT:
        case REPLAY_GAP:
            if ((*next)->at.offset >= b->astray.offset)
                return STEP_GAP;
            b->at = (*next)->at;
            break;
        case REPLAY_END:
        case REPLAY_LOST:
            *next = NULL;
            return b->channel->catch_up->page > b->since ? STEP_GAP : STEP_READ;
        case REPLAY_UNREAD:
            return STEP_READ;
        }
    }
}

static enum step step_of(struct behind *b, struct frame **next)
{
    struct hub_channel *c = b->channel;
    struct catch_up *cu = c->catch_up;
    *next = NULL;
    if (!c->has_history && !c->known && !b->verified && b->from == FROM_POSITION)
        b->from = FROM_UNKNOWN; // there is nothing that its place could be compared with
    if (b->from == FROM_UNKNOWN)
        return STEP_GAP;
    if (!position_is_zero(b->astray))
        return c->has_history ? step_astray(b, next) : STEP_GAP;
    if (position_equal(b->at, c->position))
        return STEP_LIVE;
    if (!c->has_history && b->from == FROM_EARLIEST)
        return STEP_LIVE;
    enum replay_result result = replay_next(&cu->replay, b->at, next);
    if (!c->has_history && result != REPLAY_NEXT)
        return STEP_GAP; // what is remembered of live events is all there is
    if (result == REPLAY_GAP && b->from == FROM_EARLIEST)
        b->at = (*next)->prev;
    b->from = result == REPLAY_UNREAD ? b->from : FROM_POSITION;
    switch (result) {
    case REPLAY_GAP:
        if (is_forked(b, (*next)->prev))
            return go_astray(b);
        return position_equal(b->at, (*next)->prev) ? STEP_FRAME : STEP_GAP;
    case REPLAY_NEXT:
        return STEP_FRAME;
    case REPLAY_END:
        return cu->page > b->since ? step_at_end(cu, b, next) : STEP_READ;
    case REPLAY_LOST:
        if (cu->page <= b->since)
            return STEP_READ;
        return is_forked(b, c->position) ? go_astray(b) : STEP_GAP;
    case REPLAY_UNREAD:
        break;
    }
    return STEP_READ;
}

static struct frame *gap_for(const struct behind *b, const struct frame *next)
{
    const struct hub_channel *c = b->channel;
    bool known = b->from == FROM_POSITION && position_is_zero(b->astray);
    uint64_t from = known ? b->at.offset + 1 : 0, to = 0;
    // Offsets of another life of the history say nothing to a client that knows this one.
    if (next && position_is_zero(b->astray) && (position_is_zero(b->at) || next->epoch <= b->at.ms))
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
    b->astray = (struct position){0};
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

// Pages are read in sweeps from the oldest to the newest place: who is far behind comes in turn, and does not
// keep those further on waiting however many others come with older places.
static bool comes_sooner(const struct catch_up *cu, struct position a, struct position b)
{
    const struct position asked = cu->question.from;
    bool a_ahead = position_before(asked, a), b_ahead = position_before(asked, b);
    return a_ahead != b_ahead ? a_ahead : position_before(a, b);
}

static void want_page(struct catch_up *cu, struct position from)
{
    if (!cu->is_wanted || comes_sooner(cu, from, cu->wanted))
        cu->wanted = from;
    cu->is_wanted = true;
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
    enum step step = step_of(b, &next);
    if (step != STEP_READ)
        verify(h, b, step == STEP_GAP);
    enum hub_appetite appetite = h->events.appetite(h->events.ctx, b->subscriber);
    if (appetite == HUB_FULL && step != STEP_LIVE)
        return false;
    if (step == STEP_READ)
        want_page(b->channel->catch_up, b->at);
    if (appetite == HUB_NOT_OPEN)
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

// What cannot be read cannot be resumed: all who wait for it are told so.
static void page_failed(struct catch_up *cu)
{
    for (uint32_t i = 0; i < cu->count; i++) {
        struct behind *b = cu->behind[i];
        struct frame *next;
        if (b->since < cu->pages && replay_next(&cu->replay, b->at, &next) != REPLAY_NEXT)
            b->from = FROM_UNKNOWN;
    }
}

// How many events the next page may have: by the largest of this one, since sizes vary.
static void page_measure(struct catch_up *cu, const struct hub_page *page)
{
    size_t largest = 1;
    for (size_t i = 0; i < page->count; i++)
        largest = page->frames[i]->wire_len > largest ? page->frames[i]->wire_len : largest;
    size_t fit = PAGE_BYTES / largest, most = (size_t)page->question.entries * PAGE_GROWTH;
    most = most < HUB_PAGE_ENTRIES_MAX ? most : HUB_PAGE_ENTRIES_MAX;
    if (page->count > 0)
        cu->entries = (uint32_t)(fit < PAGE_ENTRIES_MIN ? PAGE_ENTRIES_MIN : fit < most ? fit : most);
}

// Over the limit, other channels forget theirs, those first that have had no page for the longest time. Who
// still needs one asks again.
static void make_room(struct hub *h, struct catch_up *newest)
{
    TAILQ_REMOVE(&h->catching_up, newest, in_hub);
    TAILQ_INSERT_TAIL(&h->catching_up, newest, in_hub);
    struct catch_up *cu = TAILQ_FIRST(&h->catching_up);
    for (; cu != newest && h->replay_bytes > h->replay_limit; cu = TAILQ_NEXT(cu, in_hub)) {
        h->replay_bytes -= replay_bytes(&cu->replay);
        replay_clear(&cu->replay);
    }
}

void hub_page(struct hub *h, uint64_t hash, const char *name, size_t len, const struct hub_page *page)
{
    struct map_entry *e = map_find(&h->channels, hash, name, len);
    struct hub_channel *c =
        e ? (struct hub_channel *)((char *)e - offsetof(struct hub_channel, entry)) : NULL;
    struct catch_up *cu = c ? c->catch_up : NULL;
    // One that nobody waits for any more, or that was given up.
    if (!cu || !cu->reading || page->question.number != cu->question.number) {
        for (size_t i = 0; i < page->count; i++)
            frame_release(page->frames[i]);
        return;
    }
    cu->reading = false;
    cu->is_wanted = false; // all are woken, and say anew what they want
    cu->page = cu->pages;
    const struct position from = page->question.from;
    if (page->count > 0 && position_before(from, page->frames[page->count - 1]->at))
        cu->short_pages = 0;
    page_measure(cu, page);
    size_t before = replay_bytes(&cu->replay);
    if (page->failed)
        page_failed(cu);
    else
        replay_add_page(&cu->replay, from, page->at_end, page->frames, page->count, c->position,
                        replay_budget(h));
    h->replay_bytes += replay_bytes(&cu->replay) - before;
    make_room(h, cu);
    catch_up_wake(h, c);
}

static void catch_up_tick(struct hub *h, struct catch_up *cu)
{
    if (cu->reading && h->now_ms >= cu->answer_by) {
        cu->reading = false;
        catch_up_wake(h, cu->channel);
    }
    if (cu->awaits_redis && !cu->reading && h->now_ms - cu->asked_at >= SHORT_RETRY_MS) {
        cu->awaits_redis = false;
        cu->short_pages++;
        h->replay_bytes -= cu->replay.page.bytes;
        replay_drop_page(&cu->replay);
        catch_up_wake(h, cu->channel);
    }
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
