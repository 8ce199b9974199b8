#include "gateway/auth/token_claims.h"

#include <math.h>
#include <string.h>

#include "common/pattern.h"
#include "gateway/auth/grant.h"
#include "gateway/auth/json_strict.h"

#define TIME_MAX 253402300799.0 // the last second of the year 9999

enum time_claim { TIME_MISSING, TIME_GOOD, TIME_BAD };

static enum time_claim read_time(const json_t *claims, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(claims, name);
    *out = 0;
    if (!value)
        return TIME_MISSING;
    double seconds = json_is_number(value) ? json_number_value(value) : -1.0;
    if (!(seconds >= 0.0 && seconds <= TIME_MAX))
        return TIME_BAD;
    *out = (int64_t)floor(seconds);
    return TIME_GOOD;
}

static enum token_verdict check_times(const json_t *claims, int64_t now_s, struct principal *who)
{
    int64_t not_before;
    enum time_claim nbf = read_time(claims, "nbf", &not_before),
                    iat = read_time(claims, "iat", &who->issued_s);
    if (read_time(claims, "exp", &who->expires_s) != TIME_GOOD || nbf == TIME_BAD || iat == TIME_BAD)
        return TOKEN_CLAIMS;
    if (who->expires_s <= now_s)
        return TOKEN_EXPIRED;
    return not_before > now_s + TOKEN_LEEWAY_S || who->issued_s > now_s + TOKEN_LEEWAY_S ? TOKEN_NOT_YET
                                                                                         : TOKEN_ACCEPTED;
}

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; text && i < count; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

static bool is_for_us(const json_t *aud, const struct token_policy *policy)
{
    bool found = is_one_of(json_strict_text(aud), policy->audiences, policy->audience_count);
    for (size_t i = 0; i < json_array_size(aud); i++)
        found = found || is_one_of(json_strict_text(json_array_get(aud, i)), policy->audiences,
                                   policy->audience_count);
    return found;
}

static enum token_verdict check_parties(const json_t *claims, const struct token_policy *policy)
{
    if (policy->issuer && !is_one_of(json_strict_text(json_object_get(claims, "iss")), &policy->issuer, 1))
        return TOKEN_ISSUER;
    if (policy->audience_count > 0 && !is_for_us(json_object_get(claims, "aud"), policy))
        return TOKEN_AUDIENCE;
    return TOKEN_ACCEPTED;
}

// A text that may be absent, but not of another type, empty or long.
static bool read_text(const json_t *claims, const char *name, const char **out)
{
    const json_t *value = json_object_get(claims, name);
    *out = json_strict_text(value);
    return !value || (*out && **out && strlen(*out) <= TOKEN_TEXT_MAX);
}

// The patterns that a token gives, while they are collected.
struct patterns {
    size_t count;
    const char *at[TOKEN_PATTERNS_MAX];
    char made[TOKEN_PATTERNS_MAX][GRANT_SIZE]; // those that do not stand in the claims as they are
};

// False where there are too many.
static bool add_pattern(struct patterns *p, const char *text, size_t len)
{
    if (p->count == TOKEN_PATTERNS_MAX)
        return false;
    char *copy = p->made[p->count];
    if (len >= GRANT_SIZE)
        return true; // no pattern is this long
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (pattern_valid(copy))
        p->at[p->count++] = copy;
    return true;
}

static bool add_words(struct patterns *p, const char *text)
{
    for (size_t len; *(text += strspn(text, " ")); text += len) {
        len = strcspn(text, " ");
        if (!add_pattern(p, text, len))
            return false;
    }
    return true;
}

static bool add_claim(struct patterns *p, const json_t *claim)
{
    if (!claim)
        return true;
    if (json_is_string(claim))
        return add_words(p, json_string_value(claim));
    bool ok = json_is_array(claim);
    for (size_t i = 0; ok && i < json_array_size(claim); i++) {
        const json_t *item = json_array_get(claim, i);
        ok = json_is_string(item) && add_pattern(p, json_string_value(item), json_string_length(item));
    }
    return ok;
}

static bool collect(struct patterns *p, const json_t *claims, const struct token_policy *policy)
{
    char filled[GRANT_SIZE];
    if (!add_claim(p, json_object_get(claims, policy->channels_claim)))
        return false;
    for (size_t i = 0; i < policy->grant_count; i++)
        if (grant_fill(policy->grants[i], claims, filled) && !add_pattern(p, filled, strlen(filled)))
            return false;
    return true;
}

enum token_verdict token_claims_check(const json_t *claims, const struct token_policy *policy, int64_t now_s,
                                      struct principal **who)
{
    struct principal draft = {0};
    struct patterns patterns;
    patterns.count = 0;
    enum token_verdict verdict = check_times(claims, now_s, &draft);
    if (verdict == TOKEN_ACCEPTED)
        verdict = check_parties(claims, policy);
    if (verdict != TOKEN_ACCEPTED)
        return verdict;
    if (!read_text(claims, "sub", &draft.subject) || !read_text(claims, "jti", &draft.token_id) ||
        !collect(&patterns, claims, policy))
        return TOKEN_CLAIMS;
    draft.patterns = patterns.at;
    draft.pattern_count = patterns.count;
    *who = principal_create(&draft);
    return *who ? TOKEN_ACCEPTED : TOKEN_NO_MEMORY;
}
