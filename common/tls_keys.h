// Keys of the records that follow a handshake: for TLS 1.3 of the traffic secrets (RFC 8446 section 7), for TLS 1.2 of
// the master secret (RFC 5246 section 6.3). Of the suites with authenticated encryption and forward secrecy; the
// algorithms are OpenSSL's. For common/tls_records. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_SECRET_MAX 48u // also the bytes of a master secret
#define TLS_RANDOM_SIZE 32u
#define TLS_KEY_MAX 32u
#define TLS_IV_SIZE 12u

enum tls_cipher {
    TLS_CIPHER_AES_128_GCM,
    TLS_CIPHER_AES_256_GCM,
    TLS_CIPHER_CHACHA20_POLY1305,
    TLS_CIPHER_COUNT
};

struct tls_suite {
    uint16_t number; // of the registry (RFC 8446 section 11)
    uint8_t cipher;  // enum tls_cipher
    bool is_1_2;     // else of TLS 1.3
    bool is_sha384;  // else SHA-256
    uint8_t key_size, secret_size;
    uint8_t
        fixed_size; // bytes of the IV that are not in the record: all, but for AES-GCM of TLS 1.2 (RFC 5288)
};

// NULL where there is none.
const struct tls_suite *tls_suite_find(uint16_t number);

// Of one direction.
struct tls_keys {
    unsigned char secret[TLS_SECRET_MAX]; // of TLS 1.3: the next key is made of it
    unsigned char key[TLS_KEY_MAX], iv[TLS_IV_SIZE];
    uint64_t next; // number of the next record with this key; never used twice
};

// TLS 1.3: the key of `secret`, and `next` is 0; the secret that follows it, with its key. False where that failed.
bool tls_keys_derive(const struct tls_suite *s, struct tls_keys *k);
bool tls_keys_update(const struct tls_suite *s, struct tls_keys *k);

// What a handshake of TLS 1.2 has agreed on.
struct tls_master {
    unsigned char secret[TLS_SECRET_MAX];
    unsigned char client_random[TLS_RANDOM_SIZE], server_random[TLS_RANDOM_SIZE];
};

// TLS 1.2: the keys of both directions; `next` stays as it is. False where that failed.
bool tls_keys_derive_1_2(const struct tls_suite *s, const struct tls_master *m, struct tls_keys *client,
                         struct tls_keys *server);
