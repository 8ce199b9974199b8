#include "gateway/client/vouched.h"

#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"
#include "gateway/client/http_lookup.h"

// What the headers say, as copies that are terminated.
struct claims {
    char *channels, *subject; // NULL: that header is not there
    const char *patterns[VOUCHED_PATTERNS_MAX];
    size_t count;
};

static enum vouched_result bad(struct vouched_error *error, int status, const char *detail)
{
    *error = (struct vouched_error){.status = status, .detail = detail};
    return VOUCHED_BAD;
}

// Copies the one field called `name`. NULL is no name, and then there is no such field.
static enum vouched_result take_field(struct http_text fields, const char *name, char **copy)
{
    struct http_text value, second;
    size_t cursor = 0;
    if (!name || !http_lookup(fields, &cursor, name, &value))
        return VOUCHED_NOTHING;
    if (http_lookup(fields, &cursor, name, &second))
        return VOUCHED_BAD;
    *copy = strndup(value.at, value.len);
    return *copy ? VOUCHED : VOUCHED_NO_MEMORY;
}

// Splits the list in place. False where a pattern is none, or there are too many.
static bool split_patterns(struct claims *c)
{
    char *rest = NULL;
    for (char *p = strtok_r(c->channels, ", \t", &rest); p; p = strtok_r(NULL, ", \t", &rest)) {
        if (c->count == VOUCHED_PATTERNS_MAX || !pattern_valid(p))
            return false;
        c->patterns[c->count++] = p;
    }
    return true;
}

static enum vouched_result make_principal(struct claims *c, struct principal **who,
                                          struct vouched_error *error)
{
    if (c->channels && !split_patterns(c))
        return bad(error, 403, "The proxy's list of your channels is none of patterns that can be used.");
    if (c->subject && strlen(c->subject) > VOUCHED_SUBJECT_MAX)
        return bad(error, 403, "The subject that the proxy names is too long.");
    *who = principal_create(&(struct principal){.subject = c->subject && *c->subject ? c->subject : NULL,
                                                .patterns = c->patterns,
                                                .pattern_count = c->count});
    return *who ? VOUCHED : VOUCHED_NO_MEMORY;
}

enum vouched_result vouched_identify(const struct vouched_headers *headers, struct http_text fields,
                                     struct principal **who, struct vouched_error *error)
{
    struct claims c = {0};
    enum vouched_result channels = take_field(fields, headers->channels, &c.channels);
    enum vouched_result subject = take_field(fields, headers->subject, &c.subject);
    enum vouched_result result = VOUCHED_NOTHING;
    if (channels == VOUCHED_BAD || subject == VOUCHED_BAD)
        result = bad(error, 400, "A header that only the proxy may send is there twice.");
    else if (channels == VOUCHED_NO_MEMORY || subject == VOUCHED_NO_MEMORY)
        result = VOUCHED_NO_MEMORY;
    else if (c.channels || c.subject)
        result = make_principal(&c, who, error);
    free(c.channels);
    free(c.subject);
    return result;
}
