#include "publisher-cli/sse_parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

// What a stream said, as words: TYPE:DATA for each event, with the id behind it where there is one.
struct heard {
    char text[512];
};

static void on_event(void *ctx, const struct sse_event *event)
{
    struct heard *heard = ctx;
    size_t used = strlen(heard->text);
    snprintf(heard->text + used, sizeof heard->text - used, "%s%.*s:%.*s%s%s", used ? " " : "",
             (int)event->type.len, event->type.bytes, (int)event->data.len, event->data.bytes,
             *event->last_id ? "#" : "", event->last_id);
}

static const struct {
    const char *bytes;
    size_t len;
    const char *heard, *last_id;
    int retry;
} streams[] = {
#define ROW(bytes, ...)                                                                                      \
    {                                                                                                        \
        bytes, sizeof(bytes) - 1, __VA_ARGS__                                                                \
    }
    ROW("data: a\n\n", "message:a", "", -1),
    ROW("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "message:a message:b message:c", "", -1),
    ROW("event: e\r\ndata: a\r\ndata: b\r\n\r\n", "e:a\nb", "", -1),
    ROW("data:a\ndata:  b\ndata\ndata:\n\n", "message:a\n b\n\n", "", -1),
    ROW("data\n\n", "message:", "", -1),
    ROW("event: order\nid: 7\nretry: 50\ndata: x\n\n", "order:x#7", "7", 50),
    ROW("event: order\n\ndata: x\n\n", "message:x", "", -1),
    ROW("id: 1\n\ndata: x\n\n", "message:x#1", "1", -1),
    ROW("id: 1\ndata: x\n\nid\ndata: y\n\n", "message:x#1 message:y", "", -1),
    ROW("id: 1\n\nid: a\0b\ndata: x\n\n", "message:x#1", "1", -1),
    ROW("id: 1\n\nid: 2\ndata: x\n", "", "1", -1), // an event that is not whole
    ROW("\xef\xbb\xbf"
        "data: a\n\n",
        "message:a", "", -1),
    ROW("\xef\xbb\xbf\xef\xbb\xbf"
        "data: a\n\n",
        "", "", -1),
    ROW("\xef\xbbxdata: a\ndata: b\n\n", "message:b", "", -1),
    ROW(":\n:x\n: data: y\n\ndata: z\n\n", "message:z", "", -1),
    ROW("retry: 1x\n\nretry: -1\nretry:\nretry: 99999999999999999999\n", "", "", -1),
    ROW("retry: 2000\n:\n:\n", "", "", 2000),
    ROW("nonsense\nDATA: x\n data: y\ndata: z\n\n", "message:z", "", -1),
    ROW("\r\n\r\n\n\r\rdata: x\r\n\r\n", "message:x", "", -1),
};

static void expect(const struct sse_parser *parser, const struct heard *heard, int row)
{
    ck_assert_str_eq(heard->text, streams[row].heard);
    ck_assert_str_eq(parser->last_id, streams[row].last_id);
    ck_assert_int_eq(parser->retry_ms, streams[row].retry);
}

TEST_EACH(a_stream_is_read_the_same_however_it_is_split, streams)
{
    size_t len = streams[_i].len;
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            struct heard heard = {""};
            struct sse_parser parser = {.on_event = on_event, .ctx = &heard, .retry_ms = -1};
            sse_parser_begin(&parser);
            ck_assert(sse_parser_feed(&parser, streams[_i].bytes, first));
            ck_assert(sse_parser_feed(&parser, streams[_i].bytes + first, second - first));
            ck_assert(sse_parser_feed(&parser, streams[_i].bytes + second, len - second));
            expect(&parser, &heard, _i);
            sse_parser_deinit(&parser);
        }
    }
}

TEST(a_stream_that_comes_back_keeps_its_id_and_drops_the_half_event)
{
    struct heard heard = {""};
    struct sse_parser parser = {.on_event = on_event, .ctx = &heard, .retry_ms = -1};
    static const char before[] = "id: 1\nretry: 5\ndata: a\n\nid: 2\nevent: e\ndata: b\n",
                      after[] = "data: c\n\n";
    sse_parser_begin(&parser);
    ck_assert(sse_parser_feed(&parser, before, sizeof before - 1));
    sse_parser_begin(&parser);
    ck_assert(sse_parser_feed(&parser, after, sizeof after - 1));
    ck_assert_str_eq(heard.text, "message:a#1 message:c#1");
    ck_assert_int_eq(parser.retry_ms, 5);
    sse_parser_deinit(&parser);
}

TEST(an_endless_line_is_refused)
{
    struct heard heard = {""};
    struct sse_parser parser = {.on_event = on_event, .ctx = &heard, .retry_ms = -1};
    char *much = malloc(1 << 20);
    bool ok = true;
    size_t fed = 0;
    ck_assert_ptr_nonnull(much);
    memset(much, 'x', 1 << 20);
    sse_parser_begin(&parser);
    while (ok && fed <= SSE_EVENT_MAX) {
        ok = sse_parser_feed(&parser, much, 1 << 20);
        fed += 1 << 20;
    }
    ck_assert(!ok);
    ck_assert_uint_gt(fed, SSE_EVENT_MAX);
    free(much);
    sse_parser_deinit(&parser);
}
