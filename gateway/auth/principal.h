// Who a client is and which channels it may have, as a token, a ticket or a trusted proxy says. Immutable; of
// any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct principal {
    const char *subject;  // "sub" of a token; NULL: none
    const char *token_id; // "jti" of a token; NULL: none
    int64_t issued_s;     // Unix time ("iat"); 0: not known
    int64_t expires_s;    // Unix time ("exp"); 0: never
    size_t pattern_count;
    const char *const *patterns; // of channels that the client may have (common/pattern.h)
};

// Copies `from` with its texts into one block. NULL when out of memory.
struct principal *principal_create(const struct principal *from);
void principal_destroy(struct principal *p); // may be NULL

// Whether one of its patterns names the channel. `p` may be NULL: nobody, who may have nothing.
bool principal_may(const struct principal *p, const char *channel, size_t len);
