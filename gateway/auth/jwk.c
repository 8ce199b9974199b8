// Keys of a key set (RFC 7517): jwt_key_from_jwk.
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64url.h"
#include "gateway/auth/json_strict.h"
#include "gateway/auth/jwt_key_private.h"

#define MEMBER_MAX 8192 // characters of one number or secret
#define P256_BYTES 32
#define ED25519_BYTES 32

struct member {
    unsigned char bytes[BASE64URL_BYTES(MEMBER_MAX)];
    size_t len;
};

static bool read_member(const json_t *jwk, const char *name, struct member *out)
{
    const char *text = json_strict_text(json_object_get(jwk, name));
    return text && strlen(text) <= MEMBER_MAX &&
           base64url_decode(text, strlen(text), out->bytes, &out->len) && out->len > 0;
}

static EVP_PKEY *public_of(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params); // `key` stays NULL where it fails
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *read_rsa(const json_t *jwk)
{
    struct member n, e;
    if (!read_member(jwk, "n", &n) || !read_member(jwk, "e", &e))
        return NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(n.bytes, (int)n.len, NULL), *exponent = BN_bin2bn(e.bytes, (int)e.len, NULL);
    EVP_PKEY *key = NULL;
    if (build && modulus && exponent && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
        key = public_of("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static bool is_named(const json_t *value, const char *text)
{
    const char *name = json_strict_text(value);
    return name && strcmp(name, text) == 0;
}

// OpenSSL refuses a point that is not on the curve.
static EVP_PKEY *read_ec(const json_t *jwk)
{
    struct member x, y;
    unsigned char point[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    if (!is_named(json_object_get(jwk, "crv"), "P-256") || !read_member(jwk, "x", &x) ||
        !read_member(jwk, "y", &y) || x.len != P256_BYTES || y.len != P256_BYTES)
        return NULL;
    memcpy(point + 1, x.bytes, P256_BYTES);
    memcpy(point + 1 + P256_BYTES, y.bytes, P256_BYTES);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
        key = public_of("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *read_okp(const json_t *jwk)
{
    struct member x;
    if (!is_named(json_object_get(jwk, "crv"), "Ed25519") || !read_member(jwk, "x", &x) ||
        x.len != ED25519_BYTES)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.bytes, x.len);
}

static struct jwt_key *read_secret(const json_t *jwk, char *error, size_t error_size)
{
    struct member k;
    struct jwt_key *key = NULL;
    if (read_member(jwk, "k", &k))
        key = jwt_key_from_secret(k.bytes, k.len, error, error_size);
    else
        snprintf(error, error_size, "its \"k\" is missing or malformed");
    explicit_bzero(&k, sizeof k);
    return key;
}

static bool is_for_verifying(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *operations = json_object_get(jwk, "key_ops");
    if (use && !is_named(use, "sig"))
        return false;
    for (size_t i = 0; i < json_array_size(operations); i++)
        if (is_named(json_array_get(operations, i), "verify"))
            return true;
    return !operations;
}

static struct jwt_key *read_by_type(const json_t *jwk, bool secrets, char *error, size_t error_size)
{
    const json_t *type = json_object_get(jwk, "kty");
    if (is_named(type, "oct") && secrets)
        return read_secret(jwk, error, error_size);
    EVP_PKEY *pkey = is_named(type, "RSA")   ? read_rsa(jwk)
                     : is_named(type, "EC")  ? read_ec(jwk)
                     : is_named(type, "OKP") ? read_okp(jwk)
                                             : NULL;
    ERR_clear_error(); // of a key that OpenSSL has refused
    if (pkey)
        return jwt_key_from_public(pkey, error, error_size);
    snprintf(error, error_size, "it is no RSA key, EC key on P-256 or Ed25519 key");
    return NULL;
}

// A key may say of itself which algorithm it is for, and which id it has.
static bool narrow(struct jwt_key *key, const json_t *jwk, char *error, size_t error_size)
{
    const json_t *alg = json_object_get(jwk, "alg"), *kid = json_object_get(jwk, "kid");
    const char *name = json_strict_text(alg), *id = json_strict_text(kid);
    enum jwt_algorithm algorithm;
    if (alg && (!name || !jwt_algorithm_find(name, strlen(name), &algorithm) ||
                !(key->algorithms & JWT_BIT(algorithm)))) {
        snprintf(error, error_size, "its \"alg\" is none for a key of its kind");
        return false;
    }
    if (alg)
        key->algorithms = JWT_BIT(algorithm);
    if (kid && (!id || id[0] == '\0' || strlen(id) > JWT_KID_MAX)) {
        snprintf(error, error_size, "its \"kid\" is no text of 1 to %d bytes", JWT_KID_MAX);
        return false;
    }
    if (id && !(key->kid = strdup(id))) {
        snprintf(error, error_size, "out of memory");
        return false;
    }
    return true;
}

struct jwt_key *jwt_key_from_jwk(const json_t *jwk, bool secrets, char *error, size_t error_size)
{
    if (!json_is_object(jwk) || !is_for_verifying(jwk)) {
        snprintf(error, error_size, "it is not for verifying signatures");
        return NULL;
    }
    struct jwt_key *key = read_by_type(jwk, secrets, error, error_size);
    if (key && narrow(key, jwk, error, error_size))
        return key;
    jwt_key_destroy(key);
    return NULL;
}
