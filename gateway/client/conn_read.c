#include "gateway/client/conn_read.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/client/conn_proxy.h"
#include "gateway/client/request.h"

// Bytes that the client of a stream may send, though nothing is expected of it: after more the stream is
// ended, so that the gateway does not read for ever.
#define NOISE_MAX 65536u

static void start_head_deadline(struct conn *c)
{
    conn_set_deadline(c, conn_context(c)->settings->head_timeout_ms);
}

// Requests one after another, while the connection is one that may send another. Returns the bytes used; may
// lower `*len` as http_request_parse does.
static size_t take_requests(struct conn *c, char *bytes, size_t *len, struct http_scan *scan)
{
    size_t used = 0;
    while (c->state == CONN_HEAD && used < *len) {
        size_t rest = *len - used, n = request_read(c, bytes + used, &rest, scan);
        *len = used + rest;
        if (n == 0)
            break;
        used += n;
        *scan = (struct http_scan){0};
    }
    return used;
}

// Keeps what has come of a head for the next read. False when out of memory.
static bool head_keep(struct conn *c, const char *bytes, size_t len, const struct http_scan *scan)
{
    struct conn_head *head = calloc(1, sizeof *head);
    if (!head || !buf_append(&head->bytes, bytes, len)) {
        free(head);
        return false;
    }
    head->scan = *scan;
    c->head = head;
    return true;
}

// The first bytes of a head.
static void begin_head(struct conn *c, char *bytes, size_t len)
{
    struct http_scan scan = {0};
    // From here on runs the deadline for the whole head: further bytes do not extend it.
    start_head_deadline(c);
    size_t used = take_requests(c, bytes, &len, &scan);
    if (c->state != CONN_HEAD || used == len)
        return;
    if (used > 0)
        start_head_deadline(c);
    if (!head_keep(c, bytes + used, len - used, &scan))
        conn_close(c, CLOSE_OUT_OF_MEMORY);
}

// More of a head: a byte is copied once, however small the pieces are.
static void go_on_with_head(struct conn *c, char *bytes, size_t len)
{
    struct conn_head *head = c->head;
    if (!buf_append(&head->bytes, bytes, len)) {
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    c->head = NULL; // the state may be left while the request is read from it
    size_t used = take_requests(c, head->bytes.data, &head->bytes.len, &head->scan);
    if (used == 0 && c->state == CONN_HEAD) {
        c->head = head;
        return;
    }
    if (c->state == CONN_HEAD && used < head->bytes.len) // the rest is less than one read
        begin_head(c, head->bytes.data + used, head->bytes.len - used);
    conn_head_free(head);
}

void conn_read(struct conn *c)
{
    if (c->state == CONN_PROXY)
        conn_proxy_read(c);
    if (c->state == CONN_PROXY || c->state == CONN_CLOSED)
        return;
    char bytes[HTTP_HEAD_MAX];
    ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c, n < 0 && conn_is_lost(errno) ? CLOSE_REAPED : CLOSE_CLIENT_GONE);
    } else if (c->state == CONN_HEAD) {
        (c->head ? go_on_with_head : begin_head)(c, bytes, (size_t)n);
    } else if (c->state == CONN_STREAM) {
        c->discarded += (uint64_t)n;
        if (c->discarded > NOISE_MAX)
            conn_close(c, CLOSE_NOISY);
    }
    // In other states it is thrown away: a deadline bounds for how long.
}
