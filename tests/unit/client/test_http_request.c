// What is unclear is refused: the proxies in front disagree on most of these requests, and whoever gets two
// parsers to see two requests in the same bytes owns the connection between them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/client/http_request.h"
#include "tests/unit/lib/unit_main.h"

#define TEXT(s) (s), sizeof(s) - 1

// Parses from memory of exactly `len` bytes, so that AddressSanitizer sees a read past the end.
struct parsed {
    char *bytes;
    struct http_request req;
    size_t head_len;
    int status;
    enum http_parse result;
};

static struct parsed parse(const char *text, size_t len)
{
    struct parsed p = {.bytes = malloc(len + (len == 0))};
    ck_assert_ptr_nonnull(p.bytes);
    memcpy(p.bytes, text, len);
    struct http_scan scan = {0};
    p.result = http_request_parse(p.bytes, &len, &scan, &p.req, &p.head_len, &p.status);
    return p;
}

// The same, byte by byte, as a slow client sends it; stops where the parser has decided.
static struct parsed parse_slowly(const char *text, size_t len)
{
    struct parsed p = {.bytes = malloc(len), .result = HTTP_PARSE_MORE};
    ck_assert_ptr_nonnull(p.bytes);
    struct http_scan scan = {0};
    size_t n = 0;
    for (size_t i = 0; i < len && p.result == HTTP_PARSE_MORE; i++) {
        p.bytes[n++] = text[i];
        p.result = http_request_parse(p.bytes, &n, &scan, &p.req, &p.head_len, &p.status);
        if (scan.scanned > n) // ck_assert notes each call somewhere, and this is called millions of times
            ck_abort_msg("%zu of %zu bytes were scanned", scan.scanned, n);
    }
    return p;
}

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

static void check_status(const char *text, size_t len, int want)
{
    for (int slow = 0; slow < 2; slow++) {
        struct parsed p = slow ? parse_slowly(text, len) : parse(text, len);
        int got = p.result == HTTP_PARSE_ERROR ? p.status : p.result == HTTP_PARSE_DONE ? 200 : 100;
        ck_assert_msg(got == want, "%s: got %d, want %d:\n%.200s", slow ? "byte by byte" : "at once", got,
                      want, text);
        free(p.bytes);
    }
}

#define H "Host: h\r\n"

static const struct {
    int want; // 200: taken
    const char *text;
    size_t len;
} requests[] = {
    // plain ones
    {200, TEXT("GET / HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("GET /stream?channel=a HTTP/1.0\r\n\r\n")},
    {200, TEXT("HEAD / HTTP/1.1\r\nhOsT: h:80\r\n\r\n")},
    {200, TEXT("OPTIONS * HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("OPTIONS /stream HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("POST /ticket HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello")},
    {200, TEXT("BREW / HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("get / HTTP/1.1\r\n" H "\r\n")}, // a method of its own: the router's 405
    {200, TEXT("GET / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\nHost:h\r\nX:\r\nY:   \t\r\nZ:\t z \t\r\n\r\n")},
    // empty lines in front
    {200, TEXT("\r\nGET / HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("\nGET / HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("\r\r\nGET / HTTP/1.1\r\n" H "\r\n")},
    // line ends
    {400, TEXT("GET / HTTP/1.1\n" H "\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h\n\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r" H "\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: a\nb: c\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "\rGET /evil HTTP/1.1\r\n")},
    // obs-fold
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n " H "\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n")},
    // control bytes, and those above ASCII
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: \x1b[2J\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\n" H "X: a\tb\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\n" H "X: caf\xc3\xa9\xff\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X\xc3: a\r\n\r\n")},
    {400, TEXT("GET /caf\xc3\xa9 HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /?\x80 HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /\0 HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /\x7f HTTP/1.1\r\n" H "\r\n")},
    // the request line
    {400, TEXT("GET / HTTP/1.1 \r\n" H "\r\n")},
    {400, TEXT("GET  / HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /  HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET\t/ HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /\tHTTP/1.1\r\n" H "\r\n")},
    {400, TEXT(" GET / HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET / a HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /a\tb HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /\r\n\r\n")},
    {400, TEXT("GET\r\n\r\n")},
    {400, TEXT("GET HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET  HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("G@T / HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("G\"T / HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")}, // TLS on a plain port
    {501, TEXT("ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n" H "\r\n")},
    {501, TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")},
    {501, TEXT("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")},
    // versions
    {400, TEXT("GET / http/1.1\r\n" H "\r\n")},
    {400, TEXT("GET / HTTP/1.\r\n" H "\r\n")},
    {400, TEXT("GET / HTTP/11\r\n" H "\r\n")},
    {400, TEXT("GET / HTTP/1.10\r\n" H "\r\n")},
    {400, TEXT("GET / HTTP/01.1\r\n" H "\r\n")},
    {400, TEXT("GET / HTTP/+1.1\r\n" H "\r\n")},
    {400, TEXT("GET / HTTPS/1.1\r\n" H "\r\n")},
    {505, TEXT("GET / HTTP/1.2\r\n" H "\r\n")},
    {505, TEXT("GET / HTTP/0.9\r\n" H "\r\n")},
    {505, TEXT("GET / HTTP/2.0\r\n" H "\r\n")},
    {505, TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    // targets
    {400, TEXT("GET * HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("OPTIONS ** HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET stream HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET h:80 HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET ?channel=a HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /a#b HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /a%00b HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /a% HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /a%4 HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET /a%zz HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("GET /a%2fb?c=%zz HTTP/1.1\r\n" H "\r\n")}, // the query has a reader of its own
    {200, TEXT("GET http://h/stream HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("GET HTTP://H/stream HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("GET http://h HTTP/1.1\r\n" H "\r\n")},
    {200, TEXT("GET http://h/ HTTP/1.0\r\n\r\n")},
    {400, TEXT("GET http://h/ HTTP/1.1\r\n\r\n")},
    {400, TEXT("GET http://other/ HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET http://h:81/ HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET http://u@h/ HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET http:///x HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET http:/h/x HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET ftp://h/x HTTP/1.1\r\n" H "\r\n")},
    {400, TEXT("GET javascript://h/x HTTP/1.1\r\n" H "\r\n")},
    // Host
    {400, TEXT("GET / HTTP/1.1\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H H "\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: y\r\nhost: h\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.0\r\n" H H "\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: user@h\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h?x\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h h\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h, h\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h:80x\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h:80:80\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h\xff\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: h%00\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: :80\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: []\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost: [h]\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\nHost: [::ffff:10.0.0.1]\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\nHost: a_b.c-d.example.:8080\r\n\r\n")},
    // field lines
    {400, TEXT("GET / HTTP/1.1\r\nHost : h\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\nHost\t: h\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X Y: z\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H ": z\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "no colon\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "nocolon\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X(: z\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X@y: z\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X\0: z\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Last-Event-ID: 1\r\nLast-Event-ID: 2\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Origin: a\r\norigin: a\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Authorization: a\r\nAuthorization:\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Authorization:\r\nAuthorization: a\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Cookie: a=1\r\nCookie: a=2\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\n" H "X: 1\r\nX: 2\r\nAccept: a/b\r\nAccept: c/d\r\n\r\n")},
    // framing
    {413, TEXT("GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello")},
    {413, TEXT("HEAD / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n")},
    {413, TEXT("OPTIONS / HTTP/1.1\r\n" H "Content-Length: 00005\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Content-Length: 0\r\nContent-Length: 0\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n")}, // 2^63
    {200, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n")},
    {200, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 00000000000000000000000000005\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length : 5\r\n\r\n")},
    {501, TEXT("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
    {501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n")},
    {501, TEXT("POST / HTTP/1.1\r\n" H "tRANSFER-eNCODING: identity\r\n\r\n")},
    {501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n")},
    {501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n")},
    {501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n")},
    {501, TEXT("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: x\r\nContent-Length: 0\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n")},
    {200, TEXT("POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n")},
    {200, TEXT("POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n")},
    {417, TEXT("POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")},
    {417, TEXT("PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")},
    {417, TEXT("GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n")},
    {417, TEXT("POST / HTTP/1.1\r\n" H "Expect: x\r\nExpect: 100-continue\r\n\r\n")},
    {417, TEXT("POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: x\r\n\r\n")},
    {417, TEXT("POST / HTTP/1.1\r\n" H "Expect: 100-continue, x\r\n\r\n")},
    {417, TEXT("POST / HTTP/1.1\r\n" H "Expect:\r\n\r\n")},
    {400, TEXT("POST / HTTP/1.1\r\n" H "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n")},
    {417, TEXT("GET / HTTP/1.1\r\n" H "expect: x\r\n\r\n")},
    // upgrades are never taken up
    {200, TEXT("GET / HTTP/1.1\r\n" H
               "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n")},
    {200, TEXT("GET / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00")},
};

TEST_EACH(requests_are_taken_or_refused, requests)
{
    check_status(requests[_i].text, requests[_i].len, requests[_i].want);
}

// ---- any cut

// The same in two pieces, of which the first has `cut` bytes.
static struct parsed parse_cut(const char *text, size_t len, size_t cut)
{
    struct parsed p = {.bytes = malloc(len)};
    ck_assert_ptr_nonnull(p.bytes);
    struct http_scan scan = {0};
    size_t have = cut;
    memcpy(p.bytes, text, cut);
    p.result = http_request_parse(p.bytes, &have, &scan, &p.req, &p.head_len, &p.status);
    if (p.result == HTTP_PARSE_MORE) {
        memcpy(p.bytes + have, text + cut, len - cut);
        have += len - cut;
        p.result = http_request_parse(p.bytes, &have, &scan, &p.req, &p.head_len, &p.status);
    }
    return p;
}

static void check_same_text(struct http_text a, struct http_text b, const char *text, size_t cut)
{
    ck_assert_msg(
        (a.at != NULL) == (b.at != NULL) && a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0),
        "cut at byte %zu: \"%.*s\", not \"%.*s\" of:\n%s", cut, (int)b.len, b.at, (int)a.len, a.at, text);
}

static void check_every_cut(const char *text, size_t len)
{
    struct parsed whole = parse(text, len);
    for (size_t cut = 0; cut < len; cut++) {
        struct parsed p = parse_cut(text, len, cut);
        const struct http_request *a = &whole.req, *b = &p.req;
        ck_assert_msg(p.result == whole.result && p.status == whole.status,
                      "cut at byte %zu: %d, not %d for:\n%s", cut, p.status, whole.status, text);
        ck_assert(p.result != HTTP_PARSE_DONE || p.head_len == whole.head_len);
        ck_assert(a->method == b->method && a->http_1_0 == b->http_1_0 && a->keep_alive == b->keep_alive &&
                  a->accepts_event_stream == b->accepts_event_stream);
        check_same_text(a->origin, b->origin, text, cut); // of refused ones, too
        if (p.result == HTTP_PARSE_DONE) {
            check_same_text(a->target, b->target, text, cut);
            check_same_text(a->path, b->path, text, cut);
            check_same_text(a->query, b->query, text, cut);
            check_same_text(a->host, b->host, text, cut);
            check_same_text(a->accept, b->accept, text, cut);
            check_same_text(a->last_event_id, b->last_event_id, text, cut);
            check_same_text(a->authorization, b->authorization, text, cut);
            check_same_text(a->cookie, b->cookie, text, cut);
            check_same_text(a->request_method, b->request_method, text, cut);
        }
        free(p.bytes);
    }
    free(whole.bytes);
}

TEST_EACH(a_request_that_is_cut_anywhere_is_read_the_same, requests)
{
    check_every_cut(requests[_i].text, requests[_i].len);
}

// With a field in front and behind, so that a head which is refused halfway has an origin before or behind that.
TEST_LOOP(a_request_of_a_page_that_is_cut_anywhere_is_read_the_same, 0,
          2 * (int)(sizeof requests / sizeof *requests))
{
    static const char origin[] = "Origin: https://app.example\r\n";
    const char *text = requests[_i / 2].text, *end = text + requests[_i / 2].len;
    const char *first = memchr(text, '\n', requests[_i / 2].len), *last = NULL;
    for (const char *at = text; at + 4 <= end && !last; at++)
        if (memcmp(at, "\r\n\r\n", 4) == 0)
            last = at + 1;
    const char *where = _i % 2 == 0 ? first : last;
    if (!where)
        return;
    char changed[512];
    size_t before = (size_t)(where + 1 - text), after = (size_t)(end - where - 1);
    ck_assert_uint_lt(before + sizeof origin + after, sizeof changed);
    memcpy(changed, text, before);
    memcpy(changed + before, origin, sizeof origin - 1);
    memcpy(changed + before + sizeof origin - 1, where + 1, after);
    check_every_cut(changed, before + sizeof origin - 1 + after);
}

TEST(every_part_is_found)
{
    static const char text[] = "GET /str%65am?channel=a&b=?c HTTP/1.1\r\n"
                               "Host: example.com:8080\r\n"
                               "Accept:  text/event-stream \t\r\n"
                               "LAST-EVENT-ID: 7-12\r\n"
                               "Origin: https://app.example\r\n"
                               "Authorization: Bearer x.y.z\r\n"
                               "Cookie: a=1; b=2\r\n"
                               "X-Forwarded-For: 1.1.1.1\r\n"
                               "X-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n"
                               "Access-Control-Request-Method: GET\r\n"
                               "\r\n";
    struct parsed p = parse(TEXT(text));
    ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
    ck_assert_uint_eq(p.head_len, sizeof(text) - 1);
    ck_assert_int_eq(p.req.method, HTTP_GET);
    ck_assert(!p.req.http_1_0);
    ck_assert(p.req.keep_alive);
    check_text(p.req.target, "/str%65am?channel=a&b=?c");
    check_text(p.req.path, "/str%65am");
    check_text(p.req.query, "channel=a&b=?c");
    check_text(p.req.host, "example.com:8080");
    check_text(p.req.accept, "text/event-stream");
    check_text(p.req.last_event_id, "7-12");
    check_text(p.req.origin, "https://app.example");
    check_text(p.req.authorization, "Bearer x.y.z");
    check_text(p.req.cookie, "a=1; b=2");
    ck_assert_ptr_eq(p.req.fields.at, strchr(p.bytes, '\n') + 1);
    ck_assert_ptr_eq(p.req.fields.at + p.req.fields.len, p.bytes + p.head_len);
    check_text(p.req.request_method, "GET");
    free(p.bytes);
}

TEST(absent_parts_are_absent_and_empty_ones_empty)
{
    struct parsed p = parse(TEXT("GET / HTTP/1.1\r\n" H "Origin:\r\nLast-Event-ID: \t \r\n\r\n"));
    ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
    check_text(p.req.origin, "");
    check_text(p.req.last_event_id, "");
    check_text(p.req.query, NULL);
    check_text(p.req.accept, NULL);
    check_text(p.req.authorization, NULL);
    check_text(p.req.cookie, NULL);
    check_text(p.req.request_method, NULL);
    free(p.bytes);
    p = parse(TEXT("GET /? HTTP/1.1\r\n" H "\r\n"));
    check_text(p.req.path, "/");
    check_text(p.req.query, "");
    free(p.bytes);
}

static const struct {
    const char *target, *path, *query;
} targets[] = {
    {"/", "/", NULL},
    {"//x//", "//x//", NULL},
    {"/a/../b", "/a/../b", NULL},
    {"/a?b/c", "/a", "b/c"},
    {"http://h", "/", NULL},
    {"http://h?q", "/", "q"},
    {"http://h/a?q", "/a", "q"},
    {"https://h/", "/", NULL},
    {"http://h?q=/x", "/", "q=/x"},
};

TEST_EACH(targets_are_split, targets)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" H "\r\n", targets[_i].target);
    struct parsed p = parse(text, (size_t)n);
    ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
    check_text(p.req.target, targets[_i].target);
    check_text(p.req.path, targets[_i].path);
    check_text(p.req.query, targets[_i].query);
    free(p.bytes);
}

static const struct {
    const char *method;
    enum http_method want;
} methods[] = {{"GET", HTTP_GET},      {"HEAD", HTTP_HEAD},      {"OPTIONS", HTTP_OPTIONS},
               {"POST", HTTP_POST},    {"PUT", HTTP_OTHER},      {"Get", HTTP_OTHER},
               {"GETX", HTTP_OTHER},   {"GE", HTTP_OTHER},       {"PRI", HTTP_OTHER},
               {"SOURCE", HTTP_OTHER}, {"DESCRIBE", HTTP_OTHER}, {"!#$%&'*+-.^_`|~", HTTP_OTHER}};

TEST_EACH(methods_are_told_apart, methods)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" H "\r\n", methods[_i].method);
    struct parsed p = parse(text, (size_t)n);
    ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
    ck_assert_int_eq(p.req.method, methods[_i].want);
    free(p.bytes);
}

static const struct {
    const char *version, *fields;
    bool want;
} connections[] = {
    {"1.1", "", true},
    {"1.1", "Connection: close\r\n", false},
    {"1.1", "Connection: CLOSE\r\n", false},
    {"1.1", "Connection: keep-alive\r\n", true},
    {"1.1", "Connection: x, Close ,y\r\n", false},
    {"1.1", "Connection: x\r\nConnection: close\r\n", false},
    {"1.1", "Connection: keep-alive, close\r\n", false},
    {"1.1", "Connection: closed, xclose\r\n", true},
    {"1.1", "Connection: ,,\r\n", true},
    {"1.1", "Connection:\r\n", true},
    {"1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n", true},
    {"1.0", "", false},
    {"1.0", "Connection: Keep-Alive\r\n", true},
    {"1.0", "Connection: Keep-Alive, close\r\n", false},
};

TEST_EACH(keep_alive_follows_version_and_connection, connections)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "GET / HTTP/%s\r\n" H "%s\r\n", connections[_i].version,
                     connections[_i].fields);
    struct parsed p = parse(text, (size_t)n);
    ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
    ck_assert_int_eq(p.req.keep_alive, connections[_i].want);
    ck_assert_int_eq(p.req.http_1_0, strcmp(connections[_i].version, "1.0") == 0);
    free(p.bytes);
}

TEST(a_body_that_nobody_reads_ends_the_connection)
{
    struct parsed p = parse(TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nGET /"));
    ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
    ck_assert(!p.req.keep_alive);
    free(p.bytes);
}

TEST(a_head_says_where_it_ends)
{
    static const char text[] =
        "\r\nGET /health/live HTTP/1.1\r\n" H "\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n";
    struct parsed p = parse(TEXT(text));
    ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
    check_text(p.req.path, "/health/live");
    check_text(p.req.host, "h");
    char *next = p.bytes + p.head_len;
    ck_assert_mem_eq(next, "GET /next ", 10);
    struct http_request req;
    struct http_scan scan = {0};
    size_t len = sizeof(text) - 1 - p.head_len, head_len;
    int status;
    ck_assert_int_eq(http_request_parse(next, &len, &scan, &req, &head_len, &status), HTTP_PARSE_DONE);
    check_text(req.path, "/next");
    ck_assert_uint_eq(p.head_len + head_len, sizeof(text) - 1);
    free(p.bytes);
}

TEST(a_head_that_is_not_whole_wants_more)
{
    static const char text[] = "\r\nGET /a HTTP/1.1\r\n" H "X: y\r\n\r\n";
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        check_status(text, len, 100);
    check_status(TEXT(text), 200);
}

// A request whose head is `total` bytes, all of the surplus in one field.
static char *head_of(size_t total)
{
    static const char front[] = "GET / HTTP/1.1\r\n" H "X: ";
    char *text = malloc(total);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', total);
    memcpy(text, front, sizeof(front) - 1);
    memcpy(text + total - 4, "\r\n\r\n", 4);
    return text;
}

TEST(a_head_may_be_as_long_as_the_limit)
{
    char *text = head_of(HTTP_HEAD_MAX);
    check_status(text, HTTP_HEAD_MAX, 200);
    free(text);
    text = head_of(HTTP_HEAD_MAX + 1);
    check_status(text, HTTP_HEAD_MAX + 1, 431);
    check_status(text, HTTP_HEAD_MAX, 431); // without waiting for the rest
    check_status(text, HTTP_HEAD_MAX - 1, 100);
    free(text);
}

// A request with a target of `len` bytes.
static size_t request_with_target(size_t len, char *out)
{
    memcpy(out, "GET ", 4);
    memset(out + 4, 'a', len);
    out[4] = '/';
    memcpy(out + 4 + len, TEXT(" HTTP/1.1\r\n" H "\r\n"));
    return 4 + len + sizeof(" HTTP/1.1\r\n" H "\r\n") - 1;
}

TEST(a_target_may_be_as_long_as_the_limit)
{
    static char text[2 * HTTP_HEAD_MAX + 100];
    check_status(text, request_with_target(HTTP_TARGET_MAX, text), 200);
    check_status(text, request_with_target(HTTP_TARGET_MAX + 1, text), 414);
    check_status(text, request_with_target(2 * HTTP_HEAD_MAX, text), 414);
}

// ---- Last-Event-ID

#define ID_FRONT "GET /s HTTP/1.1\r\nLast-Event-ID: "
#define ID_BACK "\r\nX: y\r\n" H "\r\nGET /next "

// A request with `id` of `len` bytes as its Last-Event-ID, and the begin of another one behind it. `*total`
// is its length.
static char *request_with_id(const char *id, size_t len, size_t *total)
{
    *total = sizeof(ID_FRONT) - 1 + len + sizeof(ID_BACK) - 1;
    char *text = malloc(*total);
    ck_assert_ptr_nonnull(text);
    memcpy(text, TEXT(ID_FRONT));
    memcpy(text + sizeof(ID_FRONT) - 1, id, len);
    memcpy(text + sizeof(ID_FRONT) - 1 + len, TEXT(ID_BACK));
    return text;
}

// What is told to be the id, byte by byte and at once, and that all else of the head is read as ever.
static void check_id(const char *id, size_t len, const char *want, size_t want_len)
{
    size_t total;
    char *text = request_with_id(id, len, &total);
    for (int slow = 0; slow < 2; slow++) {
        struct parsed p = slow ? parse_slowly(text, total) : parse(text, total);
        ck_assert_int_eq(p.result, HTTP_PARSE_DONE);
        check_text(p.req.path, "/s");
        check_text(p.req.host, "h");
        ck_assert_uint_eq(p.req.last_event_id.len, want_len);
        ck_assert_mem_eq(p.req.last_event_id.at, want, want_len);
        ck_assert_mem_eq(p.bytes + p.head_len - 4, "\r\n\r\n", 4);
        if (!slow)
            ck_assert_mem_eq(p.bytes + p.head_len, "GET /next ", 10);
        free(p.bytes);
    }
    free(text);
}

TEST(control_bytes_in_a_last_event_id_make_it_foreign)
{
    check_id(TEXT("a\x01"
                  "b"),
             TEXT("a?b"));
    check_id(TEXT("\x1f\x7f\x0b\x0c"), TEXT("????"));
    check_id(TEXT("a\tb"), TEXT("a\tb"));
    check_id(TEXT("caf\xc3\xa9\xff"), TEXT("caf\xc3\xa9\xff"));
}

TEST(a_long_last_event_id_is_cut_and_foreign)
{
    static char id[HTTP_ID_SKIP_MAX];
    memset(id, 'x', sizeof id);
    size_t most = HTTP_ID_MAX - 1; // the blank behind the colon is one
    check_id(id, most, id, most);
    char want[HTTP_ID_MAX - 1];
    memset(want, 'x', most);
    want[most - 1] = '?';
    check_id(id, most + 1, want, most);
    check_id(id, 5 * HTTP_HEAD_MAX, want, most);
    memset(id + 3, ' ', sizeof id - 3); // what is cut off is not taken for blanks at the end
    memset(want + 3, ' ', most - 4);
    check_id(id, sizeof id, want, most);
}

TEST(a_last_event_id_does_not_count_for_the_limit_of_the_head)
{
    static const char front[] = "GET / HTTP/1.1\r\n" H "Last-Event-ID:";
    static char text[2 * HTTP_HEAD_MAX];
    for (size_t len = 0; len <= 2 * HTTP_ID_MAX; len += HTTP_ID_MAX / 2) {
        size_t total = HTTP_HEAD_MAX + len;
        memset(text, 'x', total + 1);
        memcpy(text, front, sizeof(front) - 1);
        memcpy(text + sizeof(front) - 1 + len, TEXT("\r\nX: "));
        memcpy(text + total - 4, TEXT("\r\n\r\n"));
        check_status(text, total, 200);
        memcpy(text + total - 4, TEXT("x\r\n\r\n"));
        check_status(text, total + 1, 431);
    }
}

TEST(what_is_skipped_of_a_last_event_id_is_bounded)
{
    static char text[HTTP_ID_SKIP_MAX + HTTP_HEAD_MAX];
    memset(text, 'x', sizeof text);
    memcpy(text, TEXT(ID_FRONT));
    size_t most = sizeof(ID_FRONT) - 2 + HTTP_ID_MAX + HTTP_ID_SKIP_MAX;
    check_status(text, most, 100);
    check_status(text, most + 1, 431);
    check_status(text, sizeof text, 431);
}

// Where a line ends is never up to the id.
static const struct {
    int want;
    const char *text;
    size_t len;
} ids[] = {
    {400, TEXT(ID_FRONT "a\0b" ID_BACK)},
    {400, TEXT(ID_FRONT "a\rb" ID_BACK)},
    {400, TEXT(ID_FRONT "a\nb" ID_BACK)},
    {400, TEXT(ID_FRONT "a\r\rb" ID_BACK)},
    {400, TEXT(ID_FRONT "a\r\n b" ID_BACK)},
    {400, TEXT(ID_FRONT "\r\n\t" ID_BACK)},
    {400, TEXT(ID_FRONT "a\nHost: evil" ID_BACK)},
    {400, TEXT(ID_FRONT "a\r\nLast-Event-ID: \x01" ID_BACK)},
    {400, TEXT(ID_FRONT "\r\nLast-Event-ID:" ID_BACK)},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Last-Event-ID : \x01\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H " Last-Event-ID: a\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Last-Event-I: \x01\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "XLast-Event-ID: \x01\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: last-event-id:\x01\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "X: Last-Event-ID: \x01\r\n\r\n")},
    {400, TEXT("GET / HTTP/1.1\r\n" H "Last-Event-ID: a\r\nX: \x01\r\n\r\n")},
    {400, TEXT("Last-Event-ID: / HTTP/1.1\r\n" H "\r\n")},
    {501, TEXT(ID_FRONT "\x01\r\nTransfer-Encoding: chunked" ID_BACK)},
    {413, TEXT(ID_FRONT "\x01\r\nContent-Length: 5" ID_BACK)},
    {200, TEXT("GET / HTTP/1.1\r\n" H "lAST-eVENT-id:\x01\r\n\r\n")},
    {200, TEXT(ID_FRONT "Transfer-Encoding: chunked\x01" ID_BACK)},
    {200, TEXT("\r\n\r\n" ID_FRONT "\x01" ID_BACK)},
};

TEST_EACH(an_odd_last_event_id_changes_nothing_for_the_rest_of_the_head, ids)
{
    check_status(ids[_i].text, ids[_i].len, ids[_i].want);
    check_every_cut(ids[_i].text, ids[_i].len);
}

// ---- the origin of a request that is refused

static const struct {
    const char *head, *want;
} origins[] = {
    {"", NULL},
    {"GET / HTTP/1.1\r\nOrigin: https://a", NULL},
    {"GET / HTTP/1.1\r\nOrigin: https://a\r", NULL},
    {"GET / HTTP/1.1\r\nOrigin: https://a\r\n", "https://a"},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\noRIGIN:https://a \t\r\nX", "https://a"},
    {"GET / HTTP/1.1\r\nOrigin:\r\n", ""},
    {"GET / HTTP/1.1\r\nOrigin : https://a\r\n", NULL},
    {"GET / HTTP/1.1\r\nX: Origin: https://a\r\n", NULL},
    {"GET / HTTP/1.1\r\nX: y\r\n Origin: https://a\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost: h\r\n\r\nOrigin: https://a\r\n", NULL},
    {"GET / HTTP/1.1\r\nOrigin: https://a\r\nOrigin: https://b\r\n", "https://a"},
};

TEST_EACH(the_origin_of_a_head_that_is_not_whole, origins)
{
    size_t len = strlen(origins[_i].head);
    char *head = malloc(len + (len == 0));
    ck_assert_ptr_nonnull(head);
    memcpy(head, origins[_i].head, len);
    check_text(http_request_origin(head, len), origins[_i].want);
    free(head);
}

TEST(a_refused_request_has_its_origin_and_its_method_and_nothing_else)
{
    struct parsed p = parse(TEXT("HEAD /x HTTP/1.1\r\nOrigin: https://a\r\n" H "Content-Length: 5\r\n\r\n"));
    ck_assert_int_eq(p.status, 413);
    ck_assert_int_eq(p.req.method, HTTP_HEAD);
    check_text(p.req.origin, "https://a");
    free(p.bytes);
    p = parse(TEXT("PUT /x HTTP/1.1\r\nOrigin: https://a\r\n Y"));
    ck_assert_int_eq(p.status, 400);
    ck_assert_int_eq(p.req.method, HTTP_GET);
    check_text(p.req.origin, "https://a");
    free(p.bytes);
    p = parse(TEXT("FOO@ /x HTTP/1.1\r\nOrigin: https://a\r\n")); // refused before its fields are read
    ck_assert_int_eq(p.status, 400);
    check_text(p.req.origin, NULL);
    free(p.bytes);
}
