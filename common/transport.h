// The bytes of one connected socket, with TLS or without: what a caller sees of both is the same. Nothing
// here waits on a socket that does not block; on one that blocks, TRANSPORT_WAIT_* is its timeout. The
// connection's thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/tls.h"

struct transport {
    int fd;          // owned; -1: none
    struct tls *tls; // owned; NULL: plain
    int failure;     // errno of a plain socket
};

// Takes `fd`.
void transport_init(struct transport *t, int fd);
// Puts TLS on it, as the client; before any other byte. The certificate must be one for `host`, a name or an
// address. False when out of memory. A server side would be a second function like this one, with a context
// of its own.
bool transport_start_tls(struct transport *t, struct tls_context *context, const char *host);
// Closes the socket at once. All zero is not closed: transport_init(t, -1) is.
void transport_close(struct transport *t);

// 0 when it is done (at once where there is no TLS), else TRANSPORT_* of common/tls.h.
ssize_t transport_handshake(struct transport *t);
// Bytes that came, else TRANSPORT_*. With TLS to be called until it says WAIT, or has_more is false: what TLS
// has buffered does not make the socket readable.
ssize_t transport_read(struct transport *t, char *bytes, size_t size);
bool transport_has_more(const struct transport *t);
// Bytes that were taken, maybe fewer than there are, else TRANSPORT_*. With TLS each piece is a record of its
// own, and after WAIT the same bytes come first again.
ssize_t transport_writev(struct transport *t, const struct iovec *pieces, int count);
// Tells the peer that no more bytes follow; the socket can still be read. 0 when that is done, else
// TRANSPORT_*.
ssize_t transport_shutdown(struct transport *t);

// After TRANSPORT_END or TRANSPORT_LOST: one line for a person.
const char *transport_error(const struct transport *t);
