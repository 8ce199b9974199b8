// The client's address behind proxies: the proxies are 10.0.0.0/8 and fd00::/8, and the gateway sees 10.0.0.9 unless
// a row says otherwise.
#include "gateway/client/forwarded.h"

#include <string.h>

#include "gateway/client/http_lookup.h"
#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.timeout_s = 10);

static const char *client_of(const char *socket, const char *fields)
{
    static char text[PEER_ADDRESS_TEXT];
    struct peer_range ranges[2];
    ck_assert(peer_range_parse(&ranges[0], "10.0.0.0/8") && peer_range_parse(&ranges[1], "fd00::/8"));
    const struct peer_ranges trusted = {.items = ranges, .count = 2};
    struct peer_address peer, client;
    ck_assert(peer_address_parse(&peer, socket, strlen(socket)));
    char lines[1024];
    size_t len = strlen(fields);
    memcpy(lines, fields, len);
    memcpy(lines + len, "\r\n", 2); // not terminated
    client = forwarded_client(&trusted, &peer, (struct http_text){lines, len + 2});
    peer_address_print(&client, text);
    return text;
}

static const struct {
    const char *fields, *client;
} rows[] = {
    {"", "10.0.0.9"},
    {"X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"},
    {"x-forwarded-FOR:1.1.1.1\r\n", "1.1.1.1"},
    // From the right, the first that is not trusted. What the client has put before it means nothing.
    {"X-Forwarded-For: 6.6.6.6, 1.1.1.1\r\n", "1.1.1.1"},
    {"X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.1, 10.0.0.2\r\n", "1.1.1.1"},
    {"X-Forwarded-For: 10.0.0.1, 1.1.1.1\r\n", "1.1.1.1"},
    {"X-Forwarded-For: 10.0.0.1, 6.6.6.6, 10.0.0.2, 1.1.1.1, fd00::1\r\n", "1.1.1.1"},
    // All are trusted: the one that is furthest away.
    {"X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1"},
    // All lines are one list.
    {"X-Forwarded-For: 6.6.6.6\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 10.0.0.1\r\n",
     "1.1.1.1"},
    {"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For:\r\n", "1.1.1.1"},
    {"X-Forwarded-For: 1.1.1.1,,\t ,\r\n", "1.1.1.1"},
    // Garbage ends the walk at the last good one.
    {"X-Forwarded-For: unknown\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 6.6.6.6, junk\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 6.6.6.6, junk, 10.0.0.1\r\n", "10.0.0.1"},
    {"X-Forwarded-For: 6.6.6.6, junk, 1.1.1.1, 10.0.0.1\r\n", "1.1.1.1"},
    {"X-Forwarded-For: 6.6.6.6 1.1.1.1\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: junk\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 01.1.1.1\r\n", "10.0.0.9"},
    // Ports, which some proxies write.
    {"X-Forwarded-For: 1.1.1.1:4711\r\n", "1.1.1.1"},
    {"X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1"},
    {"X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1"},
    {"X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
    {"X-Forwarded-For: ::ffff:1.1.1.1\r\n", "1.1.1.1"},
    {"X-Forwarded-For: 1.1.1.1:\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 1.1.1.1:123456\r\n", "10.0.0.9"},
    {"X-Forwarded-For: [1.1.1.1]\r\n", "10.0.0.9"},
    {"X-Forwarded-For: [2001:db8::1\r\n", "10.0.0.9"},
    {"X-Forwarded-For: [2001:db8::1]4711\r\n", "10.0.0.9"},
    {"X-Forwarded-For: fe80::1%25eth0\r\n", "10.0.0.9"},
    // Forwarded (RFC 7239).
    {"Forwarded: for=1.1.1.1\r\n", "1.1.1.1"},
    {"Forwarded: proto=https;FOR=1.1.1.1 ; by=10.0.0.1\r\n", "1.1.1.1"},
    {"Forwarded: for=6.6.6.6, for=1.1.1.1;host=x, for=10.0.0.1\r\n", "1.1.1.1"},
    {"Forwarded: for=\"[2001:db8::1]\"\r\n", "2001:db8::1"},
    {"Forwarded: for=\"[2001:db8::1]:4711\"\r\n", "2001:db8::1"},
    {"Forwarded: for=\"1.1.1.1:80\"\r\n", "1.1.1.1"},
    {"Forwarded: for=\"1.1.1.1\"\r\n", "1.1.1.1"},
    {"Forwarded: for=6.6.6.6\r\nForwarded: for=1.1.1.1\r\n", "1.1.1.1"},
    {"Forwarded: for=6.6.6.6, for=unknown\r\n", "10.0.0.9"},
    {"Forwarded: for=6.6.6.6, for=_hidden, for=10.0.0.1\r\n", "10.0.0.1"},
    {"Forwarded: for=\"_x:_y\"\r\n", "10.0.0.9"},
    {"Forwarded: for=1.1.1.1:80\r\n", "10.0.0.9"},  // must be quoted
    {"Forwarded: for=2001:db8::1\r\n", "10.0.0.9"}, // likewise, in brackets
    {"Forwarded: for=\"2001:db8::1\"\r\n", "10.0.0.9"},
    {"Forwarded: for = 1.1.1.1\r\n", "10.0.0.9"},
    {"Forwarded: by=10.0.0.1\r\n", "10.0.0.9"},
    {"Forwarded: for=6.6.6.6, proto=http\r\n", "10.0.0.9"},
    {"Forwarded: for=6.6.6.6;for=1.1.1.1\r\n", "10.0.0.9"},
    {"Forwarded: for\r\n", "10.0.0.9"},
    {"Forwarded: for=\r\n", "10.0.0.9"},
    {"Forwarded: for=\"\"\r\n", "10.0.0.9"},
    {"Forwarded: for=\"\r\n", "10.0.0.9"},
    // What the client sends must not swallow, nor look like, what the proxy appends.
    {"Forwarded: for=\", for=1.1.1.1\r\n", "10.0.0.9"},
    {"Forwarded: for=\"x, for=6.6.6.6, for=1.1.1.1\r\n", "10.0.0.9"},
    {"Forwarded: for=\"x, for=\"[2001:db8::1]\"\r\n", "10.0.0.9"},
    {"Forwarded: for=\"\\\", for=1.1.1.1\r\n", "10.0.0.9"},
    {"Forwarded: host=\"a,for=6.6.6.6\";for=1.1.1.1\r\n", "1.1.1.1"},
    {"Forwarded: host=\"a;for=6.6.6.6\";for=1.1.1.1\r\n", "1.1.1.1"},
    {"Forwarded: host=\"a\\\";for=6.6.6.6;x=\";for=1.1.1.1\r\n", "1.1.1.1"},
    // Both headers: the proxy writes one of them, and which one nobody knows.
    {"X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n", "1.1.1.1"},
    {"X-Forwarded-For: 1.1.1.1\r\nForwarded: for=6.6.6.6\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 6.6.6.6\r\nForwarded: for=1.1.1.1\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 1.1.1.1\r\nForwarded: junk\r\n", "10.0.0.9"},
    {"X-Forwarded-For: 1.1.1.1\r\nForwarded:\r\n", "10.0.0.9"},
    {"X-Forwarded-Forx: 1.1.1.1\r\nForwarded-: for=1.1.1.1\r\n", "10.0.0.9"},
};

TEST_EACH(the_rightmost_untrusted_address_is_the_client, rows)
{
    const char *client = client_of("10.0.0.9", rows[_i].fields);
    ck_assert_msg(strcmp(client, rows[_i].client) == 0, "%s gave %s, not %s", rows[_i].fields, client,
                  rows[_i].client);
}

TEST_EACH(a_client_that_comes_directly_gains_nothing_by_any_of_these, rows)
{
    ck_assert_str_eq(client_of("9.9.9.9", rows[_i].fields), "9.9.9.9");
    ck_assert_str_eq(client_of("2001:db8::9", rows[_i].fields), "2001:db8::9");
}

TEST(a_proxy_that_came_as_a_mapped_address_is_the_same_proxy)
{
    ck_assert_str_eq(client_of("::ffff:10.0.0.9", "X-Forwarded-For: 1.1.1.1\r\n"), "1.1.1.1");
}

TEST(a_field_is_found_by_its_whole_name_wherever_it_stands)
{
    static const char text[] = "Ab: 1\r\nA: x y\t\r\nAB:2\r\nC:\r\nab: \r\n\r\n";
    const struct http_text fields = {text, sizeof text - 1};
    struct http_text value;
    size_t cursor = 0;
    ck_assert(http_lookup(fields, &cursor, "ab", &value) && value.len == 1 && *value.at == '1');
    ck_assert(http_lookup(fields, &cursor, "ab", &value) && value.len == 1 && *value.at == '2');
    ck_assert(http_lookup(fields, &cursor, "ab", &value) && value.len == 0 && value.at);
    ck_assert(!http_lookup(fields, &cursor, "ab", &value));
    cursor = 0;
    ck_assert(http_lookup(fields, &cursor, "a", &value) && value.len == 3);
    cursor = 0;
    ck_assert(!http_lookup(fields, &cursor, "b", &value));
    cursor = 0;
    ck_assert(!http_lookup((struct http_text){NULL, 0}, &cursor, "b", &value));
}
