// What tls_server.c and tls_stream.c share, and nobody else includes: the certificates that one reading of
// the files gave, which the connections that began with them keep.
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

struct tls_server;
struct tls_server_set;

// A new connection with the set in use; `*set` is one reference, to be given back. NULL when out of memory.
SSL *tls_server_accept(struct tls_server *s, struct tls_server_set **set);
// OpenSSL tells a secret of a connection, as a line of text (SSL_CTX_set_keylog_callback(3)). In tls_stream.c.
void tls_stream_on_secret(const SSL *ssl, const char *line);
// May be NULL. Any thread.
void tls_server_set_release(struct tls_server_set *set);
