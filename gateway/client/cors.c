#include "gateway/client/cors.h"

#include <string.h>

#include "gateway/client/http_lookup.h"

#define ORIGIN_MAX 300 // as HTTP_RESPONSE_HEAD_MAX has it

bool cors_allows_any(const struct http_policy *p)
{
    return p->cors_origin_count == 1 && strcmp(p->cors_origins[0], "*") == 0;
}

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || http_is_digit(c) || c == '-' || c == '_';
}

// One label or more, as browsers write them: "a", "a.b".
static bool are_labels(const char *at, size_t len)
{
    bool in_label = false;
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '.' ? !in_label : !is_label_byte(at[i]))
            return false;
        in_label = at[i] != '.';
    }
    return in_label;
}

// `pattern`: an origin, in which "*" may stand for the labels in front of a host's name.
static bool matches(const char *pattern, struct http_text origin)
{
    const char *star = strchr(pattern, '*');
    size_t before = star != NULL ? (size_t)(star - pattern) : strlen(pattern);
    size_t after = star != NULL ? strlen(star + 1) : 0;
    if (origin.len < before + after || memcmp(origin.at, pattern, before) != 0)
        return false;
    if (star == NULL)
        return origin.len == before;
    return origin.len <= ORIGIN_MAX && memcmp(origin.at + origin.len - after, star + 1, after) == 0 &&
           are_labels(origin.at + before, origin.len - before - after);
}

static bool is_listed(const struct http_policy *p, struct http_text origin)
{
    for (size_t i = 0; i < p->cors_origin_count; i++)
        if (matches(p->cors_origins[i], origin))
            return true;
    return false;
}

struct http_text cors_allowed_origin(const struct http_policy *p, struct http_text origin)
{
    if (cors_allows_any(p))
        return (struct http_text){"*", 1};
    return origin.at != NULL && is_listed(p, origin) ? origin : (struct http_text){NULL, 0};
}

struct authority {
    struct http_text name, port; // without ':'
};

static struct authority split_authority(struct http_text text)
{
    size_t len = text.len;
    while (len > 0 && http_is_digit(text.at[len - 1]))
        len--;
    if (len == 0 || text.at[len - 1] != ':')
        return (struct authority){.name = text};
    return (struct authority){.name = {text.at, len - 1}, .port = {text.at + len, text.len - len}};
}

static bool has_prefix(struct http_text *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->at, prefix, len) != 0)
        return false;
    *text = (struct http_text){text->at + len, text->len - len};
    return true;
}

// Whatever the scheme of the origin, whose default port a Host without one has: TLS may end at a proxy, of which the
// gateway knows nothing.
static bool is_own_host(struct http_text origin, struct http_text host)
{
    const char *scheme_port = has_prefix(&origin, "https://")  ? "443"
                              : has_prefix(&origin, "http://") ? "80"
                                                               : NULL;
    if (scheme_port == NULL || host.at == NULL)
        return false;
    const struct http_text port = {scheme_port, strlen(scheme_port)};
    struct authority theirs = split_authority(origin), ours = split_authority(host);
    return http_text_same(theirs.name, ours.name) &&
           http_text_same(theirs.port.len > 0 ? theirs.port : port, ours.port.len > 0 ? ours.port : port);
}

bool cors_is_cross_site(const struct http_policy *p, const struct http_request *req)
{
    bool is_named = req->origin.at != NULL && !cors_allows_any(p) && is_listed(p, req->origin);
    if (req->cookie.at == NULL || is_named || http_text_is(req->fetch_site, "same-origin"))
        return false;
    if (http_text_is(req->fetch_site, "cross-site") || http_text_is(req->fetch_site, "same-site"))
        return true;
    return req->origin.at != NULL && !is_own_host(req->origin, req->host);
}

bool cors_is_foreign(const struct http_request *req)
{
    struct http_text dest;
    size_t cursor = 0;
    if (req->fetch_site.at == NULL || http_text_is(req->fetch_site, "same-origin") ||
        http_text_is(req->fetch_site, "none"))
        return false;
    return !http_lookup(req->fields, &cursor, "Sec-Fetch-Dest", &dest) || !http_text_is(dest, "document");
}

bool cors_is_local_host(struct http_text host)
{
    struct http_text name = split_authority(host).name;
    bool has_dot = false, has_other = false;
    for (size_t i = 0; i < name.len; i++) {
        has_dot = has_dot || name.at[i] == '.';
        has_other = has_other || (name.at[i] != '.' && !http_is_digit(name.at[i]));
    }
    return !has_dot || !has_other || name.at[0] == '['; // no name, but an IPv6 address, begins so
}
