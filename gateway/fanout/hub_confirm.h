// Redis has said how far a channel's history has got: with its confirmation of the subscription, or asked once more later
// (hub_tail.h). What the channel's streams have missed is known from then on. For hub.c alone. The hub's thread.
#pragma once

#include "gateway/fanout/hub_channel.h"

void hub_confirm_take(struct hub *h, struct hub_channel *c, const struct history_tail *tail);
// The same with a confirmation that hub_tail_hold has kept back, if there is one that is to be taken now (hub_tail_release).
void hub_confirm_take_held(struct hub *h, struct hub_channel *c, bool at_once);
