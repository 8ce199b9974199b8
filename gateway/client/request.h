// What to do with a request: the stream, a page, or an error.
#pragma once

#include "gateway/client/conn.h"

// Reads a request head from `bytes` and acts on it; may change them and lower `*len` (http_request.h). Returns the bytes
// used, 0 where more are needed.
// Afterwards the state of the connection tells whether another request may follow (HEAD).
size_t request_read(struct conn *c, char *bytes, size_t *len, struct http_scan *scan);

// The deadline for the head has passed.
void request_timeout(struct conn *c);
// A refusal that may pass (INTERFACE.md, "Refusals"): `why` is a short static text.
void request_refuse(struct conn *c, const struct http_request *req, const char *why);
