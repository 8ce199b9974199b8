// Targets and hosts are split as browsers write them (WHATWG URL section 5.1 for queries), and all else is
// refused.
#include <stdlib.h>
#include <string.h>

#include "gateway/client/http_target.h"
#include "tests/unit/lib/unit_main.h"

#define TEXT(s) (s), sizeof(s) - 1

static void check_text(struct http_text got, const char *want)
{
    if (want == NULL) {
        ck_assert_ptr_null(got.at);
        return;
    }
    ck_assert_ptr_nonnull(got.at);
    ck_assert_uint_eq(got.len, strlen(want));
    ck_assert_mem_eq(got.at, want, got.len);
}

// A copy of exactly so many bytes, so that AddressSanitizer sees a read past the end.
static struct http_text exact_copy(const char *text, size_t len)
{
    char *bytes = malloc(len);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, text, len);
    return (struct http_text){bytes, len};
}

static const struct {
    const char *target, *path, *query, *authority;
} splits[] = {
    {"/", "/", NULL, NULL},
    {"/?", "/", "", NULL},
    {"//x//", "//x//", NULL, NULL},
    {"/a/../b", "/a/../b", NULL, NULL},
    {"/a?b/c?d", "/a", "b/c?d", NULL},
    {"/a%2Fb", "/a%2Fb", NULL, NULL},
    {"/a?%", "/a", "%", NULL}, // the query has a reader of its own
    {"*", "*", NULL, NULL},
    {"http://h", "/", NULL, "h"},
    {"HTTPS://H:8/", "/", NULL, "H:8"},
    {"http://h?q", "/", "q", "h"},
    {"http://h/a?q", "/a", "q", "h"},
    {"http://h?q=/x", "/", "q=/x", "h"},
    {"http://[::1]:80/x", "/x", NULL, "[::1]:80"},
    {"/\"<>[]^`{|}\\", "/\"<>[]^`{|}\\", NULL, NULL}, // no URI, but browsers send some of them; no harm here
};

TEST_EACH(targets_are_split, splits)
{
    struct http_target out;
    struct http_text target = exact_copy(splits[_i].target, strlen(splits[_i].target));
    ck_assert(http_target_split(target, &out));
    check_text(out.path, splits[_i].path);
    check_text(out.query, splits[_i].query);
    check_text(out.authority, splits[_i].authority);
    free((void *)target.at);
}

static const struct {
    const char *target;
    size_t len;
} refused[] = {
    {TEXT("")},
    {TEXT("a")},
    {TEXT("?a")},
    {TEXT("h:80")},
    {TEXT("**")},
    {TEXT("/ ")},
    {TEXT("/\t")},
    {TEXT("/\0")},
    {TEXT("/\x80")},
    {TEXT("/\xff")},
    {TEXT("/\x7f")},
    {TEXT("/#")},
    {TEXT("/?#")},
    {TEXT("/%")},
    {TEXT("/%2")},
    {TEXT("/%2g")},
    {TEXT("/%00")},
    {TEXT("/a%00?b")},
    {TEXT("http://")},
    {TEXT("http:///a")},
    {TEXT("http://@h")},
    {TEXT("http://u@h/")},
    {TEXT("http://h:x/")},
    {TEXT("http:/h/")},
    {TEXT("ws://h/")},
    {TEXT("http:")},
    {TEXT("http://h\\@x/")},
};

TEST_EACH(targets_are_refused, refused)
{
    struct http_target out;
    struct http_text target = exact_copy(refused[_i].target, refused[_i].len);
    ck_assert(!http_target_split(target, &out));
    free((void *)target.at);
}

static const struct {
    const char *text;
    bool valid;
} authorities[] = {
    {"h", true},           {"h:", true},         {"h:80", true},     {"a.b-c_d~e", true},
    {"127.0.0.1:1", true}, {"[::1]", true},      {"[::1]:80", true}, {"", false},
    {":80", false},        {"h:8x", false},      {"h:80:80", false}, {"[", false},
    {"[]", false},         {"[::1", false},      {"[::1]x", false},  {"[fe80::1%25eth0]", false},
    {"h,h", false},        {"h h", false},       {"u@h", false},     {"h/", false},
    {"h%2f", false},       {"h\xc3\xa9", false}, {"*", false},       {"h;x", false},
};

TEST_EACH(hosts_are_names_or_addresses, authorities)
{
    struct http_text text = exact_copy(authorities[_i].text, strlen(authorities[_i].text));
    ck_assert_msg(http_authority_valid(text) == authorities[_i].valid, "\"%s\"", authorities[_i].text);
    free((void *)text.at);
}

static const struct {
    const char *query;
    const char *pairs[6]; // name, value, ..; NULL: no more
    int last;             // what the call after them returns
} queries[] = {
    {"", {NULL}, 0},
    {"&", {NULL}, 0},
    {"a=b", {"a", "b"}, 0},
    {"a", {"a", ""}, 0},
    {"a=", {"a", ""}, 0},
    {"=b", {"", "b"}, 0},
    {"=", {"", ""}, 0},
    {"a=b=c", {"a", "b=c"}, 0},
    {"a=b&a=c&d", {"a", "b", "a", "c", "d", ""}, 0},
    {"&&a=b&&&c=d&", {"a", "b", "c", "d"}, 0},
    {"a=b;c=d", {"a", "b;c=d"}, 0},
    {"a+b=+c", {"a b", " c"}, 0},
    {"%61=%2B%26%3d%25", {"a", "+&=%"}, 0},
    {"a=%C3%A9%ff", {"a", "\xc3\xa9\xff"}, 0},
    {"a=?/:@", {"a", "?/:@"}, 0},
    {"a=%", {NULL}, -1},
    {"a=%4", {NULL}, -1},
    {"a=%4&1=2", {NULL}, -1}, // the encoding ends with its pair
    {"a=%zz", {NULL}, -1},
    {"a=%00", {NULL}, -1},
    {"%00=a", {NULL}, -1},
    {"a=b&c=%", {"a", "b"}, -1},
};

TEST_EACH(queries_are_read, queries)
{
    struct http_text query = exact_copy(queries[_i].query, strlen(queries[_i].query)), rest = query, name,
                     value;
    char buf[32];
    for (int i = 0; i < 6 && queries[_i].pairs[i] != NULL; i += 2) {
        ck_assert_int_eq(http_query_next(&rest, buf, sizeof(buf), &name, &value), 1);
        check_text(name, queries[_i].pairs[i]);
        check_text(value, queries[_i].pairs[i + 1]);
    }
    ck_assert_int_eq(http_query_next(&rest, buf, sizeof(buf), &name, &value), queries[_i].last);
    free((void *)query.at);
}

TEST(a_pair_that_does_not_fit_is_an_error)
{
    for (size_t size = 0; size <= 8; size++) {
        struct http_text rest = {TEXT("ab=%63%64e")}, name, value;
        char *buf = malloc(size + (size == 0));
        ck_assert_ptr_nonnull(buf);
        ck_assert_int_eq(http_query_next(&rest, buf, size, &name, &value), size >= 5 ? 1 : -1);
        free(buf);
    }
}

TEST(no_query_has_no_pairs)
{
    struct http_text rest = {NULL, 0}, name, value;
    char buf[1];
    ck_assert_int_eq(http_query_next(&rest, buf, sizeof(buf), &name, &value), 0);
}
