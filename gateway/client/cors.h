// Which pages of other origins may read the gateway's answers (Fetch standard, "CORS protocol"), and which
// requests a browser sends for them with the cookies of its user. Pure.
#pragma once

#include <stdbool.h>

#include "gateway/client/http_policy.h"
#include "gateway/client/http_request.h"

// True where --cors-origin is "*": any page may read, and none with credentials.
bool cors_allows_any(const struct http_policy *p);

// What Access-Control-Allow-Origin says to a request from `origin`; absent where that is not allowed. Safe in a head,
// also where it is borrowed from `origin`: one that "https://*.example.com" allows.
struct http_text cors_allowed_origin(const struct http_policy *p, struct http_text origin);

// True for a request with cookies from a page that is neither of the host which the request names nor allowed by name:
// the page has the user's browser send it, and must not get what the cookies open. "*" allows nobody by name. What the
// browser says in Sec-Fetch-Site (Fetch Metadata, section 2.4) counts before what Origin and Host say, of which
// pictures and links have no Origin, and proxies change Host. A Host without a port has the default one of the
// origin's scheme.
bool cors_is_cross_site(const struct http_policy *p, const struct http_request *req);

// True for a request that a page of another origin has the browser send. False where the user follows a link, or types
// the address: what comes is shown to the user, and the other page cannot read it (Fetch Metadata, sections 2.1, 2.4).
bool cors_is_foreign(const struct http_request *req);

// True where `host`, a Host field, is an address or a name without a dot (or absent: no browser). A stranger's name may
// resolve to this listener's address (DNS rebinding); then the browser takes the stranger's page and the listener for
// one origin, and Host alone tells. A name without a dot is nobody's to register.
bool cors_is_local_host(struct http_text host);
