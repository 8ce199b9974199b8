// One-time tickets: what a token said, signed by the gateway for a URL, since an EventSource sends no headers. The
// text is the base64url of
//
//      "sse-ticket-1"  nonce  three times, 8 bytes each  1 byte  texts, each with its NUL     HMAC-SHA256
//                             until when the ticket,     which   subject, token id, patterns  of all before
//                             the token is valid; when   of the
//                             that was issued            first two
//
// Whether a ticket was spent is not known here. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/auth/principal.h"

#define TICKET_LIFE_S 30
#define TICKET_SKEW_S 60   // that the clocks of two gateways may differ
#define TICKET_KEY_MIN 32u // bytes (RFC 7518 section 3.2)
#define TICKET_NONCE 16u
#define TICKET_TEXT_MAX 4096u // characters; it goes into a URL

struct ticket_key {
    const void *bytes;
    size_t len;
};

struct ticket {
    struct principal *who;            // the caller's
    char nonce[2 * TICKET_NONCE + 1]; // in hexadecimal
};

enum ticket_verdict {
    TICKET_ACCEPTED,
    TICKET_MALFORMED, // or signed by another key
    TICKET_EXPIRED,   // or its token has
    TICKET_NO_MEMORY
};

// Writes a ticket for `who` into `out`, which has room for TICKET_TEXT_MAX + 1. `nonce` is random and never used
// again. Returns its length; 0 with errno EMSGSIZE where it would be longer, or another one when out of memory.
size_t ticket_write(const struct ticket_key *key, const struct principal *who,
                    const unsigned char nonce[TICKET_NONCE], int64_t now_s, char *out);
// Reads a ticket that one of `count` keys has signed. `out` counts where it is ACCEPTED.
enum ticket_verdict ticket_read(const struct ticket_key *keys, size_t count, const char *text, size_t len,
                                int64_t now_s, struct ticket *out);
