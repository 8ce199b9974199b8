#include "gateway/client/http_target.h"

#include <string.h>

#include "common/hex.h"

static struct http_text from(struct http_text text, size_t offset)
{
    return (struct http_text){text.at + offset, text.len - offset};
}

// The first byte of `text` that is `c`; the length where there is none.
static size_t find(struct http_text text, char c)
{
    const char *at = text.len > 0 ? memchr(text.at, c, text.len) : NULL;
    return at != NULL ? (size_t)(at - text.at) : text.len;
}

static size_t name_length(struct http_text a)
{
    size_t i = 0;
    while (i < a.len &&
           (http_is_alnum(a.at[i]) || a.at[i] == '-' || a.at[i] == '.' || a.at[i] == '_' || a.at[i] == '~'))
        i++;
    return i;
}

// "[2001:db8::1]"; 0 where the bracket is not closed or holds anything else.
static size_t bracket_length(struct http_text a)
{
    size_t i = 1;
    while (i < a.len && (hex_value(a.at[i]) >= 0 || a.at[i] == ':' || a.at[i] == '.'))
        i++;
    return i > 1 && i < a.len && a.at[i] == ']' ? i + 1 : 0;
}

bool http_authority_valid(struct http_text authority)
{
    if (authority.len == 0)
        return false;
    size_t host = authority.at[0] == '[' ? bracket_length(authority) : name_length(authority);
    if (host == 0)
        return false;
    size_t i = host;
    if (i < authority.len && authority.at[i] == ':')
        for (i++; i < authority.len && http_is_digit(authority.at[i]); i++)
            ;
    return i == authority.len;
}

// The byte that "%XX" at `i` stands for, -1 where it is broken.
static int decode_percent(struct http_text text, size_t i)
{
    if (text.len - i < 3)
        return -1;
    int high = hex_value(text.at[i + 1]), low = hex_value(text.at[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool path_valid(struct http_text path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.at[i] == '%' && decode_percent(path, i) <= 0)
            return false;
    return true;
}

static bool bytes_valid(struct http_text target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.at[i] <= 0x20 || target.at[i] >= 0x7f ||
            target.at[i] == '#') // 0x80 and above: negative, or >= 0x7f
            return false;
    return target.len > 0;
}

// The length of "http://" or "https://" at the begin of `target`, 0 where there is none.
static size_t scheme_length(struct http_text target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i]);
        if (target.len >= len && http_text_is((struct http_text){target.at, len}, schemes[i]))
            return len;
    }
    return 0;
}

bool http_target_split(struct http_text target, struct http_target *out)
{
    *out = (struct http_target){.path = target};
    if (!bytes_valid(target))
        return false;
    if (http_text_is(target, "*"))
        return true;
    struct http_text rest = target;
    size_t scheme = scheme_length(target);
    if (scheme > 0) {
        rest = from(target, scheme);
        size_t slash = find(rest, '/'), mark = find(rest, '?');
        out->authority = (struct http_text){rest.at, slash < mark ? slash : mark};
        if (!http_authority_valid(out->authority))
            return false;
        rest = from(rest, out->authority.len);
    } else if (target.at[0] != '/') {
        return false;
    }
    out->path = (struct http_text){rest.at, find(rest, '?')};
    if (out->path.len < rest.len)
        out->query = from(rest, out->path.len + 1);
    if (out->path.len == 0)
        out->path = (struct http_text){"/", 1}; // "http://host?query"
    return path_valid(out->path);
}

// Decodes `text` to `out`, which has room for `room` bytes. False where that fails (see http_query_next).
static bool decode_form(struct http_text text, char *out, size_t room, struct http_text *decoded)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.at[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            c = decode_percent(text, i);
            i += 2;
        }
        if (c <= 0 || n == room)
            return false;
        out[n++] = (char)c;
    }
    *decoded = (struct http_text){out, n};
    return true;
}

int http_query_next(struct http_text *rest, char *buf, size_t size, struct http_text *name,
                    struct http_text *value)
{
    struct http_text pair;
    do {
        if (rest->len == 0)
            return 0;
        pair = (struct http_text){rest->at, find(*rest, '&')};
        *rest = from(*rest, pair.len < rest->len ? pair.len + 1 : pair.len);
    } while (pair.len == 0); // "a&&b": WHATWG URL section 5.1 skips it
    size_t equals = find(pair, '=');
    *name = (struct http_text){NULL, 0};
    if (!decode_form((struct http_text){pair.at, equals}, buf, size, name))
        return -1;
    struct http_text encoded = equals < pair.len ? from(pair, equals + 1) : (struct http_text){NULL, 0};
    return decode_form(encoded, buf + name->len, size - name->len, value) ? 1 : -1;
}

struct http_text http_query_find(struct http_text query, const char *name, char *buf, size_t size)
{
    struct http_text found, value;
    int more;
    while ((more = http_query_next(&query, buf, size, &found, &value)) != 0)
        if (more > 0 && found.len == strlen(name) && memcmp(found.at, name, found.len) == 0)
            return value;
    return (struct http_text){0};
}
