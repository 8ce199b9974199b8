// TLS between a connection and its socket. A connection of a TLS listener is made as a conn_tls; what is done
// with it is the same as with a plain one, but for what stands here. On its loop's thread.
#pragma once

#include <sys/uio.h>

#include "common/tls_stream.h"
#include "gateway/client/conn.h"

struct conn_tls {
    struct conn conn; // first: freed by that pointer; conn.is_tls
    // NULL: before the first byte, and again once nothing is encrypted any more (plain HTTP, LINGER, CLOSED).
    struct tls_stream *stream;
    uint32_t counted; // of context->tls_bytes
};

// True where the bytes of this connection are encrypted, or will be.
static inline bool conn_tls_is_on(const struct conn *c)
{
    return c->is_tls && (c->state == CONN_HANDSHAKE || ((const struct conn_tls *)c)->stream);
}

// True once a handshake has begun.
static inline bool conn_tls_is_begun(const struct conn *c)
{
    return c->is_tls && ((const struct conn_tls *)c)->stream;
}

// HANDSHAKE: goes on with it, by bytes that came (borrowed until conn_tls_end_feed). True when it is done: HEAD
// begins. A client that fails is closed.
bool conn_tls_handshake(struct conn *c, const char *bytes, size_t len);
// After the handshake: bytes that came (borrowed until conn_tls_end_feed).
void conn_tls_feed(struct conn *c, const char *bytes, size_t len);
// Plain bytes of one record of those that came. 0: that was all, or the connection was closed: also because a record
// began with more than `size` of them.
size_t conn_tls_read(struct conn *c, char *bytes, size_t size);
// What was not read is thrown away, but for the begin of a record.
void conn_tls_end_feed(struct conn *c);
// The connection goes on without encryption: the client sent plain HTTP.
void conn_tls_give_up(struct conn *c);
// The handshake failed for a reason that TLS does not know: the client went, or was too slow.
void conn_tls_count_timeout(struct conn *c);
void conn_tls_count_gone(struct conn *c);

// Bytes of `iov` that went into a record, which was sent or waits (conn_tls_flush). -1, with errno: EAGAIN where
// an earlier record still waits, else the connection is lost.
ssize_t conn_tls_write(struct conn *c, const struct iovec *iov, int count);
// Sends what waits. 1: nothing waits; 0: the socket is full; -1, with errno: lost.
int conn_tls_flush(struct conn *c);
// Sends close_notify, and then no more. As conn_tls_flush.
int conn_tls_shutdown(struct conn *c);
// Encrypted bytes that wait for the socket.
size_t conn_tls_waiting(const struct conn *c);
// Frees what TLS took.
void conn_tls_destroy(struct conn *c);
