// What leaves the gateway is what the publisher sent, whatever line breaks it holds (WHATWG HTML 9.2.6).
#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/sse.h"
#include "tests/unit/lib/unit_main.h"

static struct sse_event data_event(const char *data, size_t len)
{
    return (struct sse_event){.data = data, .data_len = len};
}

// Encodes into memory of exactly the announced size (AddressSanitizer sees one byte too many) and compares.
static void check_encoded(const struct sse_event *e, const char *want, size_t want_len)
{
    size_t size = sse_encoded_size(e);
    char *out = malloc(size);
    ck_assert_ptr_nonnull(out);
    ck_assert_ptr_eq(sse_encode(e, out), out + size);
    ck_assert_uint_eq(size, want_len);
    ck_assert_mem_eq(out, want, want_len);
    free(out);
}

#define TEXT(s) (s), sizeof(s) - 1

static const struct {
    const char *data;
    size_t len;
    const char *want;
} break_cases[] = {
    {TEXT(""), "data: \n\n"},
    {TEXT("hello"), "data: hello\n\n"},
    {TEXT(" two spaces stay  "), "data:  two spaces stay  \n\n"},
    {TEXT("a\nb"), "data: a\ndata: b\n\n"},
    {TEXT("a\rb"), "data: a\ndata: b\n\n"},
    {TEXT("a\r\nb"), "data: a\ndata: b\n\n"},
    {TEXT("a\n\rb"), "data: a\ndata: \ndata: b\n\n"},
    {TEXT("a\r\r\nb"), "data: a\ndata: \ndata: b\n\n"},
    {TEXT("a\n\nb"), "data: a\ndata: \ndata: b\n\n"},
    {TEXT("a\n"), "data: a\ndata: \n\n"},
    {TEXT("a\r"), "data: a\ndata: \n\n"},
    {TEXT("a\r\n"), "data: a\ndata: \n\n"},
    {TEXT("\n"), "data: \ndata: \n\n"},
    {TEXT("\r"), "data: \ndata: \n\n"},
    {TEXT("\r\n"), "data: \ndata: \n\n"},
    {TEXT("data: x"), "data: data: x\n\n"},
    {TEXT("x\n\nevent: evil\ndata: y"), "data: x\ndata: \ndata: event: evil\ndata: data: y\n\n"},
    {TEXT(":"), "data: :\n\n"},
};
#define BREAK_CASES ((int)(sizeof(break_cases) / sizeof(break_cases[0])))

TEST_LOOP(data_is_split_on_every_kind_of_line_break, 0, BREAK_CASES)
{
    struct sse_event e = data_event(break_cases[_i].data, break_cases[_i].len);
    check_encoded(&e, break_cases[_i].want, strlen(break_cases[_i].want));
}

TEST(all_fields_in_order)
{
    struct sse_event e = {.event = "order",
                          .event_len = 5,
                          .id = "7-1",
                          .id_len = 3,
                          .has_retry = true,
                          .retry_ms = 4294967295u,
                          .data = "1",
                          .data_len = 1};
    check_encoded(&e, TEXT("id: 7-1\nevent: order\nretry: 4294967295\ndata: 1\n\n"));
}

TEST(fields_without_data_make_a_block_that_fires_nothing)
{
    struct sse_event id = {.id = "x", .id_len = 1};
    check_encoded(&id, TEXT("id: x\n\n"));
    struct sse_event empty_id = {.id = "", .id_len = 0};
    check_encoded(&empty_id, TEXT("id: \n\n"));
    struct sse_event retry = {.has_retry = true, .retry_ms = 0};
    check_encoded(&retry, TEXT("retry: 0\n\n"));
    struct sse_event nothing = {0};
    check_encoded(&nothing, TEXT("\n"));
}

TEST(a_long_text_without_a_break_is_one_line)
{
    size_t len = 1u << 20;
    char *text = malloc(len), *want = malloc(len + 8);
    ck_assert(text != NULL && want != NULL);
    memset(text, 'j', len);
    memcpy(want, "data: ", 6);
    memcpy(want + 6, text, len);
    memcpy(want + 6 + len, "\n\n", 2);
    struct sse_event e = data_event(text, len);
    check_encoded(&e, want, len + 8);
    free(text);
    free(want);
}

// Every position of a bad byte sequence among ASCII, so that each step of the fast path meets it.
static bool valid_at(const char *bytes, size_t len, size_t offset, size_t total)
{
    char *text = malloc(total); // exact: reads past the end are caught
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', total);
    memcpy(text + offset, bytes, len);
    bool valid = sse_text_valid(text, total);
    free(text);
    return valid;
}

static void check_validity(const char *bytes, size_t len, bool want)
{
    for (size_t total = len; total <= 80; total++)
        for (size_t offset = 0; offset + len <= total; offset++)
            ck_assert_msg(valid_at(bytes, len, offset, total) == want,
                          "first byte 0x%02x, at %zu of %zu: want %s", (unsigned char)bytes[0], offset, total,
                          want ? "valid" : "invalid");
}

TEST(valid_text)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {TEXT("\x01")},
        {TEXT("\x7f")},
        {TEXT("\xc2\x80")},
        {TEXT("\xdf\xbf")},
        {TEXT("\xe0\xa0\x80")},
        {TEXT("\xed\x9f\xbf")},
        {TEXT("\xee\x80\x80")},
        {TEXT("\xef\xbf\xbf")},
        {TEXT("\xf0\x90\x80\x80")},
        {TEXT("\xf4\x8f\xbf\xbf")},
        {TEXT("\xef\xbb\xbf")},
        {TEXT("\xd0\xb4\xd0\xb0 \xe2\x82\xac")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_validity(cases[i].bytes, cases[i].len, true);
    ck_assert(sse_text_valid("", 0));
    ck_assert(sse_text_valid(NULL, 0));
}

TEST(invalid_text)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {TEXT("\0")},
        {TEXT("\x80")},
        {TEXT("\xbf")},
        {TEXT("\xc0\x80")},
        {TEXT("\xc1\xbf")},
        {TEXT("\xc2")},
        {TEXT("\xc2z")},
        {TEXT("\xe0\x9f\xbf")},
        {TEXT("\xe0\xa0")},
        {TEXT("\xe1\x80")},
        {TEXT("\xe1\x80z")},
        {TEXT("\xed\xa0\x80")},
        {TEXT("\xed\xbf\xbf")},
        {TEXT("\xf0\x8f\xbf\xbf")},
        {TEXT("\xf0\x90\x80")},
        {TEXT("\xf4\x90\x80\x80")},
        {TEXT("\xf5\x80\x80\x80")},
        {TEXT("\xf8\x88\x80\x80\x80")},
        {TEXT("\xfe")},
        {TEXT("\xff")},
        {TEXT("\xc3\xa4\0")},
        {TEXT("\xc3\xa4\x80")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_validity(cases[i].bytes, cases[i].len, false);
}

TEST(chunk_heads)
{
    static const struct {
        size_t payload;
        const char *want;
    } cases[] = {{0, "0\r\n"},
                 {1, "1\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {4096, "1000\r\n"},
                 {1u << 20, "100000\r\n"},
                 {0xffffffffu, "ffffffff\r\n"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[SSE_CHUNK_HEAD_MAX];
        size_t n = sse_chunk_head(cases[i].payload, out);
        ck_assert_uint_eq(n, strlen(cases[i].want));
        ck_assert_mem_eq(out, cases[i].want, n);
    }
}
