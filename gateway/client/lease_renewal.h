// Renews the leases of all streams of a loop, well before they expire. One thread.
#pragma once

#include "gateway/client/conn.h"

// Redis may have lost leases: renews all of them now.
void lease_renewal_begin(struct client_context *cx);
// Called by each tick of the loop.
void lease_renewal_tick(struct client_context *cx);
// An answer to a renewal, or one that nobody asked for: a stream ends whose lease was given to a newer one.
void lease_renewed(struct client_context *cx, const struct question *answer);
