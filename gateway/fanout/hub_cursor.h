// How far a subscriber has got in its channels: the cursor that its client comes back with, and what gateway:open says of each
// channel. The hub's thread.
#pragma once

#include "gateway/fanout/subscriber.h"

// Writes the cursor that the client is to keep as its last event id to `out`, which has room for CURSOR_MAX
// bytes; returns the length. 0 where no channel of `s` has had a place here: the client keeps the id that it
// has, if any.
size_t hub_cursor(const struct subscriber *s, char *out);
// True where a channel of `s` has had a durable event.
bool hub_is_durable(const struct subscriber *s);

// How a stream begins in a channel: what gateway:open says.
enum hub_standing { HUB_FRESH, HUB_RESUMED, HUB_GAP };
enum hub_standing hub_standing(const struct subscriber *s, size_t i);
// True where `s` begins now in a channel that has history: its client has to be given an id. `even_empty`: a
// history without an event counts, too.
bool hub_is_new_to_history(const struct subscriber *s, bool even_empty);
