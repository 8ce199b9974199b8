#include "gateway/fanout/hub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/memory.h"

struct slot {
    struct subscriber *subscriber;
    uint32_t subscription; // which of the subscriber's subscriptions points back here
};

struct hub_channel {
    struct map_entry entry; // key is name
    struct slot *slots;
    uint32_t count, capacity;
    bool confirmed;
    char name[];
};

struct hub {
    struct map channels;
    struct hub_events events;
    size_t bytes; // of all but the map
};

static struct hub_channel *channel_of(struct map_entry *e)
{
    return (struct hub_channel *)((char *)e - offsetof(struct hub_channel, entry));
}

struct hub *hub_create(const struct hub_events *events)
{
    struct hub *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    map_init(&h->channels);
    h->events = *events;
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

static struct hub_channel *channel_create(struct hub *h, uint64_t hash, const struct hub_name *name)
{
    struct hub_channel *c = malloc(sizeof *c + name->len);
    if (!c)
        return NULL;
    memcpy(c->name, name->text, name->len);
    c->entry = (struct map_entry){.hash = hash, .key = c->name, .len = (uint32_t)name->len};
    c->slots = NULL;
    c->count = c->capacity = 0;
    c->confirmed = false;
    if (!map_insert(&h->channels, &c->entry)) {
        free(c);
        return NULL;
    }
    h->bytes += memory_block(sizeof *c + name->len);
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
    map_remove(&h->channels, &c->entry);
    h->bytes -= memory_block(sizeof *c + c->entry.len) + slots_bytes(c->capacity);
    free(c->slots);
    free(c);
}

static bool channel_add(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription)
{
    // One slot at first: a channel of one user has one stream.
    if (c->count == c->capacity && !channel_resize(h, c, c->capacity ? c->capacity * 2 : 1))
        return false;
    s->subscriptions[subscription] = (struct subscription){.channel = c, .slot = c->count};
    c->slots[c->count++] = (struct slot){.subscriber = s, .subscription = subscription};
    return true;
}

static void channel_drop(struct hub *h, const struct subscription *gone)
{
    struct hub_channel *c = gone->channel;
    struct slot moved = c->slots[--c->count];
    c->slots[gone->slot] = moved;
    moved.subscriber->subscriptions[moved.subscription].slot = gone->slot;
    if (c->count == 0) {
        (void)h->events.on_interest(h->events.ctx, c->entry.hash, c->name, c->entry.len, false);
        channel_destroy(h, c);
    } else if (c->capacity >= 8 && c->count * 4 <= c->capacity) {
        (void)channel_resize(h, c, c->capacity / 2);
    }
}

static bool hub_join_one(struct hub *h, struct subscriber *s, const struct hub_name *name)
{
    uint64_t hash = map_hash(name->text, name->len);
    struct map_entry *e = map_find(&h->channels, hash, name->text, name->len);
    struct hub_channel *c = e ? channel_of(e) : channel_create(h, hash, name);
    if (!c)
        return false;
    if (!channel_add(h, c, s, s->count)) {
        if (c->count == 0)
            channel_destroy(h, c);
        return false;
    }
    if (c->count == 1 && !h->events.on_interest(h->events.ctx, hash, c->name, c->entry.len, true)) {
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

bool hub_is_confirmed(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (!s->subscriptions[i].channel->confirmed)
            return false;
    return s->count > 0;
}

size_t hub_deliver(struct hub *h, struct frame *f)
{
    struct map_entry *e = map_find(&h->channels, f->channel_hash, f->channel, f->channel_len);
    if (!e)
        return 0;
    struct hub_channel *c = channel_of(e);
    for (uint32_t i = 0; i < c->count; i++)
        h->events.on_frame(h->events.ctx, c->slots[i].subscriber, f);
    return c->count;
}

void hub_confirm(struct hub *h, uint64_t hash, const char *name, size_t len)
{
    struct map_entry *e = map_find(&h->channels, hash, name, len);
    if (!e)
        return;
    struct hub_channel *c = channel_of(e);
    if (c->confirmed)
        return;
    c->confirmed = true;
    for (uint32_t i = 0; i < c->count; i++)
        if (hub_is_confirmed(c->slots[i].subscriber))
            h->events.on_confirmed(h->events.ctx, c->slots[i].subscriber);
}

void hub_unconfirm_all(struct hub *h)
{
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&h->channels, &cursor));)
        channel_of(e)->confirmed = false;
}

size_t hub_channel_count(const struct hub *h)
{
    return h->channels.count;
}

size_t hub_bytes(const struct hub *h)
{
    return h->bytes + map_bytes(&h->channels);
}

const char *hub_channel_name(const struct subscriber *s, size_t i, size_t *len)
{
    const struct hub_channel *c = s->subscriptions[i].channel;
    *len = c->entry.len;
    return c->name;
}
