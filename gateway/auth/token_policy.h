// What the options say about the claims of tokens: which are wanted, and which channels they give. Immutable; any
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct token_policy {
    const char *issuer;           // that "iss" must be; NULL: any
    const char *const *audiences; // of which "aud" must have one
    size_t audience_count;        // 0: any
    const char *channels_claim;   // the claim that lists patterns
    const char *const *grants;    // patterns with {claim} in them; see grant.h
    size_t grant_count;
};
