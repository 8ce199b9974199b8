#include "common/tls_records.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define TAG_SIZE 16
#define AAD_MAX 13

struct tls_crypt {
    EVP_CIPHER_CTX *contexts[TLS_CIPHER_COUNT][2]; // that decrypt, that encrypt
};

struct tls_records {
    struct tls_crypt *crypt; // borrowed
    const struct tls_suite *suite;
    struct tls_keys received, sent;
};

static bool make_context(struct tls_crypt *c, size_t i, int encrypts)
{
    static const char *const names[TLS_CIPHER_COUNT] = {[TLS_CIPHER_AES_128_GCM] = "AES-128-GCM",
                                                        [TLS_CIPHER_AES_256_GCM] = "AES-256-GCM",
                                                        [TLS_CIPHER_CHACHA20_POLY1305] = "ChaCha20-Poly1305"};
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, names[i], NULL);
    EVP_CIPHER_CTX *context = c->contexts[i][encrypts] = EVP_CIPHER_CTX_new();
    bool ok = cipher && context && EVP_CipherInit_ex2(context, cipher, NULL, NULL, encrypts, NULL) == 1;
    EVP_CIPHER_free(cipher); // the context has a reference of its own
    return ok;
}

struct tls_crypt *tls_crypt_create(void)
{
    struct tls_crypt *c = calloc(1, sizeof *c);
    bool ok = c != NULL;
    for (size_t i = 0; ok && i < TLS_CIPHER_COUNT; i++)
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
    for (size_t i = 0; i < TLS_CIPHER_COUNT; i++) {
        EVP_CIPHER_CTX_free(c->contexts[i][0]);
        EVP_CIPHER_CTX_free(c->contexts[i][1]);
    }
    free(c);
}

static struct tls_records *create(struct tls_crypt *crypt, const struct tls_suite *suite)
{
    struct tls_records *r = calloc(1, sizeof *r);
    if (r) {
        r->crypt = crypt;
        r->suite = suite;
    }
    return r;
}

struct tls_records *tls_records_create(struct tls_crypt *crypt, const struct tls_suite *suite,
                                       const unsigned char *client_secret, const unsigned char *server_secret,
                                       uint64_t sent)
{
    struct tls_records *r = create(crypt, suite);
    assert(!suite->is_1_2);
    if (!r)
        return NULL;
    memcpy(r->received.secret, client_secret, suite->secret_size);
    memcpy(r->sent.secret, server_secret, suite->secret_size);
    if (tls_keys_derive(suite, &r->received) && tls_keys_derive(suite, &r->sent)) {
        r->sent.next = sent;
        return r;
    }
    tls_records_destroy(r);
    return NULL;
}

struct tls_records *tls_records_create_1_2(struct tls_crypt *crypt, const struct tls_suite *suite,
                                           const struct tls_keys *received, const struct tls_keys *sent)
{
    struct tls_records *r = create(crypt, suite);
    assert(suite->is_1_2);
    if (r) {
        r->received = *received;
        r->sent = *sent;
    }
    return r;
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

bool tls_records_are_1_2(const struct tls_records *r)
{
    return r->suite->is_1_2;
}

static void put_number(uint64_t number, unsigned char out[8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (unsigned char)(number >> (56 - 8 * i));
}

// Bytes of the nonce that stand in the record (RFC 5288 section 3).
static size_t explicit_size(const struct tls_records *r)
{
    return TLS_IV_SIZE - r->suite->fixed_size;
}

// Bytes of a record's body beside its plain bytes: explicit nonce, content type and tag, without padding.
static size_t expansion(const struct tls_records *r)
{
    return explicit_size(r) + !r->suite->is_1_2 + TAG_SIZE;
}

// The cipher with the key, and the nonce of the next record, which is used up (RFC 8446 section 5.3, RFC 7905 section
// 2); where a part of the nonce is explicit, `in_record` is that. Sets `*number`.
static EVP_CIPHER_CTX *prepare(struct tls_records *r, struct tls_keys *k, const unsigned char *in_record,
                               uint64_t *number, int encrypts)
{
    EVP_CIPHER_CTX *context = r->crypt->contexts[r->suite->cipher][encrypts];
    unsigned char nonce[TLS_IV_SIZE], text[8];
    memcpy(nonce, k->iv, sizeof nonce);
    *number = k->next++;
    assert(k->next != 0);
    put_number(*number, text);
    if (explicit_size(r) > 0)
        memcpy(nonce + r->suite->fixed_size, in_record, sizeof text);
    for (unsigned i = 0; explicit_size(r) == 0 && i < sizeof text; i++)
        nonce[TLS_IV_SIZE - sizeof text + i] ^= text[i];
    return EVP_CipherInit_ex2(context, NULL, k->key, nonce, encrypts, NULL) == 1 ? context : NULL;
}

// What is authenticated beside the bytes: the header; of TLS 1.2 also the number of the record, and with the number of
// plain bytes in the place of the length (RFC 5246 section 6.2.3.3). Returns its length.
static size_t make_aad(const struct tls_records *r, uint64_t number, const unsigned char *header, size_t len,
                       unsigned char aad[AAD_MAX])
{
    if (!r->suite->is_1_2) {
        memcpy(aad, header, TLS_RECORD_HEADER);
        return TLS_RECORD_HEADER;
    }
    put_number(number, aad);
    memcpy(aad + 8, header, 3);
    aad[11] = (unsigned char)(len >> 8);
    aad[12] = (unsigned char)len;
    return AAD_MAX;
}

size_t tls_records_seal(struct tls_records *r, uint8_t type, const void *bytes, size_t len,
                        unsigned char *out)
{
    size_t body = len + expansion(r), inner = len + !r->suite->is_1_2;
    unsigned char aad[AAD_MAX], *at = out + TLS_RECORD_HEADER;
    uint64_t number;
    int n, done = 0, last = 0, end = 0;
    assert(len <= TLS_RECORD_MAX);
    out[0] = r->suite->is_1_2 ? type : TLS_TYPE_DATA;
    out[1] = out[2] = 3;
    out[3] = (unsigned char)(body >> 8);
    out[4] = (unsigned char)body;
    // Any that is not used twice will do (RFC 5288 section 3). OpenSSL took one of 2^64 at random for Finished.
    if (explicit_size(r) > 0)
        put_number(r->sent.next, at);
    EVP_CIPHER_CTX *c = prepare(r, &r->sent, at, &number, 1);
    at += explicit_size(r);
    bool ok = c && EVP_EncryptUpdate(c, NULL, &n, aad, (int)make_aad(r, number, out, len, aad)) == 1 &&
              (len == 0 || EVP_EncryptUpdate(c, at, &done, bytes, (int)len) == 1) &&
              (r->suite->is_1_2 || EVP_EncryptUpdate(c, at + done, &last, &type, 1) == 1) &&
              EVP_EncryptFinal_ex(c, at + done + last, &end) == 1 && done + last + end == (int)inner &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, at + inner) == 1;
    return ok ? TLS_RECORD_HEADER + body : 0;
}

bool tls_records_is_worn(const struct tls_records *r)
{
    return !r->suite->is_1_2 && r->sent.next >= TLS_RECORDS_PER_KEY;
}

// Takes padding and the content type, which stand behind the bytes in TLS 1.3. Returns the number of bytes before them.
static size_t take_type(const unsigned char *out, size_t inner, uint8_t *type)
{
    while (inner > 0 && out[inner - 1] == 0)
        inner--;
    *type = inner > 0 ? out[inner - 1] : 0;
    return inner > 0 ? inner - 1 : 0;
}

ssize_t tls_records_open(struct tls_records *r, const unsigned char *record, size_t len, unsigned char *out,
                         uint8_t *type)
{
    unsigned char tag[TAG_SIZE], aad[AAD_MAX];
    uint64_t number;
    int n, done = 0, end = 0;
    if (len < expansion(r))
        return -1;
    size_t inner = len - explicit_size(r) - TAG_SIZE;
    const unsigned char *at = record + TLS_RECORD_HEADER;
    EVP_CIPHER_CTX *c = prepare(r, &r->received, at, &number, 0);
    at += explicit_size(r);
    memcpy(tag, at + inner, sizeof tag);
    bool ok = c && EVP_DecryptUpdate(c, NULL, &n, aad, (int)make_aad(r, number, record, inner, aad)) == 1 &&
              (inner == 0 || EVP_DecryptUpdate(c, out, &done, at, (int)inner) == 1) &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
              EVP_DecryptFinal_ex(c, out + done, &end) == 1 && done + end == (int)inner;
    if (!ok)
        return -1;
    *type = record[0];
    return (ssize_t)(r->suite->is_1_2 ? inner : take_type(out, inner, type));
}

bool tls_records_update_sent(struct tls_records *r)
{
    assert(!r->suite->is_1_2);
    return tls_keys_update(r->suite, &r->sent);
}

bool tls_records_update_received(struct tls_records *r)
{
    assert(!r->suite->is_1_2);
    return tls_keys_update(r->suite, &r->received);
}
