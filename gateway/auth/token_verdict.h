// What came of a token. Pure.
#pragma once

// X(symbol, name in metrics, one line for the client). The lines hold no byte of the token, and none that
// error_description may not have (RFC 6750 section 3).
#define TOKEN_VERDICTS(X)                                                                                    \
    X(ACCEPTED, "accepted", "")                                                                              \
    X(MALFORMED, "malformed", "The token is malformed.")                                                     \
    X(ALGORITHM, "algorithm", "No key here is for the algorithm of the token.")                              \
    X(UNKNOWN_KEY, "unknown_key", "The key of the token is not known.")                                      \
    X(KEY_AWAITED, "key_awaited", "The key of the token is being looked for; try again.")                    \
    X(SIGNATURE, "signature", "The signature of the token is wrong.")                                        \
    X(EXPIRED, "expired", "The token has expired.")                                                          \
    X(NOT_YET, "not_yet", "The token is not valid yet.")                                                     \
    X(ISSUER, "issuer", "The token is of another issuer.")                                                   \
    X(AUDIENCE, "audience", "The token is for another audience.")                                            \
    X(CLAIMS, "claims", "A claim of the token is missing or malformed.")                                     \
    X(NO_MEMORY, "no_memory", "This gateway is too busy; try again.")

enum token_verdict {
#define X(symbol, name, text) TOKEN_##symbol,
    TOKEN_VERDICTS(X)
#undef X
        TOKEN_VERDICT_COUNT
};

const char *token_verdict_text(enum token_verdict verdict);
