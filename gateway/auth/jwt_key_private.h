// The inside of a key, for jwt_key.c, jwk.c and jwt_signature.c alone.
#pragma once

#include <openssl/evp.h>

#include "gateway/auth/hmac.h"
#include "gateway/auth/jwt_key.h"

struct jwt_key {
    unsigned algorithms;                       // a set; see jwt_algorithm.h
    char *kid;                                 // or NULL
    EVP_PKEY *pkey;                            // NULL: a secret
    struct hmac_key *secrets[HMAC_SHA512 + 1]; // by hash; NULL: the secret is too short for it
};

// OpenSSL looks for an algorithm at its first use, and remembers for ever what it found: where memory runs out just
// then, that there is none (or it crashes). Each key is used once when it is made, before clients depend on it. False
// with one line in `error` where it cannot be used: memory is short, or the parameters of an RSA-PSS key (RFC 4055
// section 3.1) ask for another hash, mask or salt than PS256 has.
bool jwt_key_use_once(const struct jwt_key *key, char *error, size_t error_size);

// Takes `pkey`, also where it fails. NULL with one line in `error` where its kind, curve or size is not allowed.
struct jwt_key *jwt_key_from_public(EVP_PKEY *pkey, char *error, size_t error_size);
