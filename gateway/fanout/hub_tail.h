// Asks Redis once more how far a channel's history has got, for a stream that must have all that was published before it
// came (live=0), and for one that comes to a channel that has ended: a message may still be on its way to the hub. For hub.c
// alone. The hub's thread.
#pragma once

#include "gateway/fanout/hub_channel.h"

// The stream of `s` lags, and waits for the answer to a question that is asked from now on. False where it could not be asked.
bool hub_tail_want(struct hub *h, const struct subscription *s);
// The answer of that number has come. Where the next question cannot be posted the streams are refused, as those are
// whose channels are not confirmed.
void hub_tail_take(struct hub *h, struct hub_channel *c, uint64_t subscribe_seq);

// A confirmation has come, which takes the place of one that is held. True where it is held itself: it answers such a
// question, and names an event of this life of the history whose message has not come, while no loss is known. Most likely
// that message is on its way, and streams with a slot need not read what they are about to be given. Where it does not come
// (the event was published by XADD alone, or its message was lost) the confirmation counts a little later.
bool hub_tail_hold(const struct hub *h, struct hub_channel *c, const struct history_tail *tail);
// True where a confirmation is held and is to be taken now, which is moved to `tail`: the event has come, the time is over,
// or it is to be taken `at_once`, since what follows must not come before it.
bool hub_tail_release(const struct hub *h, struct hub_channel *c, bool at_once, struct history_tail *tail);
