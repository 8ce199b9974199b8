// The parts of a signed token in compact form (RFC 7515 section 7.1, RFC 7519 section 7.2), and its header. Nothing in
// here looks at a key, and the claims are not read before the signature is verified. Pure.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "gateway/auth/jwt_algorithm.h"
#include "gateway/auth/token_verdict.h"

#define JWT_MAX 8192           // characters of a token
#define JWT_HEADER_MAX 2048    // characters of its header
#define JWT_KID_MAX 256        // bytes of a key id
#define JWT_SIGNATURE_MAX 1032 // bytes: an RSA key of 8,192 bits, and what decoding may take more
#define JWT_DEPTH_MAX 16       // of its JSON

// A header that was read before. Those of one issuer are the same text, and then need not be read again.
#define JWT_HEADER_KEPT_MAX 192 // characters
struct jwt_header {
    size_t len; // 0: none
    char text[JWT_HEADER_KEPT_MAX];
    enum jwt_algorithm algorithm;
    char kid[JWT_KID_MAX + 1];
};

struct jwt {
    const char *text;   // borrowed: the token
    size_t header_len;  // characters of its header
    size_t signed_len;  // characters that the signature covers
    const char *claims; // borrowed, still encoded
    size_t claims_len;
    unsigned char signature[JWT_SIGNATURE_MAX];
    size_t signature_len;
    enum jwt_algorithm algorithm; // that the header names; only a key says whether it counts
    char kid[JWT_KID_MAX + 1];    // terminated; "" where the header has none
};

// Splits `token` and reads its header. ACCEPTED, MALFORMED, NO_MEMORY or ALGORITHM (one that is not known here, "none"
// among them). A header with `crit`, `b64`, `zip` or `enc`, or with a `typ` other than JWT and at+jwt, is MALFORMED;
// keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are never used. `known` may be NULL.
enum token_verdict jwt_split(const char *token, size_t len, const struct jwt_header *known, struct jwt *out);
// Keeps the header of `jwt`, unless that is long or the same. True where `out` has changed.
bool jwt_header_keep(const struct jwt *jwt, struct jwt_header *out);
// Reads the claims, once the signature is verified. NULL with errno EINVAL where they are no strict JSON
// object, ENOMEM when out of memory.
json_t *jwt_claims(const struct jwt *jwt);
