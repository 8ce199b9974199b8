// ASK redirection of history reads: while a slot of a cluster moves, its owner answers "ASK 3999 10.0.0.1:6381"
// for keys that are not (or no longer) there (cluster specification, "ASK redirection"). A move takes
// milliseconds or, where it got stuck, for ever; so a second history reads at the named node for as long as
// there is something to ask, and sends ASKING before each command. The bus thread's alone.
#pragma once

#include <ev.h>

#include "gateway/redis/history.h"

struct history_ask_redirect;

// No redirection yet. `settings` are those of `redirected_from`, copied. NULL when out of memory.
struct history_ask_redirect *history_ask_redirect_create(struct ev_loop *loop,
                                                         const struct history_settings *settings,
                                                         struct history *redirected_from);
// What the other node has not answered goes back to the history that was redirected.
void history_ask_redirect_destroy(struct history_ask_redirect *g); // may be NULL

// The history at the node that `error` (an ASK) names, to hand the request to. NULL: retry at the owner later.
struct history *history_ask_redirect_at(struct history_ask_redirect *g, const char *error);
