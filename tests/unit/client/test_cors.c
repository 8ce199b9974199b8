// Pages of other origins get what --cors-origin gives them, and never the cookies of somebody else's user.
#include "gateway/client/cors.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const char *const origins[] = {"https://app.example", "https://*.example.com",
                                      "http://*.dev.test:8080"};
static const char *const star[] = {"*"};
static const struct http_policy none = {.gateway_id = "gw"};
static const struct http_policy listed = {
    .gateway_id = "gw", .cors_origins = origins, .cors_origin_count = 3};
static const struct http_policy any = {.gateway_id = "gw", .cors_origins = star, .cors_origin_count = 1};

static struct http_text text(const char *s)
{
    return (struct http_text){.at = s, .len = s != NULL ? strlen(s) : 0};
}

static const struct {
    const char *origin;
    bool allowed;
} cases[] = {
    {"https://app.example", true},
    {"https://app.example:8443", false},
    {"http://app.example", false},
    {"https://a.app.example", false},
    // one label or more
    {"https://a.example.com", true},
    {"https://a.b-c.d_e.example.com", true},
    {"https://xn--bcher-kva.example.com", true},
    {"https://example.com", false},
    {"https://.example.com", false},
    {"https://a..example.com", false},
    {"https://.a.example.com", false},
    {"https://aexample.com", false},
    {"https://a.example.com.", false},
    {"https://a.example.com.evil", false},
    {"https://a.example.com:8443", false},
    {"https://evil/.example.com", false},
    {"https://evil:80.example.com", false},
    {"https://evil@.example.com", false},
    {"https://evil#.example.com", false},
    {"https://evil\r\nX: y.example.com", false},
    {"https://evil%2e.example.com", false},
    {"https://A.example.com", false}, // no browser sends that
    {"https://*.example.com", false},
    {"http://a.example.com", false},
    {"http://a.dev.test:8080", true},
    {"http://a.dev.test", false},
    {"http://a.dev.test:80801", false},
    {"null", false},
    {"", false},
    {NULL, false},
};

TEST_EACH(an_origin_is_allowed_by_its_name_or_by_the_names_above_it, cases)
{
    struct http_text got = cors_allowed_origin(&listed, text(cases[_i].origin));
    ck_assert_msg((got.at != NULL) == cases[_i].allowed, "%s", cases[_i].origin);
    if (got.at != NULL)
        ck_assert_ptr_eq(got.at, cases[_i].origin);
    ck_assert_ptr_null(cors_allowed_origin(&none, text(cases[_i].origin)).at);
    ck_assert(http_text_is(cors_allowed_origin(&any, text(cases[_i].origin)), "*"));
}

TEST(an_origin_that_is_longer_than_a_head_has_room_for_is_not_allowed)
{
    char long_one[400] = "https://";
    memset(long_one + 8, 'a', 300);
    strcpy(long_one + 308, ".example.com");
    ck_assert_ptr_null(cors_allowed_origin(&listed, text(long_one)).at);
}

static const struct {
    const char *origin, *host;
    bool own;
} hosts[] = {
    {"https://h.example", "h.example", true},
    {"http://h.example", "h.example", true},
    {"https://h.example", "H.Example", true},
    {"https://h.example", "h.example:443", true},
    {"https://h.example", "h.example:", true},
    {"http://h.example", "h.example:80", true},
    {"http://h.example", "h.example:443", false},
    {"http://h.example:8080", "h.example:8080", true},
    {"http://h.example:8080", "h.example:8081", false},
    {"https://h.example:8443", "h.example", false}, // what has no port has the scheme's own
    {"https://h.example:8443", "h.example:8443", true},
    {"http://h.example:443", "h.example", false},
    {"http://[::1]:8080", "[::1]:8080", true},
    {"http://[::1]", "[::1]", true},
    {"http://[::1]", "[::2]", false},
    {"https://evil.example", "h.example", false},
    {"https://h.example.evil", "h.example", false},
    {"https://hh.example", "h.example", false},
    {"null", "h.example", false},
    {"null", "null", false},
    {"", "h.example", false},
    {"https://", "h.example", false},
    {"file://h.example", "h.example", false},
    {"https://h.example", NULL, false},
};

TEST_EACH(cookies_are_for_pages_of_the_same_host, hosts)
{
    struct http_request req = {.origin = text(hosts[_i].origin), .host = text(hosts[_i].host)};
    ck_assert(!cors_is_cross_site(&none, &req)); // no cookies, no harm
    req.cookie = text("a=b");
    ck_assert_int_eq(cors_is_cross_site(&none, &req), !hosts[_i].own);
    ck_assert_int_eq(cors_is_cross_site(&listed, &req), !hosts[_i].own);
    ck_assert_int_eq(cors_is_cross_site(&any, &req), !hosts[_i].own);
}

static const struct {
    const char *site, *origin, *host;
    bool cross_site;
} sites[] = {
    {"cross-site", NULL, "h.example", true}, // a picture, a form, a link of a foreign page
    {"same-site", NULL, "h.example", true},  // a page of a neighbour
    {"same-origin", NULL, "h.example", false},
    {"none", NULL, "h.example", false}, // typed in
    {NULL, NULL, "h.example", false},
    {"", NULL, "h.example", false},
    {"moon", NULL, "h.example", false},
    {"cross-site", "https://a.example.com", "h.example", false}, // allowed by name
    {"same-site", "https://a.example.com", "h.example", false},
    {"cross-site", "https://h.example", "h.example", true}, // http and https, or another port
    {"same-site", "https://h.example", "h.example", true},
    {"cross-site", "https://evil.example", "h.example", true},
    // The browser knows whom it asks, whatever a proxy makes of Host.
    {"same-origin", "https://h.example:8443", "h.example", false},
    {"same-origin", "https://h.example", "10.0.0.1:8080", false},
    {"none", "https://evil.example", "h.example", true}, // no browser sends both
};

TEST_EACH(what_a_browser_says_of_the_page_counts_before_names_do, sites)
{
    struct http_request req = {
        .origin = text(sites[_i].origin), .host = text(sites[_i].host), .fetch_site = text(sites[_i].site)};
    ck_assert(!cors_is_cross_site(&listed, &req)); // no cookies, no harm
    req.cookie = text("a=b");
    ck_assert_int_eq(cors_is_cross_site(&listed, &req), sites[_i].cross_site);
}

TEST(cookies_are_for_pages_that_are_allowed_by_name_and_a_star_names_nobody)
{
    struct http_request req = {
        .origin = text("https://a.example.com"), .host = text("h.example"), .cookie = text("a=b")};
    ck_assert(!cors_is_cross_site(&listed, &req));
    ck_assert(cors_is_cross_site(&any, &req));
    req.origin = text(NULL); // no page of another origin: a browser would say so
    ck_assert(!cors_is_cross_site(&none, &req));
}

static const struct {
    const char *site, *dest;
    bool foreign;
} visits[] = {
    {NULL, NULL, false}, // no browser
    {"same-origin", "empty", false},
    {"none", "document", false},
    {"cross-site", "empty", true},
    {"same-site", "empty", true}, // another port of this host, too
    {"cross-site", "image", true},
    {"cross-site", "iframe", true},
    {"cross-site", NULL, true},
    {"cross-site", "document", false}, // a link
    {"same-site", "document", false},
};

TEST_EACH(only_links_lead_from_pages_of_others_to_the_admin_listener, visits)
{
    char fields[100] = "";
    if (visits[_i].dest)
        snprintf(fields, sizeof fields, "Host: h\r\nSec-Fetch-Dest: %s\r\n\r\n", visits[_i].dest);
    const struct http_request req = {.fetch_site = text(visits[_i].site), .fields = text(fields)};
    ck_assert_int_eq(cors_is_foreign(&req), visits[_i].foreign);
}

static const struct {
    const char *host;
    bool local;
} names[] = {
    {"127.0.0.1:9180", true},
    {"10.1.2.3", true},
    {"[::1]:9180", true},
    {"[2001:db8::1]", true},
    {"localhost:9180", true},
    {"gw-1:9180", true},
    {"gw-1", true},
    {"", true},
    {NULL, true},
    {"evil.example", false},
    {"evil.example:80", false},
    {"127.0.0.1.evil.example", false},
    {"1.2.3.4.x:9180", false},
    {"localhost.:9180", false},
};

TEST_EACH(a_name_that_a_stranger_may_own_is_no_name_of_the_admin_listener, names)
{
    ck_assert_int_eq(cors_is_local_host(text(names[_i].host)), names[_i].local);
}
