// Addresses and ranges of them: text, what a cap counts together, and who is in a range.
#include "gateway/client/peer_address.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.timeout_s = 10);

static struct peer_address address(const char *text)
{
    struct peer_address a = {0};
    ck_assert_msg(peer_address_parse(&a, text, strlen(text)), "%s", text);
    return a;
}

static const struct {
    const char *text, *printed;
} good[] = {
    {"10.0.0.1", "10.0.0.1"},
    {"2001:DB8:0:0::1", "2001:db8::1"},
    {"::ffff:10.0.0.1", "10.0.0.1"},
    {"::ffff:a00:1", "10.0.0.1"},
    {"::", "::"},
    {"255.255.255.255", "255.255.255.255"},
    {"::1", "::1"},
    {"0.0.0.0", "0.0.0.0"},
};

TEST_EACH(an_address_is_read_and_printed_in_one_form, good)
{
    char text[PEER_ADDRESS_TEXT];
    struct peer_address a = address(good[_i].text);
    peer_address_print(&a, text);
    ck_assert_str_eq(text, good[_i].printed);
    ck_assert_uint_ne(peer_address_key(&a), 0);
}

static const char *const bad[] = {
    "",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "10.0.0.1 ",
    " 10.0.0.1",
    "10.0.0.1:80",
    "[::1]",
    "fe80::1%eth0",
    "1::2::3",
    "unknown",
    "_hidden",
    "10.0.0.1/8",
    "0x0a.0.0.1",
    "167772161",
    "2001:db8:0:0:0:0:0:0:1",
    "::ffff:10.0.0.1.10.0.0.1.10.0.0.1.10.0.0.1.10.0.0.1.10.0.0.1",
};

TEST_EACH(what_is_no_bare_address_is_none, bad)
{
    struct peer_address a;
    ck_assert_msg(!peer_address_parse(&a, bad[_i], strlen(bad[_i])), "%s", bad[_i]);
}

TEST(a_cap_counts_an_ipv4_address_and_an_ipv6_64)
{
    static const char *const others[] = {"10.0.0.1", "10.0.0.2", "2001:db8:0:1::1", "2001:db8:0:2::1", "::1"};
    struct peer_address a = address("2001:db8:0:1::1"), b = address("2001:db8:0:1:ffff::7");
    struct peer_address mapped = address("::ffff:10.0.0.1"), plain = address("10.0.0.1");
    ck_assert_uint_eq(peer_address_key(&a), peer_address_key(&b));
    ck_assert_uint_eq(peer_address_key(&mapped), peer_address_key(&plain));
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < i; k++) {
            a = address(others[i]);
            b = address(others[k]);
            ck_assert_uint_ne(peer_address_key(&a), peer_address_key(&b));
        }
    struct peer_address none = {.family = ADDRESS_NONE}, local = {.family = ADDRESS_UNIX};
    ck_assert_uint_eq(peer_address_key(&none), 0);
    ck_assert_uint_eq(peer_address_key(&local), 0);
}

static const struct {
    const char *range, *address;
    bool is_in;
} ranges[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.0.0.0/9", "10.127.255.255", true},
    {"10.0.0.0/9", "10.128.0.0", false},
    {"10.0.0.7", "10.0.0.7", true},
    {"10.0.0.7", "10.0.0.6", false},
    {"0.0.0.0/0", "1.2.3.4", true},
    {"0.0.0.0/0", "::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "1.2.3.4", false},
    {"2001:db8::/33", "2001:db8:7fff::", true},
    {"2001:db8::/33", "2001:db8:8000::", false},
    {"::1", "::1", true},
    {"::1/128", "::2", false},
    {"::ffff:10.0.0.0/104", "10.1.2.3", true},
    {"::ffff:10.0.0.0/104", "11.1.2.3", false},
    {"unix", "10.0.0.1", false},
};

TEST_EACH(a_range_has_the_addresses_of_its_prefix, ranges)
{
    struct peer_range range;
    ck_assert(peer_range_parse(&range, ranges[_i].range));
    const struct peer_ranges one = {.items = &range, .count = 1}, none = {.items = &range};
    struct peer_address a = address(ranges[_i].address);
    ck_assert_msg(peer_ranges_have(&one, &a) == ranges[_i].is_in, "%s", ranges[_i].range);
    ck_assert(!peer_ranges_have(&none, &a));
}

TEST(unix_sockets_are_in_unix_alone_and_the_unknown_in_no_range)
{
    static const char *const texts[] = {"unix", "0.0.0.0/0", "::/0"};
    struct peer_address none = {.family = ADDRESS_NONE}, local = {.family = ADDRESS_UNIX};
    for (size_t i = 0; i < 3; i++) {
        struct peer_range range;
        ck_assert(peer_range_parse(&range, texts[i]));
        const struct peer_ranges one = {.items = &range, .count = 1};
        ck_assert_int_eq(peer_ranges_have(&one, &local), i == 0);
        ck_assert(!peer_ranges_have(&one, &none));
    }
}

static const char *const bad_ranges[] = {
    "",           "10.0.0.0/",   "10.0.0.0/33",    "10.0.0.0/-1",       "10.0.0.0/8 ", "10.0.0.0/8/8",
    "10.0.0.1/8", "::/129",      "2001:db8::1/64", "::ffff:10.0.0.0/8", "unix:/run/x", "all",
    "/8",         "10.0.0.0/+8", "10.0.0.0/0008",
};

TEST_EACH(what_is_no_range_is_none, bad_ranges)
{
    struct peer_range range;
    ck_assert_msg(!peer_range_parse(&range, bad_ranges[_i]), "%s", bad_ranges[_i]);
}
