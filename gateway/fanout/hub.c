#include "gateway/fanout/hub.h"

#include <assert.h>
#include <stdlib.h>

#include "common/container_of.h"
#include "common/memory.h"
#include "gateway/fanout/catch_up.h"
#include "gateway/fanout/catch_up_pages.h"
#include "gateway/fanout/hub_confirm.h"
#include "gateway/fanout/hub_end.h"
#include "gateway/fanout/hub_tail.h"

// NULL where no stream of this hub wants it.
static struct hub_channel *find(const struct hub *h, struct channel_ref channel)
{
    struct map_entry *e = channel_find(&h->channels, channel);
    return e ? container_of(e, struct hub_channel, entry) : NULL;
}

struct hub *hub_create(const struct hub_events *events, const struct hub_settings *settings)
{
    struct hub *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    map_init(&h->channels);
    h->events = *events;
    assert(settings->replay_budget);
    h->settings = *settings;
    TAILQ_INIT(&h->ready);
    TAILQ_INIT(&h->catching_up);
    TAILQ_INIT(&h->waiting);
    return h;
}

void hub_destroy(struct hub *h)
{
    if (!h)
        return;
    assert(h->channels.count == 0 && TAILQ_EMPTY(&h->catching_up) && h->replay_bytes == 0 && h->reads == 0);
    map_deinit(&h->channels);
    free(h);
}

// Frees the channel where no stream is left in it. `is_told`: the bus was told that the hub wants the
// channel, and must be told that it is wanted no longer.
static void free_if_empty(struct hub *h, struct hub_channel *c, bool is_told)
{
    if (c->count > 0 || (c->catch_up && c->catch_up->count > 0))
        return;
    if (is_told)
        (void)h->events.on_interest(h->events.ctx, channel_ref_of(&c->entry), 0); // must not fail
    catch_up_destroy(h, c);
    channel_destroy(h, c);
}

static void leave_channel(struct hub *h, const struct subscription *gone, bool is_told)
{
    struct hub_channel *c = gone->channel;
    if (gone->lagging)
        catch_up_remove(h, lagging_of(gone));
    else
        channel_drop_slot(h, c, gone->slot);
    free_if_empty(h, c, is_told);
}

static bool enter_channel(struct hub *h, struct hub_channel *c, struct subscriber *s,
                          const struct hub_name *name)
{
    static const enum lagging_mode modes[] = {
        [FROM_NOW] = LAGGING_FRESH,
        [FROM_EVENT_ID] = LAGGING_AT,
        [FROM_EARLIEST] = LAGGING_EARLIEST,
        [FROM_UNKNOWN] = LAGGING_LOST,
    };
    if (name->from == FROM_NOW && !(c->has_snapshot && channel_has_history(c)) && !channel_has_ended(c)) {
        c->end_told = false; // where it is still the end after a loss, this stream has not been told
        return channel_add_slot(h, c, s, s->count);
    }
    bool is_empty = name->at.offset == 0;
    const struct event_id at = name->from == FROM_EVENT_ID && !is_empty ? name->at : (struct event_id){0};
    if (!catch_up_add(h, c, s, s->count, modes[name->from], at))
        return false;
    if (name->from == FROM_EVENT_ID && is_empty)
        lagging_of(&s->subscriptions[s->count])->empty_at = name->at.ms;
    return true;
}

// A confirmation with an older number answers an older request: the channel may have been left and joined
// again since.
static bool ask_bus(struct hub *h, struct hub_channel *c)
{
    if (!h->events.on_interest(h->events.ctx, channel_ref_of(&c->entry), ++h->subscribe_seq))
        return false;
    c->subscribe_seq = h->subscribe_seq;
    return true;
}

static bool hub_join_one(struct hub *h, struct subscriber *s, const struct hub_name *name)
{
    struct hub_channel *there = find(h, name->channel);
    struct hub_channel *c = there ? there : channel_create(h, name->channel);
    if (!c)
        return false;
    if (!enter_channel(h, c, s, name)) {
        free_if_empty(h, c, false);
        return false;
    }
    bool is_asked = true;
    if (!there)
        is_asked = ask_bus(h, c);
    else if (name->to_the_tail ||
             channel_has_ended(there)) // a new life may have begun whose first event is on its way
        is_asked = hub_tail_want(h, &s->subscriptions[s->count]);
    if (!is_asked) {
        leave_channel(h, &s->subscriptions[s->count], there != NULL);
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
        leave_channel(h, &s->subscriptions[i], true);
    if (s->subscriptions != &s->one) {
        h->bytes -= memory_block(s->allotted * sizeof *s->subscriptions);
        free(s->subscriptions);
    }
    s->subscriptions = NULL;
    s->count = 0;
}

bool hub_is_ready(const struct subscriber *s)
{
    return subscriber_is_ready(s);
}

bool hub_has_caught_up(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct lagging *lag = lagging_of(&s->subscriptions[i]);
        // One that resumed after an event which another gateway received first waits for it, and misses nothing.
        if (lag && (lag->mode != LAGGING_AT || event_id_before(lag->at, lag->channel->last_id)))
            return false;
    }
    return true;
}

// The event is the channel's last_id from now on. False where it is not new.
static bool channel_advance(struct hub *h, struct hub_channel *c, const struct frame *f)
{
    bool is_known = channel_knows_last_id(c), follows = event_id_equal(f->prev, c->last_id);
    // The first event of a new life of the history, where no event of the old life was missed: the old
    // history has expired.
    bool begins =
        event_id_is_zero(f->prev) && (c->state == HUB_CHANNEL_LIVE || c->state == HUB_CHANNEL_JOINING);
    // An event of another life of the history is not old, whatever its id: the clock may have been set back
    // between the two.
    bool is_old = is_known && f->epoch == c->epoch && !event_id_before(c->last_id, f->at);
    if (is_old && c->state == HUB_CHANNEL_JOINING && !follows)
        return false;
    // Events between last_id and this one were lost, or the history is another one than before. Before the first
    // confirmation no stream has been opened that could miss them.
    if (is_known && !follows && !begins && c->history != HISTORY_UNASKED)
        catch_up_all(h, c);
    // Event ids of the old life need not be lower than those of the new one, so the replay of the old life is
    // of no use.
    if (is_known && begins && event_id_before(f->at, c->last_id))
        catch_up_forget(h, c);
    if (!channel_is_confirmed(c))
        hub_channel_set_state(c, HUB_CHANNEL_HEARD);
    else if (c->state != HUB_CHANNEL_JOINING || !is_old)
        hub_channel_set_state(c, HUB_CHANNEL_LIVE);
    // Among events that are missed there may be a snapshot.
    c->has_snapshot =
        f->is_snapshot || (!event_id_is_zero(f->prev) && (c->has_snapshot || (is_known && !follows)));
    channel_set_last(c, f->at, f->epoch, f->ends);
    return true;
}

bool hub_has_channel(const struct hub *h, struct channel_ref channel)
{
    return find(h, channel) != NULL;
}

size_t hub_deliver(struct hub *h, struct frame *f)
{
    struct hub_channel *c = find(h, frame_channel(f));
    if (!c)
        return 0;
    if (f->durable) {
        if (!channel_advance(h, c, f))
            return 0;
        catch_up_append(h, c, f);
    } else {
        c->has_plain = c->has_plain || !f->is_gap;
    }
    for (uint32_t i = 0; i < c->count; i++)
        h->events.on_frame(h->events.ctx, c->slots[i].subscriber, f);
    struct subscriber *lagging;
    for (uint32_t i = c->count; !f->durable && (lagging = channel_subscriber_at(c, i)); i++)
        h->events.on_frame(h->events.ctx, lagging, f);
    if (f->ends)
        hub_end_tell(h, c);
    hub_confirm_take_held(h, c, false);
    return c->count;
}

void hub_confirm(struct hub *h, struct channel_ref channel, const struct history_tail *tail)
{
    struct hub_channel *c = find(h, channel);
    if (c && tail->subscribe_seq >= c->subscribe_seq && !hub_tail_hold(h, c, tail))
        hub_confirm_take(h, c, tail);
}

static void unconfirm(struct hub *h, struct hub_channel *c)
{
    hub_confirm_take_held(h, c, true);
    hub_channel_set_state(c, channel_knows_last_id(c) ? HUB_CHANNEL_CUT_OFF : HUB_CHANNEL_SUBSCRIBING);
}

void hub_unconfirm(struct hub *h, struct channel_ref channel)
{
    struct hub_channel *c = find(h, channel);
    if (c)
        unconfirm(h, c);
}

void hub_unconfirm_all(struct hub *h)
{
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&h->channels, &cursor));)
        unconfirm(h, container_of(e, struct hub_channel, entry));
}

bool hub_lost(struct hub *h, struct channel_ref channel, bool is_confirmed_soon)
{
    struct hub_channel *c = find(h, channel);
    if (!c)
        return false;
    hub_confirm_take_held(h, c, true);
    if (c->history == HISTORY_NONE || (channel_has_history(c) && event_id_is_zero(c->last_id)))
        return true;
    if (channel_knows_last_id(c))
        hub_channel_set_state(c, channel_is_confirmed(c) ? HUB_CHANNEL_STALE : HUB_CHANNEL_CUT_OFF);
    // Plain messages are in no history. The bus is asked where the channel is not confirmed yet, too: the
    // answer that is on its way may be older than the loss.
    bool is_asked = is_confirmed_soon || ask_bus(h, c);
    return !is_asked || c->has_plain || !h->settings.durable_named;
}

void hub_page(struct hub *h, struct channel_ref channel, const struct history_page *page)
{
    catch_up_take_page(h, find(h, channel), page);
}

void hub_page_lost(struct hub *h, uint32_t number)
{
    pages_lost(h, number);
}

void hub_wake(struct hub *h, struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->subscriptions[i].lagging)
            catch_up_wake_one(h, lagging_of(&s->subscriptions[i]));
}

bool hub_feed(struct hub *h, size_t budget)
{
    return catch_up_feed(h, budget);
}

void hub_tick(struct hub *h, uint64_t now_ms)
{
    struct catch_up *cu;
    h->now_ms = now_ms;
    TAILQ_FOREACH(cu, &h->catching_up, in_hub)
    hub_confirm_take_held(h, cu->channel, false);
    catch_up_tick(h);
}

void hub_end_streams(struct hub *h, struct channel_ref channel)
{
    const struct hub_channel *c = find(h, channel);
    struct subscriber *s;
    for (uint32_t i = 0; c && (s = channel_subscriber_at(c, i)); i++)
        h->events.on_no_memory(h->events.ctx, s);
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
