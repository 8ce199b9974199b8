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
