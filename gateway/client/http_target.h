// Request targets and the hosts in them (RFC 9112 section 3.2, RFC 3986). Pure.
#pragma once

#include <stdbool.h>

#include "gateway/client/http_text.h"

struct http_target {
    struct http_text path;      // still percent-encoded; never empty
    struct http_text query;     // without '?', still percent-encoded; absent where there is no '?'
    struct http_text authority; // of absolute-form; absent in origin-form
};

// Splits a target of origin-form, of absolute-form with http or https, or "*" (which becomes the path). False
// for other forms, a fragment, a byte that is not printable ASCII, a host that http_authority_valid refuses,
// and a path whose percent-encoding is broken or hides a NUL. `out` borrows from `target`.
bool http_target_split(struct http_text target, struct http_target *out);

// host [ ":" port ] of RFC 3986 section 3.2.2: names, IPv4 and bracketed IPv6 addresses. Stricter than the
// grammar, to which "a,b" and "%2F" are names: proxies disagree on those. An empty one is refused.
bool http_authority_valid(struct http_text authority);

// The next "name=value" pair of a query string (application/x-www-form-urlencoded), decoded into `buf`.
// `*rest` begins as the query and becomes what follows the pair. Returns 1 for a pair, 0 at the end, -1 where
// the percent-encoding is broken or the decoded pair holds a NUL or does not fit into `size`; `*name` is then
// absent where the name itself is wrong. '+' is a space. `*name` and `*value` are borrowed from `buf`.
int http_query_next(struct http_text *rest, char *buf, size_t size, struct http_text *name,
                    struct http_text *value);
// The value of the first parameter `name` that can be read and fits, borrowed from `buf`. Absent where there is none.
struct http_text http_query_find(struct http_text query, const char *name, char *buf, size_t size);
