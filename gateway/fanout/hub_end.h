// The end of a channel (docs/protocol.md, "The end of a channel"): its streams get the last event and then gateway:end, a
// frame for on_frame whose is_end is set. A stream that lags is told when it has caught up. The hub's thread.
#pragma once

#include "gateway/fanout/subscriber.h"

struct hub;

// True where all channels of `s` have ended, and `s` has had all their events: nothing will come.
bool hub_end_is_reached(const struct subscriber *s);
// True where, besides, `s` was told of the end of each channel, if its stream was open then.
bool hub_end_is_told(const struct subscriber *s);
// `s` has just been opened: tells it of each channel that has ended.
void hub_end_tell_opened(struct hub *h, struct subscriber *s);

// For hub.c and catch_up.c: tell the streams with a slot in the channel, or one of them. No effect where the channel has
// not ended.
void hub_end_tell(struct hub *h, struct hub_channel *c);
void hub_end_tell_one(struct hub *h, struct hub_channel *c, struct subscriber *s);
// For catch_up.c: `s` lags, and was given the event `at`, with which an earlier life of the channel, `epoch`, has ended.
void hub_end_tell_past(struct hub *h, const struct hub_channel *c, struct event_id at, uint64_t epoch,
                       struct subscriber *s);
