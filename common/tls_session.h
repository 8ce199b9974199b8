// A connection after its handshake, the server's side: records of data, alerts, and of TLS 1.3 key updates (RFC 8446
// sections 4.6.3, 5, 6; RFC 5246 sections 6.2, 7.2). For tls_stream.c.
#pragma once

#include <sys/types.h>

#include "common/buf.h"
#include "common/tls_records.h"
#include "common/tls_wire.h"

struct tls_session {
    struct tls_records *records; // owned; NULL: OpenSSL has the connection
    struct buf partial;          // begin of a record that has not come as a whole
    uint16_t sent_max;           // plain bytes of a record that is sent
    bool owes_update;            // the client asked for a key update: it goes before the next data
    bool said_end;
};

void tls_session_deinit(struct tls_session *s);
// As the functions of tls_stream.h with these names.
ssize_t tls_session_read(struct tls_session *s, struct tls_wire *w, char *bytes, size_t size);
ssize_t tls_session_write(struct tls_session *s, struct tls_wire *w, const char *bytes, size_t len);
bool tls_session_shutdown(struct tls_session *s, struct tls_wire *w);
