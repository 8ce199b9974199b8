// The keys of session tickets (RFC 5077, RFC 8446 section 4.6.1): one encrypts, all decrypt. They come from a
// file that replicas share, or are random ones of this process, which are replaced in time. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_TICKET_KEYS_MAX 16
#define TLS_TICKET_LIFETIME_S 7200u // a session is resumed for this long

struct tls_ticket_key {
    unsigned char name[16]; // stands in the ticket; a digest of the two below
    unsigned char cipher[32], mac[32];
    uint64_t made_at_ms; // of a random key
};

struct tls_ticket_keys {
    size_t count;
    struct tls_ticket_key keys[TLS_TICKET_KEYS_MAX];
};

struct tls_tickets;

// With random keys. NULL when out of memory.
struct tls_tickets *tls_tickets_create(void);
void tls_tickets_destroy(struct tls_tickets *t); // may be NULL

// Reads a file with a key a line: 128 hexadecimal digits, as `openssl rand -hex 64` makes them; empty lines
// and those that begin with # are skipped. False, and one line in `error`.
bool tls_ticket_keys_read(const char *file, struct tls_ticket_keys *out, char *error, size_t error_size);
// From now on with these; NULL or none: with random ones.
void tls_tickets_use(struct tls_tickets *t, const struct tls_ticket_keys *keys);

// The key that encrypts, at `now_ms` of the monotonic clock. False where no random key can be made.
bool tls_tickets_first(struct tls_tickets *t, uint64_t now_ms, struct tls_ticket_key *out);
// The key with that name. False where there is none any more.
bool tls_tickets_find(struct tls_tickets *t, uint64_t now_ms, const unsigned char name[16],
                      struct tls_ticket_key *out);
