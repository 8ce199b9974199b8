#include "tests/unit/lib/tokens.h"

#include <check.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#include "common/base64url.h"

EVP_PKEY *key_make(const char *type, const char *curve, unsigned bits)
{
    EVP_PKEY *key = strcmp(type, "EC") == 0    ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve)
                    : strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits)
                                               : EVP_PKEY_Q_keygen(NULL, NULL, type);
    ck_assert_ptr_nonnull(key);
    return key;
}

const char *key_pem(EVP_PKEY *key)
{
    static char text[8192];
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, key), 1);
    int len = BIO_read(bio, text, sizeof text - 1);
    ck_assert_int_gt(len, 0);
    text[len] = '\0';
    BIO_free(bio);
    return text;
}

static void number(EVP_PKEY *key, const char *name, int len, char *out)
{
    unsigned char bytes[1024];
    BIGNUM *n = NULL;
    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, name, &n), 1);
    if (len == 0)
        len = BN_num_bytes(n);
    ck_assert_int_eq(BN_bn2binpad(n, bytes, len), len);
    (void)base64url_encode(bytes, (size_t)len, out);
    BN_free(n);
}

const char *key_jwk(EVP_PKEY *key)
{
    static char text[8192];
    char a[2048], b[2048];
    if (EVP_PKEY_is_a(key, "RSA")) {
        number(key, OSSL_PKEY_PARAM_RSA_N, 0, a);
        number(key, OSSL_PKEY_PARAM_RSA_E, 0, b);
        snprintf(text, sizeof text, "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", a, b);
    } else if (EVP_PKEY_is_a(key, "EC")) {
        int len = (EVP_PKEY_get_bits(key) + 7) / 8;
        number(key, OSSL_PKEY_PARAM_EC_PUB_X, len, a);
        number(key, OSSL_PKEY_PARAM_EC_PUB_Y, len, b);
        snprintf(text, sizeof text, "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"", a, b);
    } else {
        unsigned char bytes[32];
        size_t len = sizeof bytes;
        ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, bytes, &len), 1);
        (void)base64url_encode(bytes, len, a);
        snprintf(text, sizeof text, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", a);
    }
    return text;
}

static size_t sign_hmac(const EVP_MD *hash, const char *secret, const char *text, unsigned char *out)
{
    unsigned len = 0;
    ck_assert_ptr_nonnull(
        HMAC(hash, secret, (int)strlen(secret), (const unsigned char *)text, strlen(text), out, &len));
    return len;
}

static size_t sign_key(EVP_PKEY *key, enum signer signer, const char *text, unsigned char *out, size_t room)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    ck_assert_int_eq(EVP_DigestSignInit(ctx, &options, signer == SIGN_EDDSA ? NULL : EVP_sha256(), NULL, key),
                     1);
    if (signer == SIGN_PS256) {
        ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    ck_assert_int_eq(EVP_DigestSign(ctx, out, &room, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    return room;
}

static size_t raw_pair(unsigned char *signature, size_t len)
{
    const unsigned char *at = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);
    ck_assert_ptr_nonnull(pair);
    BIGNUM *r = BN_dup(ECDSA_SIG_get0_r(pair)), *s = BN_dup(ECDSA_SIG_get0_s(pair));
    ck_assert_int_eq(BN_bn2binpad(r, signature, 32), 32);
    ck_assert_int_eq(BN_bn2binpad(s, signature + 32, 32), 32);
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return 64;
}

static size_t sign(const char *text, enum signer signer, EVP_PKEY *key, const char *secret,
                   unsigned char *out, size_t room)
{
    size_t len;
    switch (signer) {
    case SIGN_NONE:
        return 0;
    case SIGN_HS256:
        return sign_hmac(EVP_sha256(), secret, text, out);
    case SIGN_HS384:
        return sign_hmac(EVP_sha384(), secret, text, out);
    case SIGN_HS512:
        return sign_hmac(EVP_sha512(), secret, text, out);
    case SIGN_RS256:
    case SIGN_PS256:
    case SIGN_ES256_DER:
    case SIGN_EDDSA:
        return sign_key(key, signer, text, out, room);
    case SIGN_ES256:
        break;
    }
    len = sign_key(key, signer, text, out, room);
    return raw_pair(out, len);
}

const char *token_make(const char *header, const char *claims, enum signer signer, EVP_PKEY *key,
                       const char *secret)
{
    static char token[TOKEN_ROOM];
    unsigned char signature[1024];
    ck_assert_uint_lt(strlen(header) + strlen(claims), TOKEN_ROOM / 2);
    size_t n = base64url_encode((const unsigned char *)header, strlen(header), token);
    token[n++] = '.';
    n += base64url_encode((const unsigned char *)claims, strlen(claims), token + n);
    size_t len = sign(token, signer, key, secret, signature, sizeof signature);
    token[n++] = '.';
    (void)base64url_encode(signature, len, token + n);
    return token;
}
