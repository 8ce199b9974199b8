// While a slot of a cluster moves, keys that are not (or not any more) at its owner are asked for where it
// moves to: the owner says "ASK 3999 10.0.0.1:6381". A move takes milliseconds, or, where it got stuck, for
// ever. So a reader, the guest, goes there for as long as there is something to ask; its commands follow
// ASKING. The bus thread's alone.
#pragma once

#include <ev.h>

#include "gateway/redis/history.h"

struct history_guest;

// Nobody is sent anywhere yet. `settings` are those of `host`, copied. NULL when out of memory.
struct history_guest *history_guest_create(struct ev_loop *loop, const struct history_settings *settings,
                                           struct history *host);
// What the guest has not answered goes back to its host.
void history_guest_destroy(struct history_guest *g); // may be NULL

// The guest at the node that `error` names, to hand the request to. NULL: wait, and ask the host again.
struct history *history_guest_at(struct history_guest *g, const char *error);
