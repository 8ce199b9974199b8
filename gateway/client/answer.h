// Whole answers that end a connection: problems, refusals, and heads alone.
#pragma once

#include "gateway/client/conn.h"

#define DRAINING "This gateway is draining; another one will serve you."
#define BUSY "This gateway is too busy; try again."
#define TOO_FAST "New streams come too fast from this address."

// Queues `len` bytes that stand in the context's scratch, and finishes `c`. A length of 0 means that the
// answer did not fit into the scratch: then the connection is closed.
void answer_scratch(struct conn *c, size_t len, enum close_reason reason);
// A final error. `req` may be NULL (no whole head), and so may `detail`. 405 has a function of its own.
void answer_problem(struct conn *c, const struct http_request *req, int status, const char *detail);
// 405: the path of `r` has other methods.
void answer_not_allowed(struct conn *c, const struct http_request *req, const struct route *r);
// 204: all channels of the stream have ended, and the client has had all their events.
void answer_ended(struct conn *c, const struct http_request *req);
// A refusal that may pass (docs/protocol.md, "Refusals"): `why` is one short sentence. With --refusal status it
// is 503; for the cap of one user or address 429, since another gateway would not help.
void answer_refusal(struct conn *c, const struct http_request *req, const char *why);
void answer_refusal_of_client(struct conn *c, const struct http_request *req, const char *why);
// The same for a request that is not for a stream: `status` (503 or 429) with Retry-After, whatever --refusal is.
void answer_later(struct conn *c, const struct http_request *req, int status, const char *why);
