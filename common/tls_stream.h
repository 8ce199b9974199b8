// TLS of one connection of a server, without its socket. The handshake is OpenSSL's; then OpenSSL's state is freed, and
// common/tls_session goes on: the caller feeds what has come, and gives a function that sends. What that function does
// not take waits in here, so that a record that is encrypted is on its way whatever becomes of the bytes that it was
// made of. The connection's thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/tls.h"
#include "common/tls_records.h"
#include "common/tls_server.h"
#include "common/tls_wire.h"

// X(symbol): why a handshake failed.
#define TLS_FAILURES(X)                                                                                      \
    X(PROTOCOL)           /* no TLS 1.2 or 1.3, or no TLS at all */                                          \
    X(CIPHER)             /* no cipher or curve in common */                                                 \
    X(ALPN)               /* a client of HTTP/2 alone */                                                     \
    X(CLIENT_CERTIFICATE) /* none, or one that is not trusted */                                             \
    X(ALERT)              /* by the client, which does not trust the certificate for example */              \
    X(OTHER)

enum tls_failure {
#define X(symbol) TLS_FAILURE_##symbol,
    TLS_FAILURES(X)
#undef X
        TLS_FAILURE_COUNT
};

struct tls_stream;

// `crypt` is borrowed, and of this thread. NULL when out of memory.
struct tls_stream *tls_stream_create(struct tls_server *server, struct tls_crypt *crypt, tls_send send,
                                     void *ctx);
void tls_stream_destroy(struct tls_stream *t); // may be NULL

// Bytes that came; borrowed until the functions below say TRANSPORT_WAIT_READ, or tls_stream_feed is called
// again. What is left then is not read any more.
void tls_stream_feed(struct tls_stream *t, const char *bytes, size_t len);

// 0 when it is done; TRANSPORT_WAIT_READ; TRANSPORT_LOST: it failed, and the client was told.
ssize_t tls_stream_handshake(struct tls_stream *t);
bool tls_stream_is_resumed(const struct tls_stream *t);
// After TRANSPORT_LOST: the reason, and one line for a person.
enum tls_failure tls_stream_failure(const struct tls_stream *t);
const char *tls_stream_error(const struct tls_stream *t);

// After the handshake, as all that follows. Plain bytes of one record; TRANSPORT_WAIT_READ, TRANSPORT_END
// (close_notify), TRANSPORT_LOST. TLS_TOO_LONG as soon as a record begins that has more than `size` (at most
// TLS_RECORD_MAX) of them, or so much of padding: less than that is kept of a record that has not come as a whole.
ssize_t tls_stream_read(struct tls_stream *t, char *bytes, size_t size);
// Encrypts some of `bytes`, at most TLS_SENT_RECORD_MAX, as one record and sends it; returns how many that was, or
// TRANSPORT_LOST. Nothing may be waiting.
ssize_t tls_stream_write(struct tls_stream *t, const char *bytes, size_t len);
// Encrypts the close_notify and sends it, once. False: the connection is lost.
bool tls_stream_shutdown(struct tls_stream *t);

// Memory that a connection takes, with what waits: an estimate while OpenSSL has it.
size_t tls_stream_bytes(const struct tls_stream *t);
// Encrypted bytes that wait for the socket.
size_t tls_stream_waiting(const struct tls_stream *t);
// Sends them. 0 when nothing waits any more; TRANSPORT_WAIT_WRITE, TRANSPORT_LOST.
ssize_t tls_stream_flush(struct tls_stream *t);
