#include "common/tls_records.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define KEY_MAX 32
#define IV_SIZE 12
#define TAG_SIZE 16
#define LABEL_MAX 16

// RFC 8446 section B.4.
static const struct suite {
    uint16_t number;
    const char *cipher;
    const EVP_MD *(*digest)(void);
    uint8_t key_size, secret_size;
} suites[] = {
    {0x1301, "AES-128-GCM", EVP_sha256, 16, 32},
    {0x1302, "AES-256-GCM", EVP_sha384, 32, 48},
    {0x1303, "ChaCha20-Poly1305", EVP_sha256, 32, 32},
};

#define SUITES (sizeof suites / sizeof *suites)

struct tls_crypt {
    EVP_CIPHER_CTX *contexts[SUITES][2]; // that decrypt, that encrypt
};

struct direction {
    unsigned char secret[TLS_SECRET_MAX];
    unsigned char key[KEY_MAX], iv[IV_SIZE];
    uint64_t next; // number of the next record with this key; never used twice
};

struct tls_records {
    struct tls_crypt *crypt; // borrowed
    const struct suite *suite;
    struct direction received, sent;
};

static bool make_context(struct tls_crypt *c, size_t suite, int encrypts)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, suites[suite].cipher, NULL);
    EVP_CIPHER_CTX *context = c->contexts[suite][encrypts] = EVP_CIPHER_CTX_new();
    bool ok = cipher && context && EVP_CipherInit_ex2(context, cipher, NULL, NULL, encrypts, NULL) == 1;
    EVP_CIPHER_free(cipher); // the context has a reference of its own
    return ok;
}

struct tls_crypt *tls_crypt_create(void)
{
    struct tls_crypt *c = calloc(1, sizeof *c);
    bool ok = c != NULL;
    for (size_t i = 0; ok && i < SUITES; i++)
        ok = make_context(c, i, 0) && make_context(c, i, 1);
    if (ok)
        return c;
    tls_crypt_destroy(c);
    return NULL;
}

void tls_crypt_destroy(struct tls_crypt *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SUITES; i++) {
        EVP_CIPHER_CTX_free(c->contexts[i][0]);
        EVP_CIPHER_CTX_free(c->contexts[i][1]);
    }
    free(c);
}

// HKDF-Expand-Label (RFC 8446 section 7.1) without a context. What is asked for is never longer than the
// digest, so that HKDF-Expand (RFC 5869 section 2.3) is one HMAC.
static bool expand_label(const struct suite *s, const unsigned char *secret, const char *label,
                         unsigned char *out, size_t size)
{
    unsigned char info[4 + 6 + LABEL_MAX + 1], digest[EVP_MAX_MD_SIZE];
    size_t label_len = strlen(label), len = 0;
    assert(label_len <= LABEL_MAX && size <= s->secret_size);
    info[len++] = 0;
    info[len++] = (unsigned char)size;
    info[len++] = (unsigned char)(6 + label_len);
    memcpy(info + len, "tls13 ", 6);
    memcpy(info + len + 6, label, label_len);
    len += 6 + label_len;
    info[len++] = 0; // length of the context
    info[len++] = 1; // number of the block
    bool ok = HMAC(s->digest(), secret, s->secret_size, info, len, digest, NULL) != NULL;
    if (ok)
        memcpy(out, digest, size);
    explicit_bzero(digest, sizeof digest);
    return ok;
}

static bool derive_keys(const struct suite *s, struct direction *d)
{
    bool ok = expand_label(s, d->secret, "key", d->key, s->key_size) &&
              expand_label(s, d->secret, "iv", d->iv, IV_SIZE);
    if (ok)
        d->next = 0; // not before: an old key must not see a number twice
    return ok;
}

static bool update(const struct suite *s, struct direction *d)
{
    return expand_label(s, d->secret, "traffic upd", d->secret, s->secret_size) && derive_keys(s, d);
}

struct tls_records *tls_records_create(struct tls_crypt *crypt, uint16_t suite,
                                       const unsigned char *client_secret, const unsigned char *server_secret,
                                       uint64_t sent)
{
    size_t i = 0;
    while (i < SUITES && suites[i].number != suite)
        i++;
    struct tls_records *r = i < SUITES ? calloc(1, sizeof *r) : NULL;
    if (!r)
        return NULL;
    r->crypt = crypt;
    r->suite = &suites[i];
    memcpy(r->received.secret, client_secret, suites[i].secret_size);
    memcpy(r->sent.secret, server_secret, suites[i].secret_size);
    if (derive_keys(r->suite, &r->received) && derive_keys(r->suite, &r->sent)) {
        r->sent.next = sent;
        return r;
    }
    tls_records_destroy(r);
    return NULL;
}

void tls_records_destroy(struct tls_records *r)
{
    if (r)
        explicit_bzero(r, sizeof *r);
    free(r);
}

size_t tls_records_bytes(void)
{
    return memory_block(sizeof(struct tls_records));
}

// The cipher with the key, and the nonce of the next record (RFC 8446 section 5.3), which is used up.
static EVP_CIPHER_CTX *prepare(struct tls_records *r, struct direction *d, int encrypts)
{
    EVP_CIPHER_CTX *context = r->crypt->contexts[r->suite - suites][encrypts];
    unsigned char nonce[IV_SIZE];
    memcpy(nonce, d->iv, sizeof nonce);
    for (unsigned i = 0; i < 8; i++)
        nonce[IV_SIZE - 1 - i] ^= (unsigned char)(d->next >> 8 * i);
    d->next++;
    assert(d->next != 0);
    return EVP_CipherInit_ex2(context, NULL, d->key, nonce, encrypts, NULL) == 1 ? context : NULL;
}

size_t tls_records_seal(struct tls_records *r, uint8_t type, const void *bytes, size_t len,
                        unsigned char *out)
{
    size_t body = len + 1 + TAG_SIZE;
    const unsigned char header[TLS_RECORD_HEADER] = {TLS_TYPE_DATA, 3, 3, (unsigned char)(body >> 8),
                                                     (unsigned char)body};
    EVP_CIPHER_CTX *c = prepare(r, &r->sent, 1);
    int n, done = 0, last = 0, end = 0;
    assert(len <= 16384);
    memcpy(out, header, sizeof header);
    unsigned char *at = out + sizeof header;
    bool ok = c && EVP_EncryptUpdate(c, NULL, &n, header, sizeof header) == 1 &&
              (len == 0 || EVP_EncryptUpdate(c, at, &done, bytes, (int)len) == 1) &&
              EVP_EncryptUpdate(c, at + done, &last, &type, 1) == 1 &&
              EVP_EncryptFinal_ex(c, at + done + last, &end) == 1 && done + last + end == (int)len + 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, at + len + 1) == 1;
    return ok ? sizeof header + body : 0;
}

bool tls_records_is_worn(const struct tls_records *r)
{
    return r->sent.next >= TLS_RECORDS_PER_KEY;
}

ssize_t tls_records_open(struct tls_records *r, const unsigned char *record, size_t len, unsigned char *out,
                         uint8_t *type)
{
    unsigned char tag[TAG_SIZE];
    int n, done = 0, end = 0;
    if (len < TAG_SIZE + 1)
        return -1;
    size_t inner = len - TAG_SIZE;
    memcpy(tag, record + TLS_RECORD_HEADER + inner, sizeof tag);
    EVP_CIPHER_CTX *c = prepare(r, &r->received, 0);
    bool ok = c && EVP_DecryptUpdate(c, NULL, &n, record, TLS_RECORD_HEADER) == 1 &&
              EVP_DecryptUpdate(c, out, &done, record + TLS_RECORD_HEADER, (int)inner) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
              EVP_DecryptFinal_ex(c, out + done, &end) == 1 && done + end == (int)inner;
    while (ok && inner > 0 && out[inner - 1] == 0) // padding
        inner--;
    if (!ok)
        return -1;
    *type = 0;
    if (inner == 0)
        return 0;
    *type = out[inner - 1];
    return (ssize_t)inner - 1;
}

bool tls_records_update_sent(struct tls_records *r)
{
    return update(r->suite, &r->sent);
}

bool tls_records_update_received(struct tls_records *r)
{
    return update(r->suite, &r->received);
}
