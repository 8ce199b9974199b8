// Whether the claims of a token hold now (RFC 7519 section 4.1), and the principal that they make. Pure.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "gateway/auth/principal.h"
#include "gateway/auth/token_policy.h"
#include "gateway/auth/token_verdict.h"

// Seconds by which the clock of an issuer may be ahead ("nbf", "iat"). "exp" has no leeway: streams end then.
#define TOKEN_LEEWAY_S 60
#define TOKEN_PATTERNS_MAX 256 // of one token
#define TOKEN_TEXT_MAX 256     // bytes of "sub" and of "jti"

// ACCEPTED with `*who` (the caller's), or why not: EXPIRED, NOT_YET, ISSUER, AUDIENCE, CLAIMS, NO_MEMORY. "exp" is
// required. The claim of channels is a list of texts, or one text of patterns with blanks between them; a text that is
// no pattern gives nothing, any other type is CLAIMS.
enum token_verdict token_claims_check(const json_t *claims, const struct token_policy *policy, int64_t now_s,
                                      struct principal **who);
