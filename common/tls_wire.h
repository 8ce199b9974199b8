// Encrypted bytes of one connection on both sides of TLS: those that came and are not read yet, and those that
// the socket has not taken. For tls_stream.c and tls_session.c.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/buf.h"

// Beside TRANSPORT_*, of what reads records: one has, or says that it has, more plain bytes than the caller takes.
enum { TLS_TOO_LONG = -5 };

// Bytes that may wait: a flight of a handshake, or a record with a key update before it and an alert behind it.
#define TLS_WAITING_MAX 65536u

// Bytes of `bytes` that were taken; 0: none for now; -1: the connection is lost.
typedef ssize_t (*tls_send)(void *ctx, const char *bytes, size_t len);

struct tls_wire {
    tls_send send;
    void *ctx;
    const char *fed; // borrowed
    size_t fed_len;
    struct buf waiting;
};

// Takes at most `size` of what was fed.
size_t tls_wire_take(struct tls_wire *w, void *out, size_t size);
// Sends, or keeps what the socket does not take. False: the connection is lost.
bool tls_wire_send(struct tls_wire *w, const void *bytes, size_t len);
// Sends what waits. False: the connection is lost.
bool tls_wire_flush(struct tls_wire *w);
