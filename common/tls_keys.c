#include "common/tls_keys.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define LABEL_MAX 16

// RFC 8446 section B.4, RFC 5289 section 3.2, RFC 7905 section 2.
static const struct tls_suite suites[] = {
    {0x1301, TLS_CIPHER_AES_128_GCM, false, false, 16, 32, 12},
    {0x1302, TLS_CIPHER_AES_256_GCM, false, true, 32, 48, 12},
    {0x1303, TLS_CIPHER_CHACHA20_POLY1305, false, false, 32, 32, 12},
    {0xc02b, TLS_CIPHER_AES_128_GCM, true, false, 16, 48, 4},        // ECDHE-ECDSA
    {0xc02c, TLS_CIPHER_AES_256_GCM, true, true, 32, 48, 4},         //
    {0xc02f, TLS_CIPHER_AES_128_GCM, true, false, 16, 48, 4},        // ECDHE-RSA
    {0xc030, TLS_CIPHER_AES_256_GCM, true, true, 32, 48, 4},         //
    {0xcca8, TLS_CIPHER_CHACHA20_POLY1305, true, false, 32, 48, 12}, //
    {0xcca9, TLS_CIPHER_CHACHA20_POLY1305, true, false, 32, 48, 12}, // ECDHE-ECDSA
};

const struct tls_suite *tls_suite_find(uint16_t number)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        if (suites[i].number == number)
            return &suites[i];
    }
    return NULL;
}

static bool hmac(const struct tls_suite *s, const unsigned char *secret, const unsigned char *bytes,
                 size_t len, unsigned char digest[EVP_MAX_MD_SIZE])
{
    return HMAC(s->is_sha384 ? EVP_sha384() : EVP_sha256(), secret, s->secret_size, bytes, len, digest,
                NULL) != NULL;
}

// HKDF-Expand-Label (RFC 8446 section 7.1) without a context. What is asked for is never longer than the
// digest, so that HKDF-Expand (RFC 5869 section 2.3) is one HMAC.
static bool expand_label(const struct tls_suite *s, const unsigned char *secret, const char *label,
                         unsigned char *out, size_t size)
{
    unsigned char info[4 + 6 + LABEL_MAX + 1], digest[EVP_MAX_MD_SIZE];
    size_t label_len = strlen(label), len = 0;
    assert(!s->is_1_2 && label_len <= LABEL_MAX && size <= s->secret_size);
    info[len++] = 0;
    info[len++] = (unsigned char)size;
    info[len++] = (unsigned char)(6 + label_len);
    memcpy(info + len, "tls13 ", 6);
    memcpy(info + len + 6, label, label_len);
    len += 6 + label_len;
    info[len++] = 0; // length of the context
    info[len++] = 1; // number of the block
    bool ok = hmac(s, secret, info, len, digest);
    if (ok)
        memcpy(out, digest, size);
    explicit_bzero(digest, sizeof digest);
    return ok;
}

bool tls_keys_derive(const struct tls_suite *s, struct tls_keys *k)
{
    bool ok = expand_label(s, k->secret, "key", k->key, s->key_size) &&
              expand_label(s, k->secret, "iv", k->iv, s->fixed_size);
    if (ok)
        k->next = 0; // not before: an old key must not see a number twice
    return ok;
}

bool tls_keys_update(const struct tls_suite *s, struct tls_keys *k)
{
    return expand_label(s, k->secret, "traffic upd", k->secret, s->secret_size) && tls_keys_derive(s, k);
}

#define EXPANSION "key expansion"
#define SEED_SIZE (sizeof EXPANSION - 1 + 2 * TLS_RANDOM_SIZE)

// P_hash (RFC 5246 section 5): as many blocks of the digest as `size` needs.
static bool expand_master(const struct tls_suite *s, const struct tls_master *m, unsigned char *out,
                          size_t size)
{
    unsigned char seed[EVP_MAX_MD_SIZE + SEED_SIZE], digest[EVP_MAX_MD_SIZE];
    size_t digest_size = s->is_sha384 ? 48 : 32;
    unsigned char *end = seed + digest_size; // A(i) stands before the seed
    memcpy(end, EXPANSION, sizeof EXPANSION - 1);
    memcpy(end + sizeof EXPANSION - 1, m->server_random, TLS_RANDOM_SIZE);
    memcpy(end + sizeof EXPANSION - 1 + TLS_RANDOM_SIZE, m->client_random, TLS_RANDOM_SIZE);
    bool ok = hmac(s, m->secret, end, SEED_SIZE, seed);
    for (size_t done = 0; ok && done < size; done += digest_size) {
        size_t n = size - done < digest_size ? size - done : digest_size;
        ok = hmac(s, m->secret, seed, digest_size + SEED_SIZE, digest);
        memcpy(out + done, digest, n);
        ok = ok && hmac(s, m->secret, seed, digest_size, digest);
        memcpy(seed, digest, digest_size);
    }
    explicit_bzero(digest, sizeof digest);
    explicit_bzero(seed, sizeof seed);
    return ok;
}

bool tls_keys_derive_1_2(const struct tls_suite *s, const struct tls_master *m, struct tls_keys *client,
                         struct tls_keys *server)
{
    unsigned char block[2 * (TLS_KEY_MAX + TLS_IV_SIZE)];
    assert(s->is_1_2 && s->secret_size == TLS_SECRET_MAX);
    bool ok = expand_master(s, m, block, 2u * (s->key_size + s->fixed_size));
    if (ok) {
        const unsigned char *ivs = block + 2 * s->key_size; // there are no keys for a MAC
        memcpy(client->key, block, s->key_size);
        memcpy(server->key, block + s->key_size, s->key_size);
        memcpy(client->iv, ivs, s->fixed_size);
        memcpy(server->iv, ivs + s->fixed_size, s->fixed_size);
    }
    explicit_bzero(block, sizeof block);
    return ok;
}
