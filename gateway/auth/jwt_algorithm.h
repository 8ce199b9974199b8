// Signature algorithms of tokens (RFC 7518 section 3, RFC 8037). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define JWT_ALGORITHMS(X)                                                                                    \
    X(HS256)                                                                                                 \
    X(HS384)                                                                                                 \
    X(HS512)                                                                                                 \
    X(RS256)                                                                                                 \
    X(PS256)                                                                                                 \
    X(ES256)                                                                                                 \
    X(EdDSA)

enum jwt_algorithm {
#define X(name) JWT_##name,
    JWT_ALGORITHMS(X)
#undef X
        JWT_ALGORITHM_COUNT
};

// A set of algorithms is a word with a bit for each.
#define JWT_BIT(algorithm) (1u << (algorithm))
#define JWT_ALL ((1u << JWT_ALGORITHM_COUNT) - 1)
#define JWT_SYMMETRIC (JWT_BIT(JWT_HS256) | JWT_BIT(JWT_HS384) | JWT_BIT(JWT_HS512))

// False where the name is not one of the above, in exactly these letters.
bool jwt_algorithm_find(const char *name, size_t len, enum jwt_algorithm *algorithm);
// Adds each name of a list like "ES256,EdDSA" to `*set`. False where one is unknown.
bool jwt_algorithms_add(const char *names, unsigned *set);
