#include "gateway/auth/grant.h"

#include <stdio.h>
#include <string.h>

#include "gateway/auth/json_strict.h"

#define CLAIM_NAME_MAX 128

// Copies the name in braces that begins at `at`. Returns the characters with the braces, 0 where it is none.
static size_t claim_name(const char *at, char name[CLAIM_NAME_MAX + 1])
{
    const char *end = strchr(at, '}');
    size_t len = end ? (size_t)(end - at) - 1 : 0;
    if (len == 0 || len > CLAIM_NAME_MAX || memchr(at + 1, '{', len))
        return 0;
    memcpy(name, at + 1, len);
    name[len] = '\0';
    return len + 2;
}

// A name that is reserved alone may be a part of one that is not.
static bool is_channel_text(const char *text)
{
    enum channel_name_result result = channel_name_check(text, strlen(text));
    return result == CHANNEL_NAME_OK || result == CHANNEL_NAME_RESERVED;
}

bool grant_check(const char *template, char *error, size_t error_size)
{
    char plain[GRANT_SIZE + CLAIM_NAME_MAX] = "", name[CLAIM_NAME_MAX + 1];
    size_t n = 0;
    bool ok = true;
    for (const char *at = template; *at && ok; n++) {
        size_t skip = *at == '{' ? claim_name(at, name) : 1;
        ok = skip > 0 && n < CHANNEL_NAME_MAX + 1;
        plain[n] = *at == '{' ? 'x' : *at;
        plain[n + 1] = '\0';
        at += skip;
    }
    if (ok && pattern_valid(plain))
        return true;
    snprintf(error, error_size, "is no channel pattern; write for example user:{sub} or team:{team}:*");
    return false;
}

bool grant_fill(const char *template, const json_t *claims, char out[GRANT_SIZE])
{
    char name[CLAIM_NAME_MAX + 1];
    size_t n = 0;
    for (const char *at = template; *at;) {
        const char *piece = at;
        size_t len = 1, skip = 1;
        if (*at == '{') {
            if (!(skip = claim_name(at, name)) ||
                !(piece = json_strict_text(json_object_get(claims, name))) || !is_channel_text(piece))
                return false;
            len = strlen(piece);
        }
        if (len > GRANT_SIZE - 1 - n)
            return false;
        memcpy(out + n, piece, len);
        n += len;
        at += skip;
    }
    out[n] = '\0';
    return pattern_valid(out);
}
