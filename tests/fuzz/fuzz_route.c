// Whatever stands in a target: its parts lie in it, one after the other, and a page is found by its whole path alone, at
// the listeners that have it.
#include <string.h>

#include "gateway/client/http_target.h"
#include "gateway/client/route.h"
#include "tests/fuzz/fuzz.h"

static const struct route rows[] = {
    {.path = "/stream", .or_slash = true, .methods = ROUTE_PAGE_METHODS, .roles = LISTENER_PUBLIC},
    {.path = "/metrics", .methods = ROUTE_PAGE_METHODS, .roles = LISTENER_ADMIN},
    {.path = "*", .methods = ROUTE_METHOD(HTTP_OPTIONS), .roles = LISTENER_PUBLIC | LISTENER_ADMIN},
    {0},
};

static bool is(struct http_text text, const char *s)
{
    return text.len == strlen(s) && memcmp(text.at, s, text.len) == 0;
}

static void check_inside(struct http_text part, struct http_text whole)
{
    CHECK(part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void check_authority(struct http_text a)
{
    CHECK(http_authority_valid(a));
    for (size_t i = 0; i < a.len; i++)
        CHECK(memchr("/?#@\\,%<>\"' \t\r\n", a.at[i], 16) == NULL && a.at[i] > 0x20 && a.at[i] < 0x7f);
}

static void check_target(struct http_text target)
{
    struct http_target parts;
    if (!http_target_split(target, &parts))
        return;
    for (size_t i = 0; i < target.len; i++)
        CHECK(target.at[i] > 0x20 && target.at[i] < 0x7f && target.at[i] != '#');
    CHECK(parts.path.len > 0 && (parts.path.at[0] == '/' || is(target, "*")));
    CHECK(memchr(parts.path.at, '?', parts.path.len) == NULL);
    size_t mark = 0;
    if (parts.query.at != NULL) {
        check_inside(parts.query, target);
        CHECK(parts.query.at[-1] == '?' && parts.query.at + parts.query.len == target.at + target.len);
        mark = 1 + parts.query.len;
    }
    if (parts.authority.at == NULL) {
        CHECK(parts.path.at == target.at && parts.path.len + mark == target.len);
    } else {
        check_inside(parts.authority, target);
        check_authority(parts.authority);
    }
    const struct route *open = route_find(rows, parts.path, LISTENER_PUBLIC);
    const struct route *admin = route_find(rows, parts.path, LISTENER_ADMIN);
    bool is_stream = is(parts.path, "/stream") || is(parts.path, "/stream/");
    CHECK(open == (is_stream ? &rows[0] : is(parts.path, "*") ? &rows[2] : NULL));
    CHECK(admin == (is(parts.path, "/metrics") ? &rows[1] : is(parts.path, "*") ? &rows[2] : NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = must_alloc(size);
    if (size > 0)
        memcpy(bytes, data, size);
    struct http_text text = {bytes, size};
    check_target(text);
    if (http_authority_valid(text))
        check_authority(text);
    free(bytes);
    return 0;
}
