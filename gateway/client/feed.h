// A feed: an answer of the process itself that goes on, as an event stream without channels. Its owner sends whole
// frames now and then to all feeds of a loop; a client gets the next one when it has taken the one before, and one
// that takes none for FEED_TIMEOUT_MS is closed: so a single frame waits for a client, however slow it is. A feed
// counts as a connection without a stream. The loop's thread.
#pragma once

#include "gateway/client/conn.h"

#define FEED_TIMEOUT_MS 10000u

// Answers `req` with the head of an event stream, and `first` (taken; NULL: out of memory, and the connection ends).
// HEAD gets the head alone.
void feed_begin(struct conn *c, const struct http_request *req, struct frame *first);
// Sends `f` (borrowed) to the feeds of the loop. `f` may be NULL: there was no memory for it, and the feeds miss one.
void feed_send(struct client_context *cx, struct frame *f);
// How many there are.
size_t feed_count(const struct client_context *cx);
