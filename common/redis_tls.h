// TLS towards Redis: TLS 1.2 or newer, the server's certificate and name always verified. OpenSSL stays in
// here. The bus thread's alone, but for a context that is made and freed while no thread uses it.
//
// OpenSSL writes to its socket without MSG_NOSIGNAL: SIGPIPE is ignored in this process.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/redis_url.h"

// What all connections with the same files share.
struct redis_tls_context;

// Reads the files. NULL: `error` says in one line, that names the option, what is wrong.
struct redis_tls_context *redis_tls_context_create(const struct redis_tls_files *files, char *error,
                                                   size_t error_size);
void redis_tls_context_destroy(struct redis_tls_context *context); // may be NULL

// One connection.
struct redis_tls;

// What is no count of bytes: nothing now, and the socket must become readable (or writable, see
// redis_tls_wants_write) first; or the end, of which redis_tls_error knows why.
enum { REDIS_TLS_FAILED = -1, REDIS_TLS_WAIT = -2 };

// Over a connected, non-blocking socket (borrowed). The certificate must be one for `host`, a name or an
// address. NULL when out of memory.
struct redis_tls *redis_tls_create(struct redis_tls_context *context, int fd, const char *host);
void redis_tls_destroy(struct redis_tls *tls); // may be NULL

// 1 when it is done, else WAIT or FAILED.
ssize_t redis_tls_handshake(struct redis_tls *tls);
// Bytes that came, WAIT or FAILED. To be called until it says WAIT, or has_more is false: what TLS has
// buffered does not make the socket readable.
ssize_t redis_tls_read(struct redis_tls *tls, char *bytes, size_t len);
bool redis_tls_has_more(const struct redis_tls *tls);
// Bytes that were taken (maybe fewer than `len`), WAIT or FAILED.
ssize_t redis_tls_write(struct redis_tls *tls, const char *bytes, size_t len);

// What made it WAIT waits for the socket to be writable.
bool redis_tls_wants_write(const struct redis_tls *tls);
// After FAILED: one line for a person.
const char *redis_tls_error(const struct redis_tls *tls);
