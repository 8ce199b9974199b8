#include "gateway/auth/hmac.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

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

bool hmac_verify(enum hmac_hash hash, const void *key, size_t key_len, const void *data, size_t len,
                 const unsigned char *code, size_t code_len)
{
    unsigned char own[HMAC_MAX];
    if (!hmac_sign(hash, key, key_len, data, len, own)) {
        errno = ENOMEM;
        return false;
    }
    errno = EINVAL;
    return code_len == hmac_size(hash) && CRYPTO_memcmp(own, code, code_len) == 0;
}
