// HMAC with SHA-2 (RFC 2104, RFC 6234), and a comparison whose time says nothing about where two values differ. Any
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define HMAC_MAX 64

enum hmac_hash { HMAC_SHA256, HMAC_SHA384, HMAC_SHA512 };

// Bytes of a code: 32, 48 or 64. A key must not be shorter (RFC 7518 section 3.2).
size_t hmac_size(enum hmac_hash hash);
// Writes the code of `data` into `out`, which has room for hmac_size(hash). False when out of memory.
bool hmac_sign(enum hmac_hash hash, const void *key, size_t key_len, const void *data, size_t len,
               unsigned char *out);
// True where `code` is the whole code of `data`. Else errno is EINVAL, or ENOMEM when out of memory.
bool hmac_verify(enum hmac_hash hash, const void *key, size_t key_len, const void *data, size_t len,
                 const unsigned char *code, size_t code_len);

// A key that verifies often: what has to be made of its bytes is made once.
struct hmac_key;

// NULL when out of memory. `key` is not kept.
struct hmac_key *hmac_key_create(enum hmac_hash hash, const void *key, size_t key_len);
void hmac_key_destroy(struct hmac_key *k); // may be NULL
// As hmac_verify. Threads that use one key wait for each other, a microsecond or so.
bool hmac_key_verify(struct hmac_key *k, const void *data, size_t len, const unsigned char *code,
                     size_t code_len);
