#include "gateway/auth/hmac.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>

struct hmac_key {
    size_t size;          // of its codes
    pthread_mutex_t lock; // guards `ctx`
    EVP_MAC_CTX *ctx;     // has the key, and begins anew for each code
};

static const EVP_MD *hash_of(enum hmac_hash hash)
{
    return hash == HMAC_SHA256 ? EVP_sha256() : hash == HMAC_SHA384 ? EVP_sha384() : EVP_sha512();
}

size_t hmac_size(enum hmac_hash hash)
{
    return hash == HMAC_SHA256 ? 32 : hash == HMAC_SHA384 ? 48 : 64;
}

bool hmac_sign(enum hmac_hash hash, const void *key, size_t key_len, const void *data, size_t len,
               unsigned char *out)
{
    unsigned out_len = 0;
    assert(key_len <= INT_MAX);
    return HMAC(hash_of(hash), key, (int)key_len, data, len, out, &out_len) && out_len == hmac_size(hash);
}

// `signed_ok`: `own` is the code of the data.
static bool is_same(bool signed_ok, const unsigned char *own, size_t size, const unsigned char *code,
                    size_t code_len)
{
    errno = signed_ok ? EINVAL : ENOMEM;
    return signed_ok && code_len == size && CRYPTO_memcmp(own, code, code_len) == 0;
}

bool hmac_verify(enum hmac_hash hash, const void *key, size_t key_len, const void *data, size_t len,
                 const unsigned char *code, size_t code_len)
{
    unsigned char own[HMAC_MAX];
    bool signed_ok = hmac_sign(hash, key, key_len, data, len, own);
    return is_same(signed_ok, own, hmac_size(hash), code, code_len);
}

static EVP_MAC_CTX *context_create(enum hmac_hash hash, const void *key, size_t key_len)
{
    char *digest = (char *)EVP_MD_get0_name(hash_of(hash)); // it is only read
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); // the context has a reference of its own
    if (ctx && EVP_MAC_init(ctx, key, key_len, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

struct hmac_key *hmac_key_create(enum hmac_hash hash, const void *key, size_t key_len)
{
    struct hmac_key *k = calloc(1, sizeof *k);
    if (!k || !(k->ctx = context_create(hash, key, key_len))) {
        free(k);
        return NULL;
    }
    k->size = hmac_size(hash);
    (void)pthread_mutex_init(&k->lock, NULL); // cannot fail without attributes (pthread_mutex_init(3))
    return k;
}

void hmac_key_destroy(struct hmac_key *k)
{
    if (!k)
        return;
    EVP_MAC_CTX_free(k->ctx);
    (void)pthread_mutex_destroy(&k->lock); // nobody holds it
    free(k);
}

bool hmac_key_verify(struct hmac_key *k, const void *data, size_t len, const unsigned char *code,
                     size_t code_len)
{
    unsigned char own[HMAC_MAX];
    size_t own_len = 0;
    pthread_mutex_lock(&k->lock);
    bool signed_ok = EVP_MAC_init(k->ctx, NULL, 0, NULL) == 1 && EVP_MAC_update(k->ctx, data, len) == 1 &&
                     EVP_MAC_final(k->ctx, own, &own_len, sizeof own) == 1 && own_len == k->size;
    pthread_mutex_unlock(&k->lock);
    return is_same(signed_ok, own, k->size, code, code_len);
}
