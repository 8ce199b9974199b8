#include "gateway/client/auth.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/pattern.h"
#include "gateway/auth/authenticator.h"
#include "gateway/client/http_target.h"

static bool is_anonymous(const struct client_settings *settings, const struct stream_channel *channel)
{
    for (size_t i = 0; i < settings->anonymous_count; i++)
        if (pattern_matches(settings->anonymous[i], channel->name, channel->len))
            return true;
    return false;
}

// RFC 6750 section 2.1. Absent where the header is of another scheme; empty where nothing follows the scheme.
static struct http_text bearer(struct http_text authorization)
{
    static const char scheme[] = "bearer";
    size_t len = sizeof scheme - 1;
    if (!authorization.at || authorization.len < len ||
        !http_text_is((struct http_text){authorization.at, len}, scheme))
        return (struct http_text){0};
    struct http_text token = {authorization.at + len, authorization.len - len};
    if (token.len > 0 && token.at[0] != ' ')
        return (struct http_text){0}; // a scheme with a longer name
    return http_text_trim(token);
}

// RFC 6265 section 4.2.1. The first cookie with the name counts, as the one with the longest path comes first.
static struct http_text cookie_value(struct http_text cookie, const char *name)
{
    size_t name_len = strlen(name);
    while (cookie.len > 0) {
        const char *end = memchr(cookie.at, ';', cookie.len);
        size_t len = end ? (size_t)(end - cookie.at) : cookie.len;
        struct http_text pair = http_text_trim((struct http_text){cookie.at, len});
        if (pair.len > name_len && pair.at[name_len] == '=' && memcmp(pair.at, name, name_len) == 0)
            return (struct http_text){pair.at + name_len + 1, pair.len - name_len - 1};
        size_t skip = end ? len + 1 : len;
        cookie = (struct http_text){cookie.at + skip, cookie.len - skip};
    }
    return (struct http_text){0};
}

// Absent where the request has none. An empty cookie is as good as none: that is how some are deleted.
static struct http_text find_token(const struct client_settings *settings, const struct http_request *req,
                                   char *decoded)
{
    struct http_text token = bearer(req->authorization);
    if (token.at)
        return token;
    if (settings->token_cookie)
        token = cookie_value(req->cookie, settings->token_cookie);
    if (token.len == 0 && settings->token_query)
        token = http_query_find(req->query, settings->token_query, decoded, HTTP_TARGET_MAX);
    return token.len > 0 ? token : (struct http_text){0};
}

static enum counter counter_of(enum token_verdict verdict)
{
    static const enum counter counters[] = {
#define X(symbol, name, text) COUNTER_TOKENS_##symbol,
        TOKEN_VERDICTS(X)
#undef X
    };
    assert(verdict < TOKEN_VERDICT_COUNT);
    return counters[verdict];
}

int auth_identify(const struct client_settings *settings, struct counters *counters,
                  const struct http_request *req, struct principal **who, char *detail, size_t detail_size)
{
    char decoded[HTTP_TARGET_MAX];
    *who = NULL;
    if (!settings->authenticator)
        return 0;
    struct http_text token = find_token(settings, req, decoded);
    if (!token.at)
        return 0;
    enum token_verdict verdict =
        authenticator_check(settings->authenticator, token.at, token.len, (int64_t)time(NULL), who);
    counter_add(counters, counter_of(verdict), 1);
    snprintf(detail, detail_size, "%s", token_verdict_text(verdict));
    if (verdict == TOKEN_KEY_AWAITED || verdict == TOKEN_NO_MEMORY)
        return AUTH_TRY_AGAIN;
    return verdict == TOKEN_ACCEPTED ? 0 : 401;
}

int auth_check(const struct client_settings *settings, struct counters *counters, const struct principal *who,
               const struct stream_request *want, char *detail, size_t detail_size)
{
    for (size_t i = 0; i < want->channel_count; i++) {
        const struct stream_channel *channel = &want->channels[i];
        if (is_anonymous(settings, channel) || principal_may(who, channel->name, channel->len))
            continue;
        bool could_help = settings->authenticator && !who;
        counter_add(counters, could_help ? COUNTER_DENIED_NO_TOKEN : COUNTER_DENIED_CHANNEL, 1);
        snprintf(detail, detail_size,
                 could_help ? "The channel %s needs a token." : "The channel %s is not open to you.",
                 channel->name);
        return could_help ? 401 : 403;
    }
    return 0;
}

const char *auth_error(const struct client_settings *settings, const struct principal *who,
                       const struct http_request *req, int status)
{
    char decoded[HTTP_TARGET_MAX];
    if (status == 403)
        return settings->authenticator && who ? "insufficient_scope" : NULL;
    if (status != 401)
        return NULL;
    return who || find_token(settings, req, decoded).at ? "invalid_token" : "";
}
