// Decides the next step of a lagging stream. Sends nothing.
//
// `at` is the last event that the stream has had. The first row that applies counts:
//
//      the stream                                                                  step
//      LAGGING_FRESH, LAGGING_LOST without `at`, and the channel has a snapshot    FRAME or READ
//      LAGGING_FRESH: `at` becomes the channel's last_id                           LIVE
//      LAGGING_LOST                                                                GAP, up to the channel's last_id
//      LAGGING_FORKED                                                              see below
//      `at` is the channel's last_id                                               LIVE
//      no history, LAGGING_EARLIEST                                                LIVE
//      no history, and the replay does not have what follows `at`                  GAP
//
//      replay_next(at)    and then                                                 step
//      NEXT                                                                        FRAME
//      GAP                `next` is a snapshot                                     FRAME
//      GAP                                                                         GAP, up to `next`
//      MISSING, LOST      a failover lost `at` (is_forked)                         READ: it becomes LAGGING_FORKED
//      MISSING            LAGGING_EARLIEST: the first that is kept                 FRAME
//      MISSING            `next` is a snapshot, and `at` is not lost (is_healed)   FRAME
//      MISSING                                                                     GAP, up to `next`
//      END, LOST          the page was asked for before the stream got to `at`     READ
//      LOST                                                                        GAP, up to the channel's last_id
//      END                `at` is beyond the channel's last_id                     AWAIT: awaits_live
//      END                the page was asked for before the newest event came      READ
//      END                fewer than SHORT_PAGES_MAX pages were as short           AWAIT: awaits_redis
//      END                the channel had no history after its last_id (empty_at)  LIVE
//      END                                                                         GAP, up to the ring
//      UNREAD                                                                      READ
//
// A snapshot stands for all events before it, so what is gone of them is no gap. To a stream whose last event a failover
// has lost it is one all the same: the client has had something that is not in the history.
//
// A stream that is LAGGING_FORKED looks through the history from its beginning, and skips what has a lower
// offset than the event that it had last: `at` moves within this function. The first event that is not
// skipped comes with a GAP.
#pragma once

#include "gateway/fanout/hub_channel.h"

enum step {
    STEP_FRAME,
    STEP_GAP,   // up to where `next` follows, or to the channel's last_id
    STEP_LIVE,  // it has caught up
    STEP_READ,  // it needs the page that begins at `at`
    STEP_AWAIT, // nothing now
};

// `next` gets the event that belongs to the step (borrowed), or NULL. Changes of `lag` its mode, and `at` as
// said above; and of its channel has_snapshot, where the first event that is kept turns out to be none.
enum step catch_up_step(struct lagging *lag, struct frame **next);
