#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth/jwt_key_private.h"

#define SECRET_KEY_MAX 4096
#define RSA_EXPONENT_BITS_MAX 64

// Takes `key`, which may be NULL.
static struct jwt_key *usable(struct jwt_key *key, char *error, size_t error_size)
{
    if (!key || jwt_key_use_once(key, error, error_size))
        return key;
    jwt_key_destroy(key);
    return NULL;
}

struct jwt_key *jwt_key_from_secret(const void *secret, size_t len, char *error, size_t error_size)
{
    static const unsigned algorithms[] = {[HMAC_SHA256] = JWT_BIT(JWT_HS256),
                                          [HMAC_SHA384] = JWT_BIT(JWT_HS384),
                                          [HMAC_SHA512] = JWT_BIT(JWT_HS512)};
    if (len < hmac_size(HMAC_SHA256) || len > SECRET_KEY_MAX) {
        snprintf(error, error_size, "a secret has 32 to %d bytes, and this one has %zu", SECRET_KEY_MAX, len);
        return NULL;
    }
    struct jwt_key *key = calloc(1, sizeof *key);
    for (unsigned hash = HMAC_SHA256; key && hash <= HMAC_SHA512 && len >= hmac_size(hash); hash++) {
        if ((key->secrets[hash] = hmac_key_create(hash, secret, len))) {
            key->algorithms |= algorithms[hash];
        } else {
            jwt_key_destroy(key);
            key = NULL;
        }
    }
    if (!key)
        snprintf(error, error_size, "out of memory");
    return usable(key, error, error_size);
}

// An exponent of 1 would make every message its own signature.
static bool is_exponent_odd(const EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) && BN_is_odd(e) && !BN_is_one(e) &&
              BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX;
    BN_free(e);
    return ok;
}

static unsigned rsa_algorithms(const EVP_PKEY *key, char *error, size_t error_size)
{
    int bits = EVP_PKEY_get_bits(key);
    if (bits < JWT_RSA_BITS_MIN || bits > JWT_RSA_BITS_MAX) {
        snprintf(error, error_size, "an RSA key has %d to %d bits, and this one has %d", JWT_RSA_BITS_MIN,
                 JWT_RSA_BITS_MAX, bits);
        return 0;
    }
    if (!is_exponent_odd(key)) {
        snprintf(error, error_size, "its public exponent is none that is safe");
        return 0;
    }
    return EVP_PKEY_is_a(key, "RSA-PSS") ? JWT_BIT(JWT_PS256) : JWT_BIT(JWT_RS256) | JWT_BIT(JWT_PS256);
}

static unsigned algorithms_of(const EVP_PKEY *key, char *error, size_t error_size)
{
    char curve[64] = "";
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        return rsa_algorithms(key, error, error_size);
    if (EVP_PKEY_is_a(key, "ED25519"))
        return JWT_BIT(JWT_EdDSA);
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) &&
        strcmp(curve, "prime256v1") == 0)
        return JWT_BIT(JWT_ES256);
    snprintf(error, error_size, "it is neither RSA, nor EC on the curve P-256, nor Ed25519");
    return 0;
}

struct jwt_key *jwt_key_from_public(EVP_PKEY *pkey, char *error, size_t error_size)
{
    unsigned algorithms = algorithms_of(pkey, error, error_size);
    struct jwt_key *key = algorithms ? calloc(1, sizeof *key) : NULL;
    if (!key) {
        if (algorithms)
            snprintf(error, error_size, "out of memory");
        EVP_PKEY_free(pkey);
        return NULL;
    }
    key->algorithms = algorithms;
    key->pkey = pkey;
    return usable(key, error, error_size);
}

static EVP_PKEY *read_certificate(BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

struct jwt_key *jwt_key_from_pem(const char *text, size_t len, char *error, size_t error_size)
{
    if (memmem(text, len, "PRIVATE KEY-----", 16)) {
        snprintf(error, error_size,
                 "it has a private key, which belongs to the issuer of tokens alone; give the public one");
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    if (bio && !pkey && BIO_reset(bio) == 1)
        pkey = read_certificate(bio);
    BIO_free(bio);
    ERR_clear_error(); // what was tried in vain
    if (pkey)
        return jwt_key_from_public(pkey, error, error_size);
    snprintf(error, error_size, "it has neither a PEM public key nor a certificate");
    return NULL;
}

void jwt_key_destroy(struct jwt_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    for (unsigned hash = HMAC_SHA256; hash <= HMAC_SHA512; hash++)
        hmac_key_destroy(key->secrets[hash]);
    free(key->kid);
    free(key);
}

const char *jwt_key_id(const struct jwt_key *key)
{
    return key->kid;
}

unsigned jwt_key_algorithms(const struct jwt_key *key)
{
    return key->algorithms;
}
