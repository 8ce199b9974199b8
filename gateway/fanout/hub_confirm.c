#include "gateway/fanout/hub_confirm.h"

#include <assert.h>

#include "gateway/fanout/catch_up.h"
#include "gateway/fanout/hub_end.h"
#include "gateway/fanout/hub_tail.h"

static void confirm_without_history(struct hub_channel *c)
{
    c->history = HISTORY_NONE;
    if (c->state == HUB_CHANNEL_SUBSCRIBING)
        hub_channel_set_state(c, HUB_CHANNEL_SILENT);
    else if (c->state == HUB_CHANNEL_HEARD)
        hub_channel_set_state(c, HUB_CHANNEL_LIVE);
    else if (c->state == HUB_CHANNEL_CUT_OFF)
        hub_channel_set_state(c, HUB_CHANNEL_STALE);
}

static void confirm_with_history(struct hub *h, struct hub_channel *c, const struct history_tail *tail)
{
    bool is_first = c->history == HISTORY_UNASKED, is_known = channel_knows_last_id(c);
    bool is_newer = !is_known || channel_is_stale(c) || event_id_before(c->last_id, tail->last);
    c->history = HISTORY_READABLE;
    // A live event says nothing of those before it.
    if (is_newer || tail->epoch == c->epoch)
        c->has_snapshot = tail->has_snapshot || (c->has_snapshot && !is_newer);
    if (is_first && c->has_snapshot)
        catch_up_begin_all(h, c);
    // The history could not be read until now: of its events up to the tail an open stream may have missed
    // some, and those that are on their way are not new when they come.
    if (!is_first && !is_known && !event_id_is_zero(tail->last))
        catch_up_lose_all(h, c);
    // An event that came since the subscription tells as much as the tail, except for the events before it:
    // they may be on their way, or were published before the bus knew that this worker wants the channel.
    if (!is_newer) {
        hub_channel_set_state(c, c->state == HUB_CHANNEL_HEARD ? HUB_CHANNEL_LIVE : c->state);
        return;
    }
    if (is_known && !event_id_equal(c->last_id, tail->last))
        catch_up_all(h, c);
    channel_set_last(c, tail->last, tail->epoch, tail->ended);
    hub_channel_set_state(c, HUB_CHANNEL_JOINING);
}

void hub_confirm_take(struct hub *h, struct hub_channel *c, const struct history_tail *tail)
{
    bool was_confirmed = channel_is_confirmed(c), had_ended = channel_has_ended(c);
    if (tail->has_history)
        confirm_with_history(h, c, tail);
    else
        confirm_without_history(c);
    assert(channel_is_confirmed(c));
    hub_tail_take(h, c, tail->subscribe_seq);
    catch_up_wake(h, c);
    // After a loss a stream may have had the end of its other channels meanwhile: it ends with what it is told now.
    if (!had_ended)
        hub_end_tell(h, c);
    // What a lagging stream has missed may still have to be found out.
    struct subscriber *s;
    for (uint32_t i = 0; !was_confirmed && (s = channel_subscriber_at(c, i)); i++)
        if (subscriber_is_ready(s))
            h->events.on_ready(h->events.ctx, s);
}

void hub_confirm_take_held(struct hub *h, struct hub_channel *c, bool at_once)
{
    struct history_tail tail;
    if (hub_tail_release(h, c, at_once, &tail))
        hub_confirm_take(h, c, &tail);
}
