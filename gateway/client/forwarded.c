#include "gateway/client/forwarded.h"

#include <string.h>

#include "gateway/client/http_lookup.h"

// A walk over all elements, from the left: `client` is what a walk from the right over those so far would find.
struct walk {
    const struct peer_ranges *trusted;
    struct peer_address client; // ADDRESS_NONE: none yet, or what came last is no address
    bool seen;                  // there is such a header
};

static void walk_on(struct walk *w, bool is_address, const struct peer_address *a)
{
    if (!is_address)
        w->client = (struct peer_address){.family = ADDRESS_NONE};
    else if (w->client.family == ADDRESS_NONE || !peer_ranges_have(w->trusted, a))
        w->client = *a;
}

static bool is_port(struct http_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (!http_is_digit(t.at[i]))
            return false;
    return t.len >= 1 && t.len <= 5;
}

// An address with or without a port: 10.0.0.1, 10.0.0.1:80, [::1], [::1]:80, and ::1 where `bare_v6`.
static bool parse_node(struct http_text t, bool bare_v6, struct peer_address *a)
{
    const char *colon = t.len ? memchr(t.at, ':', t.len) : NULL;
    struct http_text host = t, port = {NULL, 0};
    if (t.len && t.at[0] == '[') {
        const char *end = memchr(t.at, ']', t.len);
        if (!end)
            return false;
        host = (struct http_text){t.at + 1, (size_t)(end - t.at) - 1};
        port = (struct http_text){end + 1, t.len - host.len - 2};
        if (!memchr(host.at, ':', host.len))
            return false;
    } else if (colon && !memchr(colon + 1, ':', t.len - (size_t)(colon - t.at) - 1)) {
        host.len = (size_t)(colon - t.at);
        port = (struct http_text){colon, t.len - host.len};
    } else if (colon && !bare_v6) {
        return false;
    }
    if (port.len > 0 && (port.at[0] != ':' || !is_port((struct http_text){port.at + 1, port.len - 1})))
        return false;
    return peer_address_parse(a, host.at, host.len);
}

// The length of what stands before the next `separator` outside of quotes; all of it where there is none.
static size_t part_len(struct http_text t, char separator)
{
    bool quoted = false;
    for (size_t i = 0; i < t.len; i++) {
        if (quoted && t.at[i] == '\\')
            i++;
        else if (t.at[i] == '"')
            quoted = !quoted;
        else if (t.at[i] == separator && !quoted)
            return i;
    }
    return t.len;
}

// Cuts the next part off `*rest`. False where nothing is left.
static bool next_part(struct http_text *rest, char separator, struct http_text *part)
{
    if (!rest->at)
        return false;
    size_t len = part_len(*rest, separator);
    *part = http_text_trim((struct http_text){rest->at, len});
    *rest = len < rest->len ? (struct http_text){rest->at + len + 1, rest->len - len - 1}
                            : (struct http_text){NULL, 0};
    return true;
}

static void walk_x_forwarded_for(struct walk *w, struct http_text value)
{
    struct http_text element;
    while (next_part(&value, ',', &element)) {
        struct peer_address a = {0};
        if (element.len > 0) // empty elements mean nothing (RFC 9110 section 5.6.1.2)
            walk_on(w, parse_node(element, true, &a), &a);
    }
}

// Whether `t` is a quoted-string (RFC 9110 section 5.6.4), and nothing else.
static bool is_quoted(struct http_text t)
{
    size_t i = 1;
    if (t.len < 2 || t.at[0] != '"')
        return false;
    while (i < t.len && t.at[i] != '"')
        i += t.at[i] == '\\' ? 2 : 1;
    return i == t.len - 1;
}

// The value of the one parameter `for` of an element, without its quotes. False where there is none, or two, or
// anything that breaks the grammar: a client that leaves a quote open would swallow what the proxy appends.
static bool parameter_for(struct http_text element, struct http_text *node)
{
    struct http_text pair;
    bool found = false;
    while (next_part(&element, ';', &pair)) {
        const char *equals = pair.len ? memchr(pair.at, '=', pair.len) : NULL;
        if (!equals)
            return false;
        struct http_text name = {pair.at, (size_t)(equals - pair.at)};
        struct http_text value = {equals + 1, pair.len - name.len - 1};
        bool quoted = is_quoted(value);
        if (!http_text_is_token(name) || (!quoted && !http_text_is_token(value)))
            return false;
        if (!http_text_is(name, "for"))
            continue;
        if (found)
            return false;
        found = true;
        // No address has a byte that needs a backslash: what has one is no address.
        *node = quoted ? (struct http_text){value.at + 1, value.len - 2} : value;
    }
    return found;
}

static void walk_forwarded(struct walk *w, struct http_text value)
{
    struct http_text element, node;
    while (next_part(&value, ',', &element)) {
        struct peer_address a = {0};
        if (element.len > 0)
            walk_on(w, parameter_for(element, &node) && parse_node(node, false, &a), &a);
    }
}

static struct walk walk_all(const struct peer_ranges *trusted, struct http_text fields, const char *name,
                            void (*walk)(struct walk *w, struct http_text value))
{
    struct walk w = {.trusted = trusted};
    struct http_text value;
    for (size_t cursor = 0; http_lookup(fields, &cursor, name, &value); w.seen = true)
        walk(&w, value);
    return w;
}

struct peer_address forwarded_client(const struct peer_ranges *trusted, const struct peer_address *socket,
                                     struct http_text fields)
{
    if (!peer_ranges_have(trusted, socket))
        return *socket;
    struct walk x = walk_all(trusted, fields, "x-forwarded-for", walk_x_forwarded_for);
    struct walk f = walk_all(trusted, fields, "forwarded", walk_forwarded);
    struct peer_address client = x.seen ? x.client : f.client;
    bool agree = !x.seen || !f.seen || peer_address_same(&x.client, &f.client);
    return agree && client.family != ADDRESS_NONE ? client : *socket;
}
