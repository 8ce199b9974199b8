// Bounds a client that reads more slowly than its events come: it loses its own events, or its own stream,
// and delays no other client.
#pragma once

#include "gateway/client/conn.h"

// After something was queued for a stream whose socket is full: over --queue-limit, --slow-client decides.
// True where the stream has lost what was queued and is to be ended.
bool slow_client_check(struct conn *c);

// Once per heartbeat interval while something waits: a client that has taken next to nothing since the last
// time is ended, or it could hold its queue for ever.
void slow_client_check_progress(struct conn *c);
// The loop was late, so that queued bytes could not be written: progress is measured anew from now on.
void slow_client_excuse(struct conn *c);
