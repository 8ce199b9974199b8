// Whole answers that end a connection: problems, refusals, and heads alone.
#pragma once

#include "gateway/client/conn.h"

#define DRAINING "This gateway is draining; another one will serve you."
#define ANSWER_METHODS "GET, HEAD, OPTIONS" // of the stream's path, for Allow

// Queues `len` bytes that stand in the context's scratch, and finishes `c`. A length of 0 says that they did
// not fit, which closes it.
void answer_scratch(struct conn *c, size_t len, enum close_reason reason);
// A final error. `req` may be NULL (no whole head), and so may `detail`.
void answer_problem(struct conn *c, const struct http_request *req, int status, const char *detail);
// A refusal that may pass (docs/protocol.md, "Refusals"): `why` is one short sentence.
void answer_refusal(struct conn *c, const struct http_request *req, const char *why);
