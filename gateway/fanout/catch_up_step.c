#include "gateway/fanout/catch_up_step.h"

#include "gateway/fanout/catch_up_pages.h"

static enum step step_at_end(struct catch_up *cu, const struct behind *b, struct frame **next)
{
    if (!position_before(b->at, cu->channel->position)) {
        cu->awaits_live = true; // it comes from a gateway that was quicker
        return STEP_AWAIT;
    }
    if (!position_before(b->at, cu->asked_position))
        return STEP_READ; // the page had all that there was: what came since is in the next one
    cu->awaits_redis = true;
    *next = replay_ring_first(&cu->replay);
    return cu->short_pages < SHORT_PAGES_MAX ? STEP_AWAIT : STEP_GAP;
}

// A failover has lost the event that `b` saw last, and the new master has others of its offset and above:
// with earlier times, since its clock is behind, or since the old master went on for a while. So they do not
// come after the place of `b`, and still it cannot have seen them. `kept`: the newest place that is there
// before what comes after it by time.
static bool is_forked(const struct behind *b, struct position kept)
{
    return b->from == FROM_POSITION && position_before(kept, b->at) && kept.offset >= b->at.offset;
}

static enum step enter_forked(struct behind *b)
{
    b->forked = b->at;
    b->at = (struct position){0};
    b->since = b->channel->catch_up->pages;
    return STEP_READ;
}

// From the beginning of what is kept to the first event of an offset that `b` has not had from this history.
static enum step step_forked(struct behind *b, struct frame **next)
{
    const struct replay *replay = &b->channel->catch_up->replay;
    for (;;) {
        switch (replay_next(replay, b->at, next)) {
        case REPLAY_NEXT:
        case REPLAY_GAP:
            if ((*next)->at.offset >= b->forked.offset)
                return STEP_GAP;
            b->at = (*next)->at;
            break;
        case REPLAY_END:
        case REPLAY_LOST:
            *next = NULL;
            return b->channel->catch_up->page > b->since ? STEP_GAP : STEP_READ;
        case REPLAY_UNREAD:
            return STEP_READ;
        }
    }
}

enum step catch_up_step(struct behind *b, struct frame **next)
{
    struct hub_channel *c = b->channel;
    struct catch_up *cu = c->catch_up;
    *next = NULL;
    if (!c->has_history && !c->known && !b->verified && b->from == FROM_POSITION)
        b->from = FROM_UNKNOWN; // there is nothing that its place could be compared with
    if (b->from == FROM_UNKNOWN)
        return STEP_GAP;
    if (!position_is_zero(b->forked))
        return c->has_history ? step_forked(b, next) : STEP_GAP;
    if (position_equal(b->at, c->position))
        return STEP_LIVE;
    if (!c->has_history && b->from == FROM_EARLIEST)
        return STEP_LIVE;
    enum replay_result result = replay_next(&cu->replay, b->at, next);
    if (!c->has_history && result != REPLAY_NEXT)
        return STEP_GAP; // what is remembered of live events is all there is
    if (result == REPLAY_GAP && b->from == FROM_EARLIEST)
        b->at = (*next)->prev;
    b->from = result == REPLAY_UNREAD ? b->from : FROM_POSITION;
    switch (result) {
    case REPLAY_GAP:
        if (is_forked(b, (*next)->prev))
            return enter_forked(b);
        return position_equal(b->at, (*next)->prev) ? STEP_FRAME : STEP_GAP;
    case REPLAY_NEXT:
        return STEP_FRAME;
    case REPLAY_END:
        return cu->page > b->since ? step_at_end(cu, b, next) : STEP_READ;
    case REPLAY_LOST:
        if (cu->page <= b->since)
            return STEP_READ;
        return is_forked(b, c->position) ? enter_forked(b) : STEP_GAP;
    case REPLAY_UNREAD:
        break;
    }
    return STEP_READ;
}
