// ASK redirection: while a slot of a cluster moves, its owner answers "ASK 3999 10.0.0.1:6381" for keys that
// are not (or no longer) there (cluster specification, "ASK redirection"). A move takes milliseconds or,
// where it got stuck, for ever; so a second queue asks at the named node for as long as there is something to
// ask, and sends ASKING before each command. The bus thread's alone.
#pragma once

#include <ev.h>

#include "gateway/redis/commands.h"

// Part of the queue of the owner.
struct ask_redirect {
    struct commands *queue; // at the other node; NULL: none
    struct redis_url url;   // of that node
    ev_timer check;         // whether the redirection is still of use
};

// No redirection yet.
void ask_redirect_init(struct commands *owner);
// Commands that the other node has not answered go back to `owner`.
void ask_redirect_close(struct commands *owner);

// The queue at the node that `error` (an ASK) names, to hand the command to. NULL: ask the owner again later.
struct commands *ask_redirect_at(struct commands *owner, const char *error);
