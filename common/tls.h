// TLS of a client: TLS 1.2 or newer, the server's certificate and name always verified. OpenSSL stays in
// here; what calls is common/transport. The connection's thread alone, but for a context that is made and
// freed while no thread uses it.
//
// OpenSSL writes to its socket without MSG_NOSIGNAL: SIGPIPE is ignored in this process.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Results that are not a count of bytes; common/transport returns them for sockets without TLS, too.
enum {
    TRANSPORT_WAIT_READ = -1,  // again when the socket is readable
    TRANSPORT_WAIT_WRITE = -2, // again when it is writable
    TRANSPORT_END = -3,        // the peer sends no more
    TRANSPORT_LOST = -4,       // tls_error or transport_error says why
};

// Borrowed.
struct tls_files {
    const char *ca;         // NULL: what the system trusts
    const char *cert, *key; // the client's own; both or neither
};

// The state that all connections with the same files share.
struct tls_context;

// Reads the files. `name` (static) is for messages: with "redis", the options that name the files are
// --redis-ca, --redis-cert and --redis-key, and redis:// goes without TLS. NULL: `error` says in one line,
// that names the option, what is wrong.
struct tls_context *tls_context_create(const struct tls_files *files, const char *name, char *error,
                                       size_t error_size);
void tls_context_destroy(struct tls_context *context); // may be NULL

// One connection.
struct tls;

// Over a connected socket (borrowed). The certificate must be one for `host`, a name or an address. NULL when
// out of memory.
struct tls *tls_create(struct tls_context *context, int fd, const char *host);
void tls_destroy(struct tls *tls); // may be NULL

// Counts of bytes and TRANSPORT_* as of the functions of common/transport.h with the same names.
ssize_t tls_handshake(struct tls *tls);
ssize_t tls_read(struct tls *tls, char *bytes, size_t len);
bool tls_has_more(const struct tls *tls);
ssize_t tls_write(struct tls *tls, const char *bytes, size_t len);
ssize_t tls_shutdown(struct tls *tls);

// After TRANSPORT_END or TRANSPORT_LOST: one line for a person.
const char *tls_error(const struct tls *tls);
