// ASK redirection: while a slot of a cluster moves, its owner answers "ASK 3999 10.0.0.1:6381" for keys that
// are not (or no longer) there (cluster specification, "ASK redirection"). A move takes milliseconds or,
// where it got stuck, for ever; so a second queue asks at the named node for as long as there is something to
// ask, and sends ASKING before each command. The bus thread's alone.
#pragma once

#include <ev.h>

#include "gateway/redis/commands.h"

struct ask_redirect;

// No redirection yet. `settings` are those of `redirected_from`, copied. NULL when out of memory.
struct ask_redirect *ask_redirect_create(struct ev_loop *loop, const struct commands_settings *settings,
                                         struct commands *redirected_from);
// Commands that the other node has not answered go back to the queue `redirected_from`.
void ask_redirect_destroy(struct ask_redirect *r); // may be NULL

// The queue at the node that `error` (an ASK) names, to hand the command to. NULL: ask the owner again later.
struct commands *ask_redirect_at(struct ask_redirect *r, const char *error);
