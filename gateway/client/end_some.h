// Ends streams of a loop in random order, some at a time: for a drain that is spread over time, and for moving
// streams to other gateways. One thread.
#pragma once

#include "gateway/client/conn.h"

// As client_loop_end_some.
size_t end_some_streams(struct client_context *cx, size_t n, uint64_t min_age_ms, enum close_reason reason);
