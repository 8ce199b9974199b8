#include "gateway/client/route.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct route rows[] = {
    {.path = "/stream",
     .or_slash = true,
     .methods = ROUTE_PAGE_METHODS | ROUTE_METHOD(HTTP_OPTIONS),
     .roles = LISTENER_PUBLIC},
    {.path = "/page", .methods = ROUTE_PAGE_METHODS, .roles = LISTENER_PUBLIC | LISTENER_ADMIN},
    {.path = "/ticket", .methods = ROUTE_METHOD(HTTP_POST), .roles = LISTENER_ADMIN},
    {0},
};

static const struct {
    const char *path;
    enum listener_role role;
    int row; // -1: none
} cases[] = {
    {"/stream", LISTENER_PUBLIC, 0},  {"/stream/", LISTENER_PUBLIC, 0}, {"/stream//", LISTENER_PUBLIC, -1},
    {"/stream", LISTENER_ADMIN, -1},  {"/strea", LISTENER_PUBLIC, -1},  {"/streams", LISTENER_PUBLIC, -1},
    {"/page", LISTENER_PUBLIC, 1},    {"/page", LISTENER_ADMIN, 1},     {"/page/", LISTENER_PUBLIC, -1},
    {"/ticket", LISTENER_PUBLIC, -1}, {"/ticket", LISTENER_ADMIN, 2},   {"/", LISTENER_PUBLIC, -1},
    {"", LISTENER_PUBLIC, -1},        {"/STREAM", LISTENER_PUBLIC, -1},
};

TEST_EACH(a_path_is_found_at_the_listeners_that_have_it, cases)
{
    const struct http_text path = {.at = cases[_i].path, .len = strlen(cases[_i].path)};
    const struct route *found = route_find(rows, path, cases[_i].role);
    ck_assert_ptr_eq(found, cases[_i].row < 0 ? NULL : &rows[cases[_i].row]);
    ck_assert_ptr_null(route_find(NULL, path, cases[_i].role));
}

TEST_LOOP(allow_names_the_methods_of_a_path, 0, 3)
{
    static const char *const expected[] = {"GET, HEAD, OPTIONS", "GET, HEAD", "POST"};
    char allow[ROUTE_ALLOW_MAX];
    route_allow(&rows[_i], allow);
    ck_assert_str_eq(allow, expected[_i]);
    ck_assert(route_allows(&rows[_i], HTTP_POST) == (_i == 2));
    ck_assert(!route_allows(&rows[_i], HTTP_OTHER));
}
