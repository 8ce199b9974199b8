// The table of paths: what is served at which listener, by which methods. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/client/http_request.h"
#include "gateway/client/listen_attributes.h"
#include "gateway/client/page.h"

struct conn;

#define ROUTE_METHOD(method) (1u << (method)) // a bit for each enum http_method
#define ROUTE_PAGE_METHODS (ROUTE_METHOD(HTTP_GET) | ROUTE_METHOD(HTTP_HEAD))
#define ROUTE_ALLOW_MAX 64

struct route {
    const char *path; // NULL in the row that ends a table
    bool or_slash;    // a trailing slash is the same path
    unsigned methods; // ROUTE_METHOD bits
    unsigned roles;   // enum listener_role bits
    bool
        takes_body; // of POST: `handle` is called with the head alone, and, if the connection is in CONN_HEAD
                    // then, once more with the body
    bool local_host; // the Host must be one by cors_is_local_host
    // One of the two: makes a page, or acts on the connection itself.
    struct page (*page)(void *ctx);
    struct page (*openmetrics)(void *ctx); // the page for a client that asks for OpenMetrics; NULL: as others
    void (*handle)(struct conn *c, const struct http_request *req, const struct route *r);
};

// The first row for `path` at listeners of `role`; NULL where there is none. `rows` may be NULL.
const struct route *route_find(const struct route *rows, struct http_text path, enum listener_role role);
bool route_allows(const struct route *r, enum http_method method);
// "GET, HEAD", for Allow: ROUTE_ALLOW_MAX bytes of room.
void route_allow(const struct route *r, char *out);
