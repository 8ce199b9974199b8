// Makes tokens, keys of all kinds, and key sets of them, with OpenSSL and nothing of the gateway but base64url.
#pragma once

#include <openssl/evp.h>
#include <stddef.h>

#define TOKEN_SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" // for HS512, too
#define TOKEN_ROOM 16384

enum signer {
    SIGN_NONE,  // nothing behind the last dot
    SIGN_HS256, // and the others by the hash: the key is `secret`
    SIGN_HS384,
    SIGN_HS512,
    SIGN_RS256,
    SIGN_PS256,
    SIGN_ES256,
    SIGN_ES256_DER, // as OpenSSL writes it, which is wrong in a token
    SIGN_EDDSA,
};

// "EC" with "P-256" or another curve, "RSA" with its bits, "ED25519". The caller frees it.
EVP_PKEY *key_make(const char *type, const char *curve, unsigned bits);
// PEM of the public key, terminated; static, until the next call.
const char *key_pem(EVP_PKEY *key);
// Members of a JWK for the public key, without braces: "kty":..; static, until the next call.
const char *key_jwk(EVP_PKEY *key);

// A token of `header` and `claims` (JSON, or any text); static, until the next call. `key` is not looked at for HS*, `secret`
// not for others.
const char *token_make(const char *header, const char *claims, enum signer signer, EVP_PKEY *key,
                       const char *secret);
