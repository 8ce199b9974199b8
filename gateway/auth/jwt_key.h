// One key that verifies tokens. Immutable once made; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/auth/jwt.h"

#define JWT_RSA_BITS_MIN 2048
#define JWT_RSA_BITS_MAX 8192

struct jwt_key;

// Each returns NULL with one line in `error` where it must not be used, or out of memory.

// A secret of at least 32 bytes; it is for HS256, from 48 bytes on for HS384 too, from 64 bytes on for HS512 (RFC 7518
// section 3.2).
struct jwt_key *jwt_key_from_secret(const void *secret, size_t len, char *error, size_t error_size);
// The first public key or certificate of a PEM text: RSA of 2048 to 8192 bits (of RSA-PSS one that PS256 may be used
// with), EC on P-256, Ed25519. Of a certificate the
// key alone counts, not until when it is valid. A private key is refused.
struct jwt_key *jwt_key_from_pem(const char *text, size_t len, char *error, size_t error_size);
// A member of a key set (RFC 7517 section 4, RFC 7518 section 6, RFC 8037). `use`, `key_ops` and `alg` must allow to
// verify signatures, by an algorithm of the key's type. `secrets`: whether a symmetric key may be one.
struct jwt_key *jwt_key_from_jwk(const json_t *jwk, bool secrets, char *error, size_t error_size);
void jwt_key_destroy(struct jwt_key *key); // may be NULL

const char *jwt_key_id(const struct jwt_key *key); // NULL where it has none
unsigned jwt_key_algorithms(const struct jwt_key *key);
// Whether the signature of `jwt` is by this key, whose algorithms must have the token's: ACCEPTED, SIGNATURE or
// NO_MEMORY.
enum token_verdict jwt_key_check(const struct jwt_key *key, const struct jwt *jwt);
