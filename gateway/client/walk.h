// A walk over all connections of a loop that asks Redis about each, a bounded number at a time, and begins anew where
// Redis did not answer. One thread.
#pragma once

#include "gateway/client/conn.h"

struct walk_kind {
    // Asks about `c`, by questions with that `walk`. Returns how many (0 or 1), or -1 where there was no memory.
    int (*ask)(struct client_context *cx, const struct conn *c, uint32_t walk);
    uint32_t every_ms; // from the end of a walk to the next; 0: there is none
};

void walk_begin(struct client_context *cx, struct walk *w, const struct walk_kind *kind);
// An answer to a question of a walk.
void walk_answered(struct client_context *cx, struct walk *w, const struct walk_kind *kind,
                   const struct question *answer);
// Begins a walk that is due. Called by each tick of the loop.
void walk_tick(struct client_context *cx, struct walk *w, const struct walk_kind *kind);
