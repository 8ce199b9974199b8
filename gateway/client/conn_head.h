// The bytes so far of a request that comes in pieces, or of a PROXY header. Their memory is counted in
// client_context.head_bytes. The loop's thread.
#pragma once

#include "common/buf.h"
#include "gateway/client/client_context.h"
#include "gateway/client/http_request.h"

struct conn_head {
    struct buf bytes;
    struct http_scan scan; // of them, by http_request_parse
};

// Appends to `*head`, which is made where it is NULL. False when out of memory: nothing has changed then.
bool conn_head_append(struct client_context *cx, struct conn_head **head, const char *bytes, size_t len);
// `head` may be NULL.
void conn_head_free(struct client_context *cx, struct conn_head *head);
