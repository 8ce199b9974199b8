#include "gateway/fanout/hub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/container_of.h"
#include "common/memory.h"
#include "gateway/fanout/cursor.h"
#include "gateway/fanout/hub_channel.h"

static struct hub_channel *channel_of(struct map_entry *e)
{
    return container_of(e, struct hub_channel, entry);
}

struct hub *hub_create(const struct hub_events *events, size_t replay_limit)
{
    struct hub *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    map_init(&h->channels);
    h->events = *events;
    h->replay_limit = replay_limit;
    TAILQ_INIT(&h->ready);
    TAILQ_INIT(&h->catching_up);
    return h;
}

void hub_destroy(struct hub *h)
{
    if (!h)
        return;
    assert(h->channels.count == 0);
    map_deinit(&h->channels);
    free(h);
}

static struct hub_channel *channel_create(struct hub *h, struct channel_ref name)
{
    struct hub_channel *c = malloc(sizeof *c + name.len);
    if (!c)
        return NULL;
    *c = (struct hub_channel){.entry = {.hash = name.hash, .key = c->name, .len = (uint32_t)name.len},
                              .cursor_hash = cursor_hash(name.name, name.len)};
    memcpy(c->name, name.name, name.len);
    if (!map_insert(&h->channels, &c->entry)) {
        free(c);
        return NULL;
    }
    h->bytes += memory_block(sizeof *c + name.len);
    return c;
}

static size_t slots_bytes(uint32_t capacity)
{
    return capacity ? memory_block(capacity * sizeof(struct slot)) : 0;
}

// False where there is no memory; a shrink that fails costs memory, nothing else.
static bool channel_resize(struct hub *h, struct hub_channel *c, uint32_t capacity)
{
    struct slot *slots = realloc(c->slots, capacity * sizeof *slots);
    if (!slots)
        return false;
    h->bytes += slots_bytes(capacity) - slots_bytes(c->capacity);
    c->slots = slots;
    c->capacity = capacity;
    return true;
}

static void channel_destroy(struct hub *h, struct hub_channel *c)
{
    catch_up_destroy(h, c);
    map_remove(&h->channels, &c->entry);
    h->bytes -= memory_block(sizeof *c + c->entry.len) + slots_bytes(c->capacity);
    free(c->slots);
    free(c);
}

static bool channel_is_empty(const struct hub_channel *c)
{
    return c->count == 0 && (!c->catch_up || c->catch_up->count == 0);
}

bool channel_add(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription)
{
    // One slot at first: a channel of one user has one stream.
    if (c->count == c->capacity && !channel_resize(h, c, c->capacity ? c->capacity * 2 : 1))
        return false;
    s->subscriptions[subscription] = (struct subscription){.channel = c, .slot = c->count};
    c->slots[c->count++] = (struct slot){.subscriber = s, .subscription = subscription};
    return true;
}

static void slot_drop(struct hub *h, struct hub_channel *c, uint32_t slot)
{
    struct slot moved = c->slots[--c->count];
    c->slots[slot] = moved;
    moved.subscriber->subscriptions[moved.subscription].slot = slot;
    if (c->capacity >= 8 && c->count * 4 <= c->capacity)
        (void)channel_resize(h, c, c->capacity / 2);
}

static void channel_drop(struct hub *h, const struct subscription *gone)
{
    struct hub_channel *c = gone->channel;
    if (gone->lagging)
        catch_up_remove(h, gone);
    else
        slot_drop(h, c, gone->slot);
    if (channel_is_empty(c)) {
        (void)h->events.on_interest(h->events.ctx, channel_ref_of(&c->entry), 0);
        channel_destroy(h, c);
    }
}

static bool channel_enter(struct hub *h, struct hub_channel *c, struct subscriber *s,
                          const struct hub_name *name)
{
    return name->from == FROM_NOW ? channel_add(h, c, s, s->count)
                                  : catch_up_add(h, c, s, s->count, name->from, name->at);
}

// What the bus confirmed before is not meant for this: the channel may have been left and joined again since.
static bool channel_ask_bus(struct hub *h, struct hub_channel *c)
{
    if (!h->events.on_interest(h->events.ctx, channel_ref_of(&c->entry), ++h->subscribe_seq))
        return false;
    c->subscribe_seq = h->subscribe_seq;
    return true;
}

static bool hub_join_one(struct hub *h, struct subscriber *s, const struct hub_name *name)
{
    struct map_entry *e = channel_find(&h->channels, name->channel);
    struct hub_channel *c = e ? channel_of(e) : channel_create(h, name->channel);
    if (!c)
        return false;
    if (!channel_enter(h, c, s, name)) {
        if (channel_is_empty(c))
            channel_destroy(h, c);
        return false;
    }
    if (!e && !channel_ask_bus(h, c)) {
        if (s->subscriptions[s->count].lagging)
            catch_up_remove(h, &s->subscriptions[s->count]);
        channel_destroy(h, c);
        return false;
    }
    s->count++;
    return true;
}

bool hub_join(struct hub *h, struct subscriber *s, const struct hub_name *names, size_t count)
{
    assert(s->subscriptions == NULL);
    s->subscriptions = count == 1 ? &s->one : calloc(count, sizeof *s->subscriptions);
    s->count = 0;
    if (!s->subscriptions)
        return false;
    if (s->subscriptions != &s->one)
        h->bytes += memory_block(count * sizeof *s->subscriptions);
    s->allotted = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        if (!hub_join_one(h, s, &names[i])) {
            hub_leave(h, s);
            return false;
        }
    }
    return true;
}

void hub_leave(struct hub *h, struct subscriber *s)
{
    if (!s->subscriptions)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        channel_drop(h, &s->subscriptions[i]);
    if (s->subscriptions != &s->one) {
        h->bytes -= memory_block(s->allotted * sizeof *s->subscriptions);
        free(s->subscriptions);
    }
    s->subscriptions = NULL;
    s->count = 0;
}

static const struct lagging *lagging_of(const struct subscription *sub)
{
    return sub->lagging ? sub->channel->catch_up->lagging[sub->slot] : NULL;
}

bool hub_is_ready(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct lagging *lag = lagging_of(&s->subscriptions[i]);
        if (!s->subscriptions[i].channel->confirmed || (lag && !lag->verified))
            return false;
    }
    return s->count > 0;
}

// Where the channel is with the event. False where it is not new.
static bool channel_advance(struct hub *h, struct hub_channel *c, const struct frame *f)
{
    if (!c->known) {
        // Nobody is open yet. What it is behind will be read.
        c->last_id = f->at;
        c->epoch = f->epoch;
        c->known = true;
        return true;
    }
    bool follows = event_id_equal(f->prev, c->last_id);
    // The first event of a new life of the history, where the old one was never lost from sight: it has
    // expired.
    bool begins = event_id_is_zero(f->prev) && c->confirmed && !c->stale;
    // One of another life is not: the clock may have been set back between the two.
    bool is_old = f->epoch == c->epoch && !event_id_before(c->last_id, f->at);
    if (is_old && c->joining && !follows)
        return false;
    // A hole; or the history itself is another one than it was.
    if (!follows && !begins)
        catch_up_all(h, c);
    // Places of the old life do not come before those of the new one then: what is remembered cannot be
    // compared.
    if (begins && event_id_before(f->at, c->last_id))
        catch_up_forget(h, c);
    c->joining = c->joining && is_old;
    c->stale = false;
    c->last_id = f->at;
    c->epoch = f->epoch;
    return true;
}

static void deliver_to_lagging(struct hub *h, struct hub_channel *c, struct frame *f)
{
    for (uint32_t i = 0; c->catch_up && i < c->catch_up->count; i++)
        h->events.on_frame(h->events.ctx, c->catch_up->lagging[i]->subscriber, f);
}

size_t hub_deliver(struct hub *h, struct frame *f)
{
    struct map_entry *e = channel_find(&h->channels, frame_channel(f));
    if (!e)
        return 0;
    struct hub_channel *c = channel_of(e);
    if (f->durable) {
        if (!channel_advance(h, c, f))
            return 0;
        catch_up_append(h, c, f);
    } else {
        c->has_plain = c->has_plain || !f->is_gap;
        deliver_to_lagging(h, c, f);
    }
    for (uint32_t i = 0; i < c->count; i++)
        h->events.on_frame(h->events.ctx, c->slots[i].subscriber, f);
    return c->count;
}

static void channel_confirmed(struct hub *h, struct hub_channel *c, const struct history_tail *tail)
{
    c->confirmed = c->answered = true;
    c->has_history = tail->has_history;
    if (!tail->has_history) {
        catch_up_wake(h, c);
        return;
    }
    // An event that came since the subscription says as much as the answer, but for what is behind it: that
    // may be on its way, or it was published before the bus knew that this worker wants it.
    if (!c->known || c->stale || event_id_before(c->last_id, tail->last)) {
        if (c->known && !event_id_equal(c->last_id, tail->last))
            catch_up_all(h, c);
        c->last_id = tail->last;
        c->epoch = tail->epoch;
        c->joining = true;
    }
    c->known = true;
    c->stale = false;
    catch_up_wake(h, c);
}

void hub_confirm(struct hub *h, struct channel_ref channel, const struct history_tail *tail)
{
    struct map_entry *e = channel_find(&h->channels, channel);
    if (!e)
        return;
    struct hub_channel *c = channel_of(e);
    bool was_confirmed = c->confirmed;
    if (tail->subscribe_seq < c->subscribe_seq)
        return;
    channel_confirmed(h, c, tail);
    for (uint32_t i = 0; !was_confirmed && i < c->count; i++)
        if (hub_is_ready(c->slots[i].subscriber))
            h->events.on_ready(h->events.ctx, c->slots[i].subscriber);
    // Those whose loss is known already; the others will be fed.
    for (uint32_t i = 0; !was_confirmed && c->catch_up && i < c->catch_up->count; i++)
        if (hub_is_ready(c->catch_up->lagging[i]->subscriber))
            h->events.on_ready(h->events.ctx, c->catch_up->lagging[i]->subscriber);
}

static void channel_unconfirmed(struct hub_channel *c)
{
    c->confirmed = false;
    c->stale = c->known;
}

void hub_unconfirm(struct hub *h, struct channel_ref channel)
{
    struct map_entry *e = channel_find(&h->channels, channel);
    if (e)
        channel_unconfirmed(channel_of(e));
}

void hub_unconfirm_all(struct hub *h)
{
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&h->channels, &cursor));)
        channel_unconfirmed(channel_of(e));
}

bool hub_lost(struct hub *h, struct channel_ref channel, bool is_confirmed_soon)
{
    struct map_entry *e = channel_find(&h->channels, channel);
    if (!e)
        return false;
    struct hub_channel *c = channel_of(e);
    if (c->answered && (!c->has_history || event_id_is_zero(c->last_id)))
        return true;
    c->stale = true;
    // Plain messages are in no history. The bus is asked where the channel is not confirmed yet, too: the
    // answer that is on its way may be older than the loss.
    return (!is_confirmed_soon && !channel_ask_bus(h, c)) || c->has_plain;
}

// How far the client of `s` has got in its i-th channel, as far as that is known.
static struct cursor_entry cursor_entry_of(const struct subscriber *s, uint32_t i)
{
    const struct hub_channel *c = s->subscriptions[i].channel;
    const struct lagging *lag = lagging_of(&s->subscriptions[i]);
    struct cursor_entry e = {.hash = c->cursor_hash, .at = c->last_id, .result = CURSOR_KNOWN};
    if (lag)
        e.at = event_id_is_zero(lag->forked) ? lag->at : lag->forked;
    if (!c->has_history && event_id_is_zero(c->last_id))
        e.result = CURSOR_NEW;
    // A channel that has events and no history to look them up in: no gateway can say later what was missed.
    else if (!c->has_history || (lag && lag->from == FROM_UNKNOWN))
        e.result = CURSOR_UNKNOWN;
    return e;
}

size_t hub_cursor(const struct subscriber *s, char *out)
{
    struct cursor_entry entries[HUB_CHANNELS_MAX];
    bool says_something = false;
    assert(s->count <= HUB_CHANNELS_MAX);
    for (uint32_t i = 0; i < s->count; i++) {
        entries[i] = cursor_entry_of(s, i);
        says_something |= entries[i].result != CURSOR_NEW;
    }
    return says_something ? cursor_encode(entries, s->count, out) : 0;
}

bool hub_is_durable(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->subscriptions[i].channel->has_history &&
            !event_id_is_zero(s->subscriptions[i].channel->last_id))
            return true;
    return false;
}

enum hub_standing hub_standing(const struct subscriber *s, size_t i)
{
    const struct lagging *lag = lagging_of(&s->subscriptions[i]);
    return !lag || lag->had_slot ? HUB_FRESH : lag->gap ? HUB_GAP : HUB_RESUMED;
}

bool hub_is_new_to_history(const struct subscriber *s, bool even_empty)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct hub_channel *c = s->subscriptions[i].channel;
        const struct lagging *lag = lagging_of(&s->subscriptions[i]);
        if ((!lag || lag->had_slot) && c->has_history && (even_empty || !event_id_is_zero(c->last_id)))
            return true;
    }
    return false;
}

size_t hub_channel_count(const struct hub *h)
{
    return h->channels.count;
}

size_t hub_bytes(const struct hub *h)
{
    return h->bytes + map_bytes(&h->channels);
}

size_t hub_replay_bytes(const struct hub *h)
{
    return h->replay_bytes;
}

struct channel_ref hub_channel_name(const struct subscriber *s, size_t i)
{
    assert(i < s->count);
    return channel_ref_of(&s->subscriptions[i].channel->entry);
}
