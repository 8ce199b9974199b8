// PROXY headers: which are taken, which address they name, and that no split of the bytes makes a difference.
#include "gateway/client/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.timeout_s = 20);

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\x01\x02\x03\x04\x0a\x00\x00\x01\x12\x67\x01\xbb"
#define V6                                                                                                   \
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"                                       \
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x67\x01\xbb"
#define MAPPED                                                                                               \
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04"                                       \
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01\x12\x67\x01\xbb"

struct row {
    const char *bytes;
    size_t len;
    enum proxy_version allowed;
    const char *from; // NULL: bad
};
#define ROW(bytes, allowed, from)                                                                            \
    {                                                                                                        \
        bytes, sizeof(bytes) - 1, allowed, from                                                              \
    }

// Each is a whole header (with nothing behind it), or bad with its last byte at the latest.
static const struct row rows[] = {
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 4711 443\r\n", PROXY_V1, "1.2.3.4"),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 0 65535\r\n", PROXY_ANY, "1.2.3.4"),
    ROW("PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", PROXY_ANY, "2001:db8::1"),
    ROW("PROXY TCP6 ::ffff:1.2.3.4 ::1 4711 443\r\n", PROXY_ANY, "1.2.3.4"),
    ROW("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
        "65535\r\n",
        PROXY_V1, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ROW("PROXY UNKNOWN\r\n", PROXY_V1, "unknown"),
    ROW("PROXY UNKNOWN ffff::1 whatever 1 2 3\r\n", PROXY_V1, "unknown"),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 4711 443\r\n", PROXY_V2, NULL),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 4711 443\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 4711\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 4711 443 1\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 4711 443 \r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4  1.2.3.4 10.0.0.1 4711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 4711 65536\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 04711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 1.2.3.4 10.0.0.1 -1 443\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 01.2.3.4 10.0.0.1 4711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP6 1.2.3.4 10.0.0.1 4711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY TCP6 2001:db8::1 junk 4711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY UDP4 1.2.3.4 10.0.0.1 4711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY tcp4 1.2.3.4 10.0.0.1 4711 443\r\n", PROXY_V1, NULL),
    ROW("PROXY\r\n", PROXY_V1, NULL),
    ROW("PROXY \r\n", PROXY_V1, NULL),
    ROW("PROXY UNKNOWN\rx\r\n", PROXY_V1, NULL),
    ROW("PROXY UNKNOWN "
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
        PROXY_V1, NULL),
    ROW("GET / HTTP/1.1\r\n", PROXY_ANY, NULL),
    ROW("P\r\n", PROXY_ANY, NULL),
    ROW("\x16\x03\x01", PROXY_ANY, NULL),
    ROW("\r\n\r\nGET", PROXY_ANY, NULL),
    ROW(SIGNATURE "\x21\x11\x00\x0c" V4, PROXY_V2, "1.2.3.4"),
    ROW(SIGNATURE "\x21\x11\x00\x0c" V4, PROXY_V1, NULL),
    ROW(SIGNATURE "\x21\x21\x00\x24" V6, PROXY_ANY, "2001:db8::1"),
    ROW(SIGNATURE "\x21\x21\x00\x24" MAPPED, PROXY_ANY, "1.2.3.4"),
    ROW(SIGNATURE "\x20\x00\x00\x00", PROXY_ANY, "unknown"), // LOCAL
    ROW(SIGNATURE "\x20\x11\x00\x0c" V4, PROXY_ANY, "unknown"),
    ROW(SIGNATURE "\x20\x11\x00\x03xyz", PROXY_ANY, "unknown"),
    ROW(SIGNATURE "\x21\x00\x00\x00", PROXY_ANY, "unknown"),                   // UNSPEC
    ROW(SIGNATURE "\x21\x12\x00\x0c" V4, PROXY_ANY, "unknown"),                // a datagram
    ROW(SIGNATURE "\x21\x11\x00\x0f" V4 "\x04\x00\x00", PROXY_ANY, "1.2.3.4"), // NOOP
    ROW(SIGNATURE "\x21\x11\x00\x17" V4 "\x01\x00\x02h2\xee\x00\x03xyz", PROXY_ANY, "1.2.3.4"),
    // As proxies send it: with a checksum.
    ROW(SIGNATURE "\x21\x11\x00\x13" V4 "\x03\x00\x04"
                  "\x13\x07\x31\x6d",
        PROXY_ANY, "1.2.3.4"),
    ROW(SIGNATURE "\x21\x11\x00\x13" V4 "\x03\x00\x04\x00\x00\x00\x00", PROXY_ANY, NULL),
    ROW(SIGNATURE "\x21\x11\x00\x12" V4 "\x03\x00\x03\x00\x00\x00", PROXY_ANY, NULL),
    ROW(SIGNATURE "\x21\x11\x00\x0b"
                  "\x01\x02\x03\x04\x0a\x00\x00\x01\x12\x67\x01",
        PROXY_ANY, NULL), // short
    ROW(SIGNATURE "\x21\x21\x00\x0c" V4, PROXY_ANY, NULL),
    ROW(SIGNATURE "\x21\x31\x00\x0c" V4, PROXY_ANY, NULL),
    ROW(SIGNATURE "\x21\x11\x00\x0e" V4 "\x04\x00", PROXY_ANY, NULL), // half a value
    ROW(SIGNATURE "\x21\x11\x00\x10" V4 "\x04\x00\x02x", PROXY_ANY, NULL),
    ROW(SIGNATURE "\x11\x11\x00\x0c", PROXY_ANY, NULL), // version 1 in the form of 2
    ROW(SIGNATURE "\x22\x11\x00\x0c", PROXY_ANY, NULL), // no such command
    ROW(SIGNATURE "\x21\x41\x00\x0c", PROXY_ANY, NULL), // no such family
    ROW(SIGNATURE "\x21\x13\x00\x0c", PROXY_ANY, NULL),
    ROW(SIGNATURE "\x21\x11\x0f\xf1", PROXY_ANY, NULL), // more than PROXY_HEADER_MAX
    ROW("\r\n\r\n\0\r\nQUIT\r", PROXY_ANY, NULL),
};

// On the heap, so that a read behind the end is seen.
static enum proxy_parse parse(const char *bytes, size_t len, enum proxy_version allowed,
                              struct peer_address *from, size_t *header_len)
{
    char *copy = malloc(len);
    memcpy(copy, bytes, len);
    enum proxy_parse result = proxy_header_parse(copy, len, allowed, from, header_len);
    free(copy);
    return result;
}

TEST_EACH(a_header_is_taken_as_it_is_or_refused_as_a_whole, rows)
{
    const struct row *r = &rows[_i];
    struct peer_address from;
    size_t len = 0;
    enum proxy_parse result = parse(r->bytes, r->len, r->allowed, &from, &len);
    ck_assert_int_eq(result, r->from ? PROXY_DONE : PROXY_BAD);
    if (!r->from)
        return;
    char text[PEER_ADDRESS_TEXT];
    peer_address_print(&from, text);
    ck_assert_str_eq(text, r->from);
    ck_assert_uint_eq(len, r->len);
}

TEST_EACH(a_part_of_a_good_header_is_waited_for_and_a_bad_one_stays_bad, rows)
{
    const struct row *r = &rows[_i];
    struct peer_address from;
    size_t len;
    enum proxy_parse before = PROXY_MORE;
    for (size_t n = 1; n < r->len; n++) {
        enum proxy_parse result = parse(r->bytes, n, r->allowed, &from, &len);
        ck_assert_int_ne(result, PROXY_DONE);
        ck_assert(r->from ? result == PROXY_MORE : result == before || result == PROXY_BAD);
        before = result;
    }
}

TEST_EACH(what_follows_a_header_does_not_belong_to_it, rows)
{
    const struct row *r = &rows[_i];
    struct peer_address from;
    size_t len = 0;
    char more[PROXY_HEADER_MAX];
    memcpy(more, r->bytes, r->len);
    memset(more + r->len, '\n', 64);
    enum proxy_parse result = parse(more, r->len + 64, r->allowed, &from, &len);
    ck_assert_int_eq(result, r->from ? PROXY_DONE : PROXY_BAD);
    if (r->from)
        ck_assert_uint_eq(len, r->len);
}

TEST(the_longest_header_is_taken)
{
    static char bytes[PROXY_HEADER_MAX] = SIGNATURE "\x21\x11\x0f\xf0" V4 "\x04\x0f\xe1";
    struct peer_address from;
    size_t len = 0;
    ck_assert_int_eq(parse(bytes, sizeof bytes, PROXY_ANY, &from, &len), PROXY_DONE);
    ck_assert_uint_eq(len, sizeof bytes);
}
