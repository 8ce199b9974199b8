#include "gateway/fanout/catch_up_step.h"

#include <assert.h>

#include "gateway/fanout/catch_up_pages.h"

#define FORKS_MAX 8u // of one stream until it has caught up

static enum step step_at_end(struct catch_up *cu, const struct lagging *lag, struct frame **next)
{
    if (!event_id_before(lag->at, cu->channel->last_id)) {
        cu->awaits_live = true; // it comes from a gateway that was quicker
        return STEP_AWAIT;
    }
    if (!event_id_before(lag->at, cu->asked_last_id))
        return STEP_READ; // the page had all that there was: what came since is in the next one
    cu->awaits_redis = true;
    *next = replay_ring_first(&cu->replay);
    return cu->short_pages < SHORT_PAGES_MAX ? STEP_AWAIT : STEP_GAP;
}

// A failover has lost the event that `lag` saw last, and the new master has others of its offset and above:
// with earlier times, since its clock is behind, or since the old master went on for a while. So they do not
// come after the place of `lag`, and still it cannot have seen them. `kept`: the newest place that is there
// before what comes after it by time.
//
// Asked only where `lag->at` is not in the history. An event that was given from the history is in it, so a fork
// is followed by another one only after another failover; FORKS_MAX bounds what a history costs that is written
// anew all the time.
static bool is_forked(const struct lagging *lag, struct event_id kept)
{
    return lag->from == FROM_EVENT_ID && lag->forks < FORKS_MAX && event_id_before(kept, lag->at) &&
           kept.offset >= lag->at.offset;
}

static enum step enter_forked(struct lagging *lag)
{
    assert(event_id_is_zero(lag->forked));
    lag->forks++;
    lag->forked = lag->at;
    lag->at = (struct event_id){0};
    lag->since = lag->channel->catch_up->pages;
    return STEP_READ;
}

// From the beginning of what is kept to the first event of an offset that `lag` has not had from this history.
static enum step step_forked(struct lagging *lag, struct frame **next)
{
    const struct replay *replay = &lag->channel->catch_up->replay;
    for (;;) {
        switch (replay_next(replay, lag->at, next)) {
        case REPLAY_NEXT:
        case REPLAY_GAP:
        case REPLAY_MISSING:
            if ((*next)->at.offset >= lag->forked.offset)
                return STEP_GAP;
            lag->at = (*next)->at;
            break;
        case REPLAY_END:
        case REPLAY_LOST:
            *next = NULL;
            return lag->channel->catch_up->page > lag->since ? STEP_GAP : STEP_READ;
        case REPLAY_UNREAD:
            return STEP_READ;
        }
    }
}

enum step catch_up_step(struct lagging *lag, struct frame **next)
{
    struct hub_channel *c = lag->channel;
    struct catch_up *cu = c->catch_up;
    *next = NULL;
    if (!c->has_history && !c->known && !lag->verified && lag->from == FROM_EVENT_ID)
        lag->from = FROM_UNKNOWN; // there is nothing that its place could be compared with
    if (lag->from == FROM_UNKNOWN)
        return STEP_GAP;
    if (!event_id_is_zero(lag->forked))
        return c->has_history ? step_forked(lag, next) : STEP_GAP;
    if (event_id_equal(lag->at, c->last_id))
        return STEP_LIVE;
    if (!c->has_history && lag->from == FROM_EARLIEST)
        return STEP_LIVE;
    enum replay_result result = replay_next(&cu->replay, lag->at, next);
    if (!c->has_history && result != REPLAY_NEXT)
        return STEP_GAP; // what is remembered of live events is all there is
    if (result == REPLAY_MISSING && lag->from == FROM_EARLIEST)
        lag->at = (*next)->prev;
    lag->from = result == REPLAY_UNREAD ? lag->from : FROM_EVENT_ID;
    switch (result) {
    case REPLAY_GAP:
        return STEP_GAP;
    case REPLAY_MISSING:
        if (is_forked(lag, (*next)->prev))
            return enter_forked(lag);
        return event_id_equal(lag->at, (*next)->prev) ? STEP_FRAME : STEP_GAP;
    case REPLAY_NEXT:
        return STEP_FRAME;
    case REPLAY_END:
        return cu->page > lag->since ? step_at_end(cu, lag, next) : STEP_READ;
    case REPLAY_LOST:
        if (cu->page <= lag->since)
            return STEP_READ;
        return is_forked(lag, c->last_id) ? enter_forked(lag) : STEP_GAP;
    case REPLAY_UNREAD:
        break;
    }
    return STEP_READ;
}
