#include "gateway/fanout/hub_channel.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "gateway/fanout/cursor.h"

#define TO(state) (1u << HUB_CHANNEL_##state)

void hub_channel_set_state(struct hub_channel *c, enum hub_channel_state to)
{
    static const unsigned legal[] = {
        [HUB_CHANNEL_SUBSCRIBING] = TO(HEARD) | TO(SILENT) | TO(JOINING),
        [HUB_CHANNEL_HEARD] = TO(CUT_OFF) | TO(LIVE) | TO(JOINING),
        [HUB_CHANNEL_CUT_OFF] = TO(HEARD) | TO(STALE) | TO(JOINING),
        [HUB_CHANNEL_SILENT] = TO(SUBSCRIBING) | TO(LIVE) | TO(JOINING),
        [HUB_CHANNEL_JOINING] = TO(CUT_OFF) | TO(LIVE) | TO(STALE),
        [HUB_CHANNEL_LIVE] = TO(CUT_OFF) | TO(JOINING) | TO(STALE),
        [HUB_CHANNEL_STALE] = TO(CUT_OFF) | TO(JOINING) | TO(LIVE),
    };
    assert(to == c->state || legal[c->state] & 1u << to);
    c->state = to;
}

struct hub_channel *channel_create(struct hub *h, struct channel_ref channel)
{
    struct hub_channel *c = malloc(sizeof *c + channel.len);
    if (!c)
        return NULL;
    *c = (struct hub_channel){
        .entry = {.hash = channel.hash, .key = c->name, .len = (uint32_t)channel.len},
        .cursor_hash = cursor_hash(channel.name, channel.len),
    };
    memcpy(c->name, channel.name, channel.len);
    if (!map_insert(&h->channels, &c->entry)) {
        free(c);
        return NULL;
    }
    h->bytes += memory_block(sizeof *c + channel.len);
    return c;
}

static size_t slots_bytes(uint32_t capacity)
{
    return capacity ? memory_block(capacity * sizeof(struct slot)) : 0;
}

void channel_destroy(struct hub *h, struct hub_channel *c)
{
    assert(c->count == 0 && !c->catch_up);
    map_remove(&h->channels, &c->entry);
    h->bytes -= memory_block(sizeof *c + c->entry.len) + slots_bytes(c->capacity);
    free(c->slots);
    free(c);
}

// False where there is no memory; a shrink that fails costs memory, nothing else.
static bool resize_slots(struct hub *h, struct hub_channel *c, uint32_t capacity)
{
    struct slot *slots = realloc(c->slots, capacity * sizeof *slots);
    if (!slots)
        return false;
    h->bytes += slots_bytes(capacity) - slots_bytes(c->capacity);
    c->slots = slots;
    c->capacity = capacity;
    return true;
}

bool channel_add_slot(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription)
{
    // One slot at first: a channel of one user has one stream.
    if (c->count == c->capacity && !resize_slots(h, c, c->capacity ? c->capacity * 2 : 1))
        return false;
    s->subscriptions[subscription] = (struct subscription){.channel = c, .slot = c->count};
    c->slots[c->count++] = (struct slot){.subscriber = s, .subscription = subscription};
    return true;
}

void channel_drop_slot(struct hub *h, struct hub_channel *c, uint32_t slot)
{
    assert(slot < c->count);
    struct slot moved = c->slots[--c->count];
    c->slots[slot] = moved;
    moved.subscriber->subscriptions[moved.subscription].slot = slot;
    if (c->capacity >= 8 && c->count * 4 <= c->capacity)
        (void)resize_slots(h, c, c->capacity / 2);
}

struct subscriber *channel_subscriber_at(const struct hub_channel *c, uint32_t i)
{
    if (i < c->count)
        return c->slots[i].subscriber;
    i -= c->count;
    return c->catch_up && i < c->catch_up->count ? c->catch_up->lagging[i]->subscriber : NULL;
}

bool subscriber_is_ready(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct lagging *lag = lagging_of(&s->subscriptions[i]);
        if (!channel_is_confirmed(s->subscriptions[i].channel) || (lag && lag->start == START_PENDING))
            return false;
    }
    return s->count > 0;
}
