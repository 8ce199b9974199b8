// Keys of TLS 1.3 as in RFC 8448, those of TLS 1.2 as OpenSSL makes them.
#include "common/tls_keys.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

TEST(suites_without_forward_secrecy_or_authentication_are_not_known)
{
    ck_assert_ptr_null(tls_suite_find(0x1304)); // AES-128-CCM
    ck_assert_ptr_null(tls_suite_find(0x009c)); // RSA, AES-128-GCM
    ck_assert_ptr_null(tls_suite_find(0xc027)); // ECDHE-RSA, AES-128-CBC
}

// RFC 8448 section 3: {client} derive write traffic keys for application data.
TEST(the_keys_of_tls_1_3_are_those_of_the_rfc)
{
    struct tls_keys k = {
        .secret = "\x9e\x40\x64\x6c\xe7\x9a\x7f\x9d\xc0\x5a\xf8\x88\x9b\xce\x65\x52"
                  "\x87\x5a\xfa\x0b\x06\xdf\x00\x87\xf7\x92\xeb\xb7\xc1\x75\x04\xa5",
        .next = 7,
    };
    ck_assert(tls_keys_derive(tls_suite_find(0x1301), &k));
    ck_assert_mem_eq(k.key, "\x17\x42\x2d\xda\x59\x6e\xd5\xd9\xac\xd8\x90\xe3\xc6\x3f\x50\x51", 16);
    ck_assert_mem_eq(k.iv, "\x5b\x78\x92\x3d\xee\x08\x57\x90\x33\xe5\x23\xd9", 12);
    ck_assert_uint_eq(k.next, 0);
}

static const struct {
    uint16_t suite;
    const char *digest;
    size_t key, iv;
} blocks[] = {
    {0xc02b, "SHA256", 16, 4}, {0xc02c, "SHA384", 32, 4},  {0xc02f, "SHA256", 16, 4},
    {0xc030, "SHA384", 32, 4}, {0xcca8, "SHA256", 32, 12}, {0xcca9, "SHA256", 32, 12},
};

TEST_EACH(the_keys_of_tls_1_2_are_those_that_openssl_makes, blocks)
{
    struct tls_master m;
    struct tls_keys client = {.next = 1}, server = {.next = 2};
    unsigned char block[88];
    size_t key = blocks[_i].key, iv = blocks[_i].iv;
    for (size_t i = 0; i < sizeof m; i++)
        ((unsigned char *)&m)[i] = (unsigned char)(i * 7 + (size_t)_i);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)blocks[_i].digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, m.secret, sizeof m.secret),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, "key expansion", 13),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, m.server_random, sizeof m.server_random),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, m.client_random, sizeof m.client_random),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *prf = EVP_KDF_CTX_new(kdf);
    ck_assert_int_eq(EVP_KDF_derive(prf, block, 2 * (key + iv), params), 1);
    ck_assert(tls_keys_derive_1_2(tls_suite_find(blocks[_i].suite), &m, &client, &server));
    ck_assert_mem_eq(client.key, block, key);
    ck_assert_mem_eq(server.key, block + key, key);
    ck_assert_mem_eq(client.iv, block + 2 * key, iv);
    ck_assert_mem_eq(server.iv, block + 2 * key + iv, iv);
    ck_assert(client.next == 1 && server.next == 2);
    EVP_KDF_CTX_free(prf);
    EVP_KDF_free(kdf);
}
