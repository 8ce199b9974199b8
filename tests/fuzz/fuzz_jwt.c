// Tokens: any bytes as a token, and any claims behind a good signature. What is accepted has an end in the future, and
// patterns that are some.
#include <string.h>

#include "common/pattern.h"
#include "common/base64url.h"
#include "gateway/auth/jwt.h"
#include "gateway/auth/token_claims.h"
#include "tests/fuzz/fuzz.h"

#define NOW 1800000000

static void check_claims(const struct jwt *jwt)
{
    static const char *const grants[] = {"user:{sub}", "{team}/{sub}*"}, *const audiences[] = {"sse"};
    static const struct token_policy open = {
        .channels_claim = "channels", .grants = grants, .grant_count = 2};
    static const struct token_policy strict = {
        .channels_claim = "scope", .issuer = "i", .audiences = audiences, .audience_count = 1};
    const struct token_policy *const policies[] = {&open, &strict};
    json_t *claims = jwt_claims(jwt);
    for (size_t i = 0; claims && i < 2; i++) {
        struct principal *who = NULL;
        enum token_verdict verdict = token_claims_check(claims, policies[i], NOW, &who);
        CHECK((verdict == TOKEN_ACCEPTED) == (who != NULL) && verdict < TOKEN_VERDICT_COUNT);
        if (!who)
            continue;
        CHECK(who->expires_s > NOW && who->issued_s <= NOW + TOKEN_LEEWAY_S &&
              who->pattern_count <= TOKEN_PATTERNS_MAX);
        for (size_t p = 0; p < who->pattern_count; p++)
            CHECK(pattern_valid(who->patterns[p]));
        principal_destroy(who);
    }
    json_decref(claims);
}

static void try_token(const char *token, size_t len)
{
    struct jwt jwt;
    char *copy = must_alloc(len);
    memcpy(copy, token, len);
    if (jwt_split(copy, len, NULL, &jwt) == TOKEN_ACCEPTED) {
        CHECK(jwt.signed_len < len && copy[jwt.signed_len] == '.' && jwt.signature_len <= JWT_SIGNATURE_MAX);
        CHECK(strnlen(jwt.kid, sizeof jwt.kid) < sizeof jwt.kid);
        check_claims(&jwt);
    }
    free(copy);
}

// The same bytes as claims, and as a header, of a token.
static void try_parts(const uint8_t *data, size_t size)
{
    static const char head[] = "eyJhbGciOiJIUzI1NiJ9.", tail[] = ".AAAA";
    char *token = must_alloc(BASE64URL_TEXT(size) + sizeof head + sizeof tail);
    size_t n = sizeof head - 1;
    memcpy(token, head, n);
    n += base64url_encode(data, size, token + n);
    memcpy(token + n, tail, sizeof tail);
    try_token(token, n + sizeof tail - 1);
    n = base64url_encode(data, size, token);
    memcpy(token + n, ".e30.AAAA", sizeof ".e30.AAAA");
    try_token(token, n + sizeof ".e30.AAAA" - 1);
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_token((const char *)data, size);
    try_parts(data, size);
    return 0;
}
