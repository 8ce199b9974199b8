#include "gateway/fanout/hub_cursor.h"

#include <assert.h>

#include "gateway/fanout/cursor.h"
#include "gateway/fanout/hub.h"
#include "gateway/fanout/hub_channel.h"

// A channel that may be a plain one has none.
static bool has_place(const struct hub_channel *c)
{
    return channel_has_history(c) || !event_id_is_zero(c->last_id);
}

// How far the client of `s` has got in its i-th channel, as far as that is known.
static struct cursor_entry cursor_entry_of(const struct subscriber *s, uint32_t i)
{
    const struct hub_channel *c = s->subscriptions[i].channel;
    const struct lagging *lag = lagging_of(&s->subscriptions[i]);
    struct cursor_entry e = {.hash = c->cursor_hash, .at = c->last_id, .result = CURSOR_KNOWN};
    if (lag)
        e.at = lag->mode == LAGGING_FORKED ? lag->forked : lag->at;
    bool is_lost = lag && lag->mode == LAGGING_LOST;
    if (!has_place(c) && !is_lost && !c->is_place_lost)
        e.result = CURSOR_NEW;
    // A channel that has events and no history to look them up in, or one that the client has had a place in,
    // and was told to be lost: no gateway can say later what was missed.
    else if (!channel_has_history(c) || is_lost)
        e.result = CURSOR_UNKNOWN;
    return e;
}

static_assert(HUB_CHANNELS_MAX <= CURSOR_ENTRIES_MAX, "a cursor is made of all channels of a stream");

size_t hub_cursor(const struct subscriber *s, char *out)
{
    struct cursor_entry entries[HUB_CHANNELS_MAX];
    bool says_something = false;
    assert(s->count <= HUB_CHANNELS_MAX);
    for (uint32_t i = 0; i < s->count; i++) {
        entries[i] = cursor_entry_of(s, i);
        says_something |= has_place(s->subscriptions[i].channel);
    }
    return says_something ? cursor_encode(entries, s->count, out) : 0;
}

bool hub_is_durable(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (channel_has_history(s->subscriptions[i].channel) &&
            !event_id_is_zero(s->subscriptions[i].channel->last_id))
            return true;
    return false;
}

enum hub_standing hub_standing(const struct subscriber *s, size_t i)
{
    const struct lagging *lag = lagging_of(&s->subscriptions[i]);
    if (!lag || lag->start == START_FELL_BEHIND || lag->start == START_FRESH)
        return HUB_FRESH;
    return lag->start == START_GAP ? HUB_GAP : HUB_RESUMED;
}

bool hub_is_new_to_history(const struct subscriber *s, bool even_empty)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct hub_channel *c = s->subscriptions[i].channel;
        if (hub_standing(s, i) == HUB_FRESH && channel_has_history(c) &&
            (even_empty || !event_id_is_zero(c->last_id)))
            return true;
    }
    return false;
}
