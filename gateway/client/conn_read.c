#include "gateway/client/conn_read.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/log.h"
#include "gateway/client/answer.h"
#include "gateway/client/conn_account.h"
#include "gateway/client/conn_tls.h"
#include "gateway/client/handshake_queue.h"
#include "gateway/client/conn_proxy.h"
#include "gateway/client/request.h"

// Bytes that the client of a stream may send behind its request, though nothing is expected of it: after more
// the stream is ended, so that the gateway does not read for ever.
#define NOISE_MAX 4096u

static void start_head_deadline(struct conn *c)
{
    conn_set_deadline(c, client_head_ms(conn_context(c)));
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
    struct conn_head *head = NULL;
    if (!conn_head_append(conn_context(c), &head, bytes, len))
        return false;
    head->scan = *scan;
    c->head = head;
    return true;
}

// A record of a TLS handshake (RFC 8446 section 5.1).
#define TLS_HANDSHAKE_BYTE 0x16
// Before the stream is open there is no room for a sum: there the bound is one of each read, and of the time.
static void ignore_bytes(struct conn *c, size_t n)
{
    bool is_stream = c->state == CONN_STREAM;
    if (is_stream)
        c->discarded += (uint32_t)n;
    if ((is_stream ? c->discarded : n) > NOISE_MAX && c->state < CONN_FINISHING)
        conn_close(c, CLOSE_NOISY);
}

static void log_plain_port(const struct conn *c)
{
    char id[CONN_ID_TEXT];
    conn_id_print(c, id);
    log_warn("listener",
             "the client of connection %s speaks TLS to a port without TLS: it should use http://, or the "
             "gateway --tls-cert and --tls-key",
             id);
}

// What has come behind `used` bytes of requests: of the next head, which has a time of its own where it comes behind a
// request. `scan` is of it: the client may have been told to go on with its body.
static void keep_rest(struct conn *c, const char *bytes, size_t len, size_t used,
                      const struct http_scan *scan)
{
    if (c->state != CONN_HEAD)
        ignore_bytes(c, len - used);
    if (c->state != CONN_HEAD || used == len)
        return;
    if (used > 0)
        start_head_deadline(c);
    if (!head_keep(c, bytes + used, len - used, scan))
        conn_close(c, CLOSE_OUT_OF_MEMORY);
}

// The first bytes of a head.
static void begin_head(struct conn *c, char *bytes, size_t len)
{
    struct http_scan scan = {0};
    if (bytes[0] == TLS_HANDSHAKE_BYTE && !c->is_tls) // which is no request: 400
        log_plain_port(c);
    // From here on runs the deadline for the whole head: further bytes do not extend it.
    start_head_deadline(c);
    size_t used = take_requests(c, bytes, &len, &scan);
    keep_rest(c, bytes, len, used, &scan);
}

// More of a head: a byte is copied once, however small the pieces are.
static void go_on_with_head(struct conn *c, char *bytes, size_t len)
{
    struct conn_head *head = c->head;
    if (!conn_head_append(conn_context(c), &head, bytes, len)) {
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    c->head = NULL; // the state may be left while the request is read from it
    size_t used = take_requests(c, head->bytes.data, &head->bytes.len, &head->scan);
    if (used == 0 && c->state == CONN_HEAD) {
        c->head = head;
        return;
    }
    keep_rest(c, head->bytes.data, head->bytes.len, used, &head->scan);
    conn_head_free(conn_context(c), head);
}

// Plain bytes.
static void take(struct conn *c, char *bytes, size_t len)
{
    if (c->state == CONN_HEAD)
        (c->head ? go_on_with_head : begin_head)(c, bytes, len);
    else // of a connection that ends, all: a deadline bounds for how long
        ignore_bytes(c, len);
}

// The first bytes of a connection to a listener with TLS are an HTTP method.
static bool is_plain_http(const struct conn *c, const char *bytes)
{
    return c->state == CONN_HANDSHAKE && !conn_tls_is_begun(c) && bytes[0] >= 'A' && bytes[0] <= 'Z';
}

static void refuse_plain_http(struct conn *c)
{
    const struct http_request req = {0};
    conn_tls_give_up(c);
    answer_problem(c, &req, 400, "This port speaks TLS: use https:// in the place of http://.");
}

// Plain bytes that a record may have: what is more than a client may still send ends the connection when its header has
// come, so that hardly more than that is ever kept of a record.
static size_t record_max(const struct conn *c)
{
    if (c->state <= CONN_HEAD)
        return TLS_RECORD_MAX;
    size_t used = c->state == CONN_STREAM ? c->discarded : 0;
    return used < NOISE_MAX ? NOISE_MAX - used : 0;
}

static void take_encrypted(struct conn *c, const char *bytes, size_t len)
{
    char plain[TLS_RECORD_MAX];
    size_t n;
    if (c->state == CONN_FINISHING || c->state == CONN_LINGER)
        return;
    if (c->state == CONN_STREAM)
        ignore_bytes(c, 1); // records may be without bytes, such as those that change keys
    if (c->state == CONN_CLOSED)
        return;
    if (c->state != CONN_HANDSHAKE)
        conn_tls_feed(c, bytes, len);
    else if (!conn_tls_handshake(c, bytes, len))
        goto end;
    while (c->state < CONN_FINISHING && (n = conn_tls_read(c, plain, record_max(c))) > 0)
        take(c, plain, n);
end:
    conn_tls_end_feed(c);
    if (c->state != CONN_CLOSED && conn_tls_waiting(c) > 0)
        conn_flush(c);
}

static void read_end(struct conn *c, enum close_reason reason)
{
    if (c->state == CONN_HANDSHAKE)
        conn_tls_count_gone(c);
    conn_close(c, reason);
}

static void read_bytes(struct conn *c)
{
    char bytes[HTTP_HEAD_MAX];
    ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0)
        read_end(c, n < 0 && conn_is_lost(errno) ? CLOSE_REAPED : CLOSE_CLIENT_GONE);
    else if (is_plain_http(c, bytes))
        refuse_plain_http(c);
    else if (conn_tls_is_on(c))
        take_encrypted(c, bytes, (size_t)n);
    else
        take(c, bytes, (size_t)n);
}

void conn_read(struct conn *c)
{
    if (c->state == CONN_PROXY) {
        conn_proxy_read(c);
        if (c->state != CONN_HEAD) // of a handshake nothing may have come
            return;
    }
    if (c->state == CONN_HANDSHAKE)
        handshake_queue_add(c);
    else
        read_bytes(c);
}

void conn_read_handshakes(struct client_context *cx)
{
    handshake_queue_begin(cx);
    for (struct conn *c; (c = handshake_queue_next(cx));)
        read_bytes(c);
}
