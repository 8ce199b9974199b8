#include "gateway/fanout/catch_up_step.h"

#include <assert.h>

#include "gateway/fanout/catch_up_pages.h"

#define FORKS_MAX 8u // forks of one stream before it has caught up

static enum step step_at_end(struct lagging *lag, struct frame **next)
{
    struct catch_up *cu = lag->channel->catch_up;
    if (!event_id_before(lag->at, lag->channel->last_id)) {
        cu->awaits_live = true; // it resumed after an event that another gateway received first
        return STEP_AWAIT;
    }
    if (!event_id_before(lag->at, cu->asked_last_id))
        return STEP_READ;
    cu->awaits_redis = true;
    *next = replay_ring_first(&cu->replay);
    if (cu->short_pages < SHORT_PAGES_MAX)
        return STEP_AWAIT;
    // The history up to the channel's last_id has expired before the client read its position, and its data.
    bool was_empty = event_id_is_zero(lag->at) && lag->channel->last_id.ms <= lag->empty_at;
    return was_empty ? STEP_LIVE : STEP_GAP;
}

// True where a failover has lost the event that `lag` had last, and the new master has other events with its
// offset and above. Their times may be earlier, since the new master's clock is behind, or since the old
// master went on for a while: then they do not come after `at`, and still the stream cannot have had them.
// `kept`: the newest event of the history with an id below `at`.
//
// Called only where `at` is not in the history. An event that was read from the history is in it, so a fork
// is followed by another one only after another failover; FORKS_MAX bounds the reads of a history that is
// written anew all the time.
static bool is_forked(const struct lagging *lag, struct event_id kept)
{
    return lag->mode == LAGGING_AT && lag->forks < FORKS_MAX && event_id_before(kept, lag->at) &&
           kept.offset >= lag->at.offset;
}

static enum step enter_forked(struct lagging *lag)
{
    lag->mode = LAGGING_FORKED;
    lag->forks++;
    lag->forked = lag->at;
    lag->at = (struct event_id){0};
    lag->since = lag->channel->catch_up->pages;
    return STEP_READ;
}

static enum step step_forked(struct lagging *lag, struct frame **next)
{
    const struct catch_up *cu = lag->channel->catch_up;
    for (;;) {
        switch (replay_next(&cu->replay, lag->at, next)) {
        case REPLAY_NEXT:
        case REPLAY_GAP:
        case REPLAY_MISSING:
            if ((*next)->at.offset >= lag->forked.offset)
                return STEP_GAP;
            assert(event_id_before(lag->at, (*next)->at));
            lag->at = (*next)->at;
            break;
        case REPLAY_END:
        case REPLAY_LOST:
            *next = NULL;
            return cu->page > lag->since ? STEP_GAP : STEP_READ;
        case REPLAY_UNREAD:
            return STEP_READ;
        }
    }
}

// For a stream that is to begin with the newest snapshot: all that was before it is gone, so it is the first event of the
// history. STEP_LIVE where it is not kept, and the channel is taken for one without a snapshot from now on.
static enum step step_to_snapshot(const struct lagging *lag, struct frame **next)
{
    const struct catch_up *cu = lag->channel->catch_up;
    enum replay_result result = replay_next(&cu->replay, (struct event_id){0}, next);
    if (*next && (*next)->is_snapshot)
        return STEP_FRAME;
    *next = NULL;
    if (result == REPLAY_UNREAD || cu->page <= lag->since)
        return STEP_READ;
    lag->channel->has_snapshot = false;
    return STEP_LIVE;
}

// Whether `next` is a snapshot that stands for all that the stream has missed. Not where a failover or a restart has lost the
// event that the stream had last: then one of the same life of the history comes with its offset or a lower one, and what the
// client has had is not in the history.
static bool is_healed(const struct lagging *lag, const struct frame *next)
{
    return next->is_snapshot && (next->at.offset > lag->at.offset || next->epoch > lag->at.ms);
}

// The step that follows from the result of replay_next.
static enum step step_by_replay(struct lagging *lag, enum replay_result result, struct frame **next)
{
    const struct catch_up *cu = lag->channel->catch_up;
    bool is_asked_since = cu->page > lag->since;
    switch (result) {
    case REPLAY_NEXT:
        return STEP_FRAME;
    case REPLAY_GAP:
        return (*next)->is_snapshot ? STEP_FRAME : STEP_GAP;
    case REPLAY_MISSING:
        if (is_forked(lag, (*next)->prev))
            return enter_forked(lag);
        return is_healed(lag, *next) || event_id_equal(lag->at, (*next)->prev) ? STEP_FRAME : STEP_GAP;
    case REPLAY_END:
        return is_asked_since ? step_at_end(lag, next) : STEP_READ;
    case REPLAY_LOST:
        if (!is_asked_since)
            return STEP_READ;
        return is_forked(lag, lag->channel->last_id) ? enter_forked(lag) : STEP_GAP;
    case REPLAY_UNREAD:
        break;
    }
    return STEP_READ;
}

enum step catch_up_step(struct lagging *lag, struct frame **next)
{
    const struct hub_channel *c = lag->channel;
    bool has_history = channel_has_history(c);
    *next = NULL;
    if (!has_history && !channel_knows_last_id(c) && lag->start == START_PENDING && lag->mode == LAGGING_AT)
        lag->mode = LAGGING_LOST; // there is no last_id to compare `at` with
    if (has_history && c->has_snapshot &&
        (lag->mode == LAGGING_FRESH || (lag->mode == LAGGING_LOST && event_id_is_zero(lag->at)))) {
        enum step step = step_to_snapshot(lag, next);
        // The stream may get its first event a little later: by then the snapshot may be gone, which is a gap.
        if (step == STEP_FRAME && lag->mode == LAGGING_FRESH)
            lag->mode = LAGGING_AT;
        if (step != STEP_LIVE)
            return step;
    }
    if (lag->mode == LAGGING_FRESH) { // likewise: it gets all that comes from now on
        lag->mode = LAGGING_AT;
        lag->at = c->last_id;
    }
    if (lag->mode == LAGGING_LOST)
        return STEP_GAP;
    if (lag->mode == LAGGING_FORKED)
        return has_history ? step_forked(lag, next) : STEP_GAP;
    if (event_id_equal(lag->at, c->last_id) || (!has_history && lag->mode == LAGGING_EARLIEST))
        return STEP_LIVE;
    enum replay_result result = replay_next(&c->catch_up->replay, lag->at, next);
    if (!has_history && result != REPLAY_NEXT)
        return STEP_GAP; // there is no history to read: the ring of live events is all
    if (result == REPLAY_MISSING && lag->mode == LAGGING_EARLIEST)
        lag->at = (*next)->prev;
    if (result != REPLAY_UNREAD)
        lag->mode = LAGGING_AT;
    return step_by_replay(lag, result, next);
}
