// Verifying by the algorithm that a key is for (RFC 7518 section 3, RFC 8037 section 3.1): jwt_key_check.
#include <assert.h>
#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#include "gateway/auth/jwt_key_private.h"

#define ES256_SIGNATURE 64 // bytes: r and s
#define ES256_DER_MAX 80

static bool set_padding(EVP_PKEY_CTX *ctx, enum jwt_algorithm algorithm)
{
    if (algorithm == JWT_RS256)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    if (algorithm == JWT_PS256)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
    return true;
}

static bool ran_out_of_memory(void)
{
    for (unsigned long code; (code = ERR_get_error()) != 0;)
        if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
            return true;
    return false;
}

static enum token_verdict verify_public(const struct jwt_key *key, const struct jwt *jwt,
                                        const unsigned char *signature, size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL; // the context's
    const EVP_MD *hash = jwt->algorithm == JWT_EdDSA ? NULL : EVP_sha256();
    enum token_verdict verdict = TOKEN_NO_MEMORY; // no key that was read fails for another reason
    ERR_clear_error();
    if (ctx && EVP_DigestVerifyInit(ctx, &options, hash, NULL, key->pkey) == 1 &&
        set_padding(options, jwt->algorithm)) {
        const unsigned char *text = (const unsigned char *)jwt->text;
        bool ok = EVP_DigestVerify(ctx, signature, len, text, jwt->signed_len) == 1;
        verdict = ok ? TOKEN_ACCEPTED : ran_out_of_memory() ? TOKEN_NO_MEMORY : TOKEN_SIGNATURE;
    }
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return verdict;
}

// RFC 7518 section 3.4: two numbers of 32 bytes, where OpenSSL wants them in DER. Returns the length of `der`, 0 where
// it cannot be made.
static size_t es256_der(const unsigned char *signature, unsigned char der[ES256_DER_MAX])
{
    const int half = ES256_SIGNATURE / 2;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, half, NULL), *s = BN_bin2bn(signature + half, half, NULL);
    int len = 0;
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; // they are the pair's
        len = i2d_ECDSA_SIG(pair, NULL);
        len = len > 0 && len <= ES256_DER_MAX ? i2d_ECDSA_SIG(pair, &der) : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return len > 0 ? (size_t)len : 0;
}

static enum token_verdict verify_secret(const struct jwt_key *key, const struct jwt *jwt)
{
    enum hmac_hash hash = jwt->algorithm == JWT_HS256   ? HMAC_SHA256
                          : jwt->algorithm == JWT_HS384 ? HMAC_SHA384
                                                        : HMAC_SHA512;
    if (hmac_key_verify(key->secrets[hash], jwt->text, jwt->signed_len, jwt->signature, jwt->signature_len))
        return TOKEN_ACCEPTED;
    return errno == ENOMEM ? TOKEN_NO_MEMORY : TOKEN_SIGNATURE;
}

enum token_verdict jwt_key_check(const struct jwt_key *key, const struct jwt *jwt)
{
    unsigned char der[ES256_DER_MAX];
    assert(key->algorithms & JWT_BIT(jwt->algorithm));
    if (!key->pkey)
        return verify_secret(key, jwt);
    if (jwt->algorithm != JWT_ES256)
        return verify_public(key, jwt, jwt->signature, jwt->signature_len);
    if (jwt->signature_len != ES256_SIGNATURE)
        return TOKEN_SIGNATURE;
    size_t len = es256_der(jwt->signature, der);
    return len ? verify_public(key, jwt, der, len) : TOKEN_NO_MEMORY;
}

bool jwt_key_use_once(const struct jwt_key *key, char *error, size_t error_size)
{
    for (unsigned i = 0; i < JWT_ALGORITHM_COUNT; i++) {
        const struct jwt none = {
            .text = "", .algorithm = (enum jwt_algorithm)i, .signature_len = ES256_SIGNATURE};
        if (!(key->algorithms & JWT_BIT(i)) || jwt_key_check(key, &none) == TOKEN_SIGNATURE)
            continue;
        if (key->pkey && EVP_PKEY_is_a(key->pkey, "RSA-PSS"))
            snprintf(
                error, error_size,
                "its parameters exclude PS256, which has SHA-256, MGF1 with SHA-256 and a salt of 32 bytes");
        else
            snprintf(error, error_size, "out of memory");
        return false;
    }
    return true;
}
