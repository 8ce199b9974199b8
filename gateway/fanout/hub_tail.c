#include "gateway/fanout/hub_tail.h"

// As long as a message may be on its way behind the answer to a question: two ticks, the first of which may come at once.
#define HOLD_MS 500u

// One question at a time, however many streams come: the bus answers the newest alone.
static bool ask_tail(struct hub *h, struct hub_channel *c)
{
    struct catch_up *cu = c->catch_up;
    if (cu->tail_asked > cu->tail_seq)
        return true; // the next one is asked when the answer comes
    if (!h->events.on_interest(h->events.ctx, channel_ref_of(&c->entry), ++h->subscribe_seq))
        return false;
    cu->tail_asked = h->subscribe_seq;
    cu->is_tail_wanted = false;
    for (uint32_t i = 0; i < cu->count; i++)
        if (cu->lagging[i]->tail_seq == TAIL_NEXT)
            cu->lagging[i]->tail_seq = cu->tail_asked;
    return true;
}

bool hub_tail_want(struct hub *h, const struct subscription *s)
{
    struct lagging *lag = lagging_of(s);
    if (!lag)
        return true;
    lag->tail_seq = TAIL_NEXT;
    s->channel->catch_up->is_tail_wanted = true;
    return ask_tail(h, s->channel);
}

void hub_tail_take(struct hub *h, struct hub_channel *c, uint64_t subscribe_seq)
{
    if (!c->catch_up)
        return;
    c->catch_up->tail_seq = subscribe_seq;
    if (c->catch_up->is_tail_wanted)
        (void)ask_tail(h, c); // asked again with the next confirmation, or the next stream
}

bool hub_tail_hold(const struct hub *h, struct hub_channel *c, const struct history_tail *tail)
{
    struct catch_up *cu = c->catch_up;
    if (!cu)
        return false;
    uint64_t until = cu->held_until ? cu->held_until : h->now_ms + HOLD_MS;
    cu->held_until = 0;
    if (c->state != HUB_CHANNEL_LIVE || !channel_has_history(c) || !tail->has_history ||
        tail->epoch != c->epoch || cu->tail_asked <= cu->tail_seq || !event_id_before(c->last_id, tail->last))
        return false;
    cu->held = *tail;
    cu->held_until = until;
    return true;
}

bool hub_tail_release(const struct hub *h, struct hub_channel *c, bool at_once, struct history_tail *tail)
{
    struct catch_up *cu = c->catch_up;
    if (!cu || !cu->held_until)
        return false;
    bool is_over = c->epoch != cu->held.epoch; // of the next life of the history an event has come
    if (!at_once && h->now_ms < cu->held_until && !is_over && event_id_before(c->last_id, cu->held.last))
        return false;
    *tail = cu->held;
    if (is_over)
        tail->last = c->last_id; // ids of two lives say nothing of their order
    cu->held_until = 0;
    return true;
}
