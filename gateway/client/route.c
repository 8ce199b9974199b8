#include "gateway/client/route.h"

#include <string.h>

static bool is_path(const struct route *r, struct http_text path)
{
    size_t len = strlen(r->path);
    if (r->or_slash && path.len == len + 1 && path.at[len] == '/')
        path.len--;
    return path.len == len && memcmp(path.at, r->path, len) == 0;
}

const struct route *route_find(const struct route *rows, struct http_text path, enum listener_role role)
{
    for (const struct route *r = rows; r && r->path; r++)
        if ((r->roles & role) && is_path(r, path))
            return r;
    return NULL;
}

bool route_allows(const struct route *r, enum http_method method)
{
    return (r->methods & ROUTE_METHOD(method)) != 0;
}

void route_allow(const struct route *r, char *out)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_OPTIONS] = "OPTIONS", [HTTP_POST] = "POST"};
    char *end = out;
    *out = '\0';
    for (unsigned m = 0; m < sizeof names / sizeof *names; m++)
        if (route_allows(r, (enum http_method)m))
            end = stpcpy(stpcpy(end, end == out ? "" : ", "), names[m]);
}
