#include "gateway/client/conn_tls.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/container_of.h"
#include "common/log.h"
#include "gateway/client/conn_account.h"

static struct conn_tls *conn_tls_of(const struct conn *c)
{
    assert(c->is_tls);
    return (struct conn_tls *)container_of(c, struct conn_tls, conn);
}

static ssize_t on_send(void *ctx, const char *bytes, size_t len)
{
    struct conn *c = ctx;
    ssize_t n;
    do {
        n = send(c->io.fd, bytes, len, MSG_NOSIGNAL);
        counter_add(conn_context(c)->counters, COUNTER_WRITES, 1);
    } while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

static void count_failure(struct conn *c, enum tls_failure why)
{
    static const enum counter counters[] = {
#define X(symbol) [TLS_FAILURE_##symbol] = COUNTER_TLS_FAILED_##symbol,
        TLS_FAILURES(X)
#undef X
    };
    counter_add(conn_context(c)->counters, counters[why], 1);
}

// Counts the memory that the connection takes now.
static void count_bytes(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    struct conn_tls *tls = conn_tls_of(c);
    size_t bytes = tls->stream ? tls_stream_bytes(tls->stream) : 0;
    assert(cx->tls_bytes >= tls->counted);
    cx->tls_bytes += bytes - tls->counted;
    tls->counted = (uint32_t)bytes;
}

static void handshake_done(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    bool resumed = tls_stream_is_resumed(conn_tls_of(c)->stream);
    counter_add(cx->counters, resumed ? COUNTER_TLS_RESUMED : COUNTER_TLS_FULL, 1);
    conn_set_state(c, CONN_HEAD);
}

static void handshake_failed(struct conn *c)
{
    const struct tls_stream *t = conn_tls_of(c)->stream;
    char id[CONN_ID_TEXT];
    count_failure(c, tls_stream_failure(t));
    conn_id_print(c, id);
    log_debug("tls", "the handshake of connection %s failed: %s", id, tls_stream_error(t));
    conn_close(c, CLOSE_HANDSHAKE_FAILED);
}

bool conn_tls_handshake(struct conn *c, const char *bytes, size_t len)
{
    struct client_context *cx = conn_context(c);
    struct conn_tls *tls = conn_tls_of(c);
    uint64_t began_ns = clock_monotonic_ns();
    assert(c->state == CONN_HANDSHAKE);
    if (!tls->stream) {
        if (!cx->crypt)
            cx->crypt = tls_crypt_create();
        tls->stream = cx->crypt ? tls_stream_create(cx->settings->tls, cx->crypt, on_send, c) : NULL;
        if (!tls->stream) {
            conn_close(c, CLOSE_OUT_OF_MEMORY);
            return false;
        }
    }
    tls_stream_feed(tls->stream, bytes, len);
    ssize_t result = tls_stream_handshake(tls->stream);
    count_bytes(c);
    cx->handshakes.spent_ns += clock_monotonic_ns() - began_ns;
    if (result == 0)
        handshake_done(c);
    else if (result != TRANSPORT_WAIT_READ)
        handshake_failed(c);
    return result == 0;
}

void conn_tls_feed(struct conn *c, const char *bytes, size_t len)
{
    tls_stream_feed(conn_tls_of(c)->stream, bytes, len);
}

size_t conn_tls_read(struct conn *c, char *bytes, size_t size)
{
    ssize_t n = tls_stream_read(conn_tls_of(c)->stream, bytes, size);
    if (n < 0 && n != TRANSPORT_WAIT_READ)
        conn_close(c, n == TLS_TOO_LONG ? CLOSE_NOISY : CLOSE_CLIENT_GONE);
    return n > 0 ? (size_t)n : 0;
}

void conn_tls_end_feed(struct conn *c)
{
    struct conn_tls *tls = conn_tls_of(c);
    if (tls->stream)
        tls_stream_feed(tls->stream, NULL, 0);
    count_bytes(c);
}

void conn_tls_give_up(struct conn *c)
{
    assert(c->state == CONN_HANDSHAKE && !conn_tls_of(c)->stream);
    counter_add(conn_context(c)->counters, COUNTER_TLS_FAILED_PLAIN_HTTP, 1);
}

void conn_tls_count_timeout(struct conn *c)
{
    if (conn_tls_of(c)->stream)
        counter_add(conn_context(c)->counters, COUNTER_TLS_FAILED_TIMEOUT, 1);
}

void conn_tls_count_gone(struct conn *c)
{
    if (conn_tls_of(c)->stream)
        counter_add(conn_context(c)->counters, COUNTER_TLS_FAILED_GONE, 1);
}

// One record of several pieces: a record each would cost a client more bytes than most events have.
static ssize_t write_gathered(struct tls_stream *t, const struct iovec *iov, int count)
{
    char bytes[TLS_SENT_RECORD_MAX];
    size_t len = 0;
    for (int i = 0; i < count && len < sizeof bytes; i++) {
        size_t room = sizeof bytes - len, n = iov[i].iov_len < room ? iov[i].iov_len : room;
        memcpy(bytes + len, iov[i].iov_base, n);
        len += n;
    }
    return tls_stream_write(t, bytes, len);
}

// -1, with errno: that of the socket, or of none where TLS gave the connection up.
static int lost(int failure)
{
    errno = failure ? failure : ECONNABORTED;
    return -1;
}

ssize_t conn_tls_write(struct conn *c, const struct iovec *iov, int count)
{
    struct tls_stream *t = conn_tls_of(c)->stream;
    int flushed = conn_tls_flush(c);
    if (flushed <= 0)
        return flushed < 0 ? -1 : lost(EAGAIN);
    errno = 0;
    ssize_t n = iov->iov_len >= TLS_SENT_RECORD_MAX || count == 1
                    ? tls_stream_write(t, iov->iov_base, iov->iov_len)
                    : write_gathered(t, iov, count);
    count_bytes(c);
    return n > 0 ? n : lost(errno);
}

int conn_tls_flush(struct conn *c)
{
    struct tls_stream *t = conn_tls_of(c)->stream;
    errno = 0;
    ssize_t result = t ? tls_stream_flush(t) : 0;
    count_bytes(c);
    return result == 0 ? 1 : result == TRANSPORT_WAIT_WRITE ? 0 : lost(errno);
}

int conn_tls_shutdown(struct conn *c)
{
    struct tls_stream *t = conn_tls_of(c)->stream;
    errno = 0;
    if (t && !tls_stream_shutdown(t))
        return lost(errno);
    return conn_tls_flush(c);
}

size_t conn_tls_waiting(const struct conn *c)
{
    const struct tls_stream *t = conn_tls_of(c)->stream;
    return t ? tls_stream_waiting(t) : 0;
}

void conn_tls_destroy(struct conn *c)
{
    struct conn_tls *tls = conn_tls_of(c);
    tls_stream_destroy(tls->stream);
    tls->stream = NULL;
    count_bytes(c);
}
