// Whatever a stream holds, and however its bytes are split over reads, it says the same; nothing that an event hands on is
// outside of the input.
#include <string.h>

#include "publisher-cli/sse_parser.h"
#include "tests/fuzz/fuzz.h"

// All events of a stream, one behind the other.
static void on_event(void *ctx, const struct sse_event *event)
{
    struct buf *heard = ctx;
    CHECK(buf_append(heard, event->type.bytes, event->type.len) && buf_append(heard, "\n", 1));
    CHECK(buf_append(heard, event->data.bytes, event->data.len) && buf_append(heard, "\0", 1));
    CHECK(buf_append(heard, event->last_id, strlen(event->last_id)) && buf_append(heard, "\n", 1));
    CHECK(!memchr(event->type.bytes, '\n', event->type.len) &&
          !memchr(event->type.bytes, '\r', event->type.len));
    CHECK(!strpbrk(event->last_id, "\r\n"));
}

static void read_in_steps(const uint8_t *data, size_t size, size_t step, struct sse_parser *parser,
                          struct buf *heard)
{
    *parser = (struct sse_parser){.on_event = on_event, .ctx = heard, .retry_ms = -1};
    sse_parser_begin(parser);
    for (size_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *copy = must_alloc(n);
        memcpy(copy, data + at, n);
        CHECK(sse_parser_feed(parser, copy, n));
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sse_parser whole, split;
    struct buf first = {0}, second = {0};
    size_t step = size > 0 ? 1 + data[0] % 7 : 1;
    read_in_steps(data, size, size + 1, &whole, &first);
    read_in_steps(data, size, step, &split, &second);
    CHECK(first.len == second.len && (first.len == 0 || memcmp(first.data, second.data, first.len) == 0));
    CHECK(strcmp(whole.last_id, split.last_id) == 0 && whole.retry_ms == split.retry_ms);
    CHECK(whole.comments == split.comments);
    sse_parser_deinit(&whole);
    sse_parser_deinit(&split);
    buf_free(&first);
    buf_free(&second);
    return 0;
}
