#include "gateway/fanout/hub_tail.h"

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
