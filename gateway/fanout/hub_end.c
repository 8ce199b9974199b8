#include "gateway/fanout/hub_end.h"

#include <stdio.h>

#include "common/pattern.h"
#include "gateway/fanout/hub_channel.h"
#include "gateway/fanout/message.h"

// {"channel":"news"}: a checked name (common/pattern.h) has nothing that needs escaping. The id of a stream of this channel
// alone is that of the last event: a client that comes back with it has read everything.
static struct frame *end_frame(const struct hub_channel *c, struct event_id at, uint64_t epoch)
{
    struct channel_ref channel = channel_ref_of(&c->entry);
    const struct event_place place = {.at = at, .epoch = epoch};
    char data[CHANNEL_NAME_MAX + 32];
    int len = snprintf(data, sizeof data, "{\"channel\":\"%.*s\"}", (int)channel.len, channel.name);
    struct sse_event event = {.event = "gateway:end", .event_len = 11, .data = data, .data_len = (size_t)len};
    struct frame *f = message_durable_frame(channel, &place, &event);
    if (f)
        f->is_end = true;
    return f;
}

// `f` is NULL where memory is short: the stream ends, and its client comes back.
static void tell(struct hub *h, struct subscriber *s, struct frame *f)
{
    if (f)
        h->events.on_frame(h->events.ctx, s, f);
    else
        h->events.on_no_memory(h->events.ctx, s);
}

void hub_end_tell(struct hub *h, struct hub_channel *c)
{
    if (!channel_has_ended(c))
        return;
    c->end_told = true;
    if (c->count == 0)
        return;
    struct frame *f = end_frame(c, c->last_id, c->epoch);
    for (uint32_t i = 0; i < c->count; i++)
        tell(h, c->slots[i].subscriber, f);
    frame_release(f);
}

void hub_end_tell_one(struct hub *h, struct hub_channel *c, struct subscriber *s)
{
    if (!channel_has_ended(c))
        return;
    struct frame *f = end_frame(c, c->last_id, c->epoch);
    tell(h, s, f);
    frame_release(f);
}

void hub_end_tell_past(struct hub *h, const struct hub_channel *c, struct event_id at, uint64_t epoch,
                       struct subscriber *s)
{
    struct frame *f = end_frame(c, at, epoch);
    tell(h, s, f);
    frame_release(f);
}

void hub_end_tell_opened(struct hub *h, struct subscriber *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (!lagging_of(&s->subscriptions[i]))
            hub_end_tell_one(h, s->subscriptions[i].channel, s);
}

// `counts_lagging`: a lagging stream that has had the channel's last_id counts as one that has caught up.
static bool is_at_end(const struct subscriber *s, bool counts_lagging)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct hub_channel *c = s->subscriptions[i].channel;
        const struct lagging *lag = lagging_of(&s->subscriptions[i]);
        bool has_all =
            !lag || (counts_lagging && lag->mode == LAGGING_AT && event_id_equal(lag->at, c->last_id));
        if (!has_all || !channel_has_ended(c))
            return false;
    }
    return s->count > 0;
}

bool hub_end_is_reached(const struct subscriber *s)
{
    return is_at_end(s, true);
}

bool hub_end_is_told(const struct subscriber *s)
{
    return is_at_end(s, false);
}
