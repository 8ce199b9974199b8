// TLS of a server: certificates that are chosen by the name that the client asks for (SNI, RFC 6066 section
// 3), ALPN http/1.1 (RFC 7301), client certificates, session tickets. TLS 1.2 and 1.3, without renegotiation
// and compression. One for the process; connections are common/tls_stream. Any thread may accept;
// tls_server_reload is for one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Borrowed while the server lives. `certs` and `keys` are pairs; the first one is for clients that ask for no
// name, or one that no certificate has.
struct tls_server_files {
    const char *const *certs, *const *keys; // PEM; a certificate may be followed by those that lead to its CA
    size_t count;                           // at least 1
    const char *client_ca;   // NULL: no certificate is asked of clients; else one of these CAs is required
    const char *ticket_keys; // common/tls_tickets.h; NULL: random keys
};

struct tls_server;

// Reads the files. NULL, and one line in `error` that names the option (--tls-cert, --tls-key ..).
struct tls_server *tls_server_create(const struct tls_server_files *files, char *error, size_t error_size);
// Reads the files again: new connections get what they say now, open ones keep what they have. False, and one
// line in `error`: nothing has changed then.
bool tls_server_reload(struct tls_server *s, char *error, size_t error_size);
// No connection is left then. May be NULL.
void tls_server_destroy(struct tls_server *s);

struct tls_certificate {
    const char *file;   // borrowed from the files
    int64_t expires_at; // seconds since 1970: of the first certificate of the file
};

// Certificate `i` of those in use; false where there are no more. Any thread.
bool tls_server_certificate(struct tls_server *s, size_t i, struct tls_certificate *out);
