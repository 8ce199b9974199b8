// Asks Redis once more how far a channel's history has got, for a stream that must have all that was published before it
// came (live=0): a message may still be on its way to the hub. For hub.c alone. The hub's thread.
#pragma once

#include "gateway/fanout/hub_channel.h"

// The stream of `s` lags, and waits for the answer to a question that is asked from now on. False where it could not be asked.
bool hub_tail_want(struct hub *h, const struct subscription *s);
// The answer of that number has come. Where the next question cannot be posted the streams are refused, as those are
// whose channels are not confirmed.
void hub_tail_take(struct hub *h, struct hub_channel *c, uint64_t subscribe_seq);
