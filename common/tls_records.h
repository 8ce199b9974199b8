// Records of one connection after its handshake: of TLS 1.3 (RFC 8446 section 5), and of the suites of TLS 1.2 that
// common/tls_keys knows (RFC 5246 section 6.2.3.3). OpenSSL keeps 14 KB for each connection; this takes 420 bytes.
// The algorithms are OpenSSL's.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/tls_keys.h"

// Plain bytes of the longest record that comes (RFC 8446 section 5.1), and of the longest that is sent: with what
// encrypting adds it fits into a buffer of 16 KiB.
#define TLS_RECORD_MAX 16384u
#define TLS_SENT_RECORD_MAX (TLS_RECORD_MAX - 64u)

#define TLS_RECORD_HEADER 5u
// Bytes that a record adds to its plain bytes at most: header, explicit nonce (TLS 1.2) or content type (1.3), tag.
#define TLS_RECORD_OVERHEAD_MAX (TLS_RECORD_HEADER + 8u + 16u)
// Bytes that the body of a record that comes may have more than it has plain bytes (RFC 8446 section 5.2).
#define TLS_RECORD_EXPANSION_MAX 256u
#define TLS_RECORD_BODY_MAX (TLS_RECORD_MAX + TLS_RECORD_EXPANSION_MAX)

// Records that one key of TLS 1.3 encrypts, of 2^24.5 that it may (RFC 8446 section 5.5). TLS 1.2 has no other key.
#define TLS_RECORDS_PER_KEY (UINT64_C(1) << 20)

// Content types (RFC 8446 section 5.1).
enum { TLS_TYPE_CHANGE_CIPHER = 20, TLS_TYPE_ALERT = 21, TLS_TYPE_HANDSHAKE = 22, TLS_TYPE_DATA = 23 };

// Ciphers at work, shared by the connections of one thread: between two records they hold nothing.
struct tls_crypt;
struct tls_crypt *tls_crypt_create(void);    // NULL when out of memory
void tls_crypt_destroy(struct tls_crypt *c); // may be NULL

struct tls_records;

// TLS 1.3, with the first traffic secrets of both sides (copied); `sent` records were encrypted with the server's
// already. NULL when out of memory.
struct tls_records *tls_records_create(struct tls_crypt *crypt, const struct tls_suite *suite,
                                       const unsigned char *client_secret, const unsigned char *server_secret,
                                       uint64_t sent);
// TLS 1.2, with keys (copied) of tls_keys_derive_1_2. NULL when out of memory.
struct tls_records *tls_records_create_1_2(struct tls_crypt *crypt, const struct tls_suite *suite,
                                           const struct tls_keys *received, const struct tls_keys *sent);
void tls_records_destroy(struct tls_records *r); // may be NULL
// Memory that one takes.
size_t tls_records_bytes(void);
bool tls_records_are_1_2(const struct tls_records *r);

// Encrypts `len` bytes (at most 16,384) as one record of `type` into `out`, which has room for
// TLS_RECORD_OVERHEAD_MAX more. Returns its length; 0 where that failed.
size_t tls_records_seal(struct tls_records *r, uint8_t type, const void *bytes, size_t len,
                        unsigned char *out);
// True where the key of tls_records_seal has encrypted enough.
bool tls_records_is_worn(const struct tls_records *r);
// Decrypts a whole record (`record`: its header and `len` bytes behind that) into `out`, which has room for
// `len`. Returns the number of plain bytes, and their type, which is 0 where there is padding alone; -1 where the
// record is not the next one of this connection.
ssize_t tls_records_open(struct tls_records *r, const unsigned char *record, size_t len, unsigned char *out,
                         uint8_t *type);
// TLS 1.3: the next key (RFC 8446 section 7.2) for records that are sent, or that come. False where that failed.
bool tls_records_update_sent(struct tls_records *r);
bool tls_records_update_received(struct tls_records *r);
