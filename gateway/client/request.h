// Decides what a request gets: the stream, a page, or an error.
#pragma once

#include "gateway/client/conn.h"

// Reads a request head from `bytes` and acts on it; may change the bytes and lower `*len` (http_request.h).
// Returns the bytes used, 0 where more are needed. Afterwards the state of the connection tells whether
// another request may follow (HEAD).
size_t request_read(struct conn *c, char *bytes, size_t *len, struct http_scan *scan);

// The row of "*", the server itself, which OPTIONS alone may name (RFC 9110 section 9.3.7): the methods of all
// paths.
struct route request_server_route(void);
// The row of the stream's path.
struct route request_stream_route(const struct client_settings *settings);

// The deadline for the head has passed.
void request_timeout(struct conn *c);
