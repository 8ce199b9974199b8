// Who a client is and which channels it may have, as a token, a ticket or a trusted proxy says. Immutable but for
// `ends_ms`; of one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct principal {
    const char *subject;  // "sub" of a token; NULL: none
    const char *token_id; // "jti" of a token; NULL: none
    int64_t issued_s;     // Unix time ("iat"); 0: not known
    int64_t expires_s;    // Unix time ("exp"); 0: never
    uint64_t ends_ms;     // the same on the monotonic clock, once principal_admit was called
    size_t pattern_count;
    const char *const *patterns; // of channels that the client may have (common/pattern.h)
};

// Copies `from` with its texts into one block. NULL when out of memory.
struct principal *principal_create(const struct principal *from);
void principal_destroy(struct principal *p); // may be NULL

// Its stream is admitted now: fixes `ends_ms`, which a step of the wall clock does not move any more. `now_s`: Unix
// time, `now_ms`: monotonic. `p` may be NULL.
void principal_admit(struct principal *p, int64_t now_s, uint64_t now_ms);
// Milliseconds until it expires, at most PRINCIPAL_FAR_MS; 0 where it has. `p` may be NULL: nobody, who never expires.
#define PRINCIPAL_FAR_MS 86400000u
uint32_t principal_lasts_ms(const struct principal *p, uint64_t now_ms);

// Whether one of its patterns names the channel. `p` may be NULL: nobody, who may have nothing.
bool principal_may(const struct principal *p, const char *channel, size_t len);
