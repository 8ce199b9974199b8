#include "publisher-cli/sse_parser.h"

#include <stdio.h>
#include <string.h>

static const char BOM[] = "\xef\xbb\xbf";
#define BOM_LEN (sizeof BOM - 1)
#define RETRY_DIGITS_MAX 15 // more could overflow

// Of an event that was not whole when the stream ended, nothing is kept.
bool sse_event_is(const struct sse_event *event, const char *type)
{
    return event->type.len == strlen(type) && memcmp(event->type.bytes, type, event->type.len) == 0;
}

void sse_parser_begin(struct sse_parser *parser)
{
    buf_clear(&parser->line);
    buf_clear(&parser->type);
    buf_clear(&parser->data);
    memcpy(parser->next_id, parser->last_id, sizeof parser->next_id);
    parser->bom_seen = 0;
    parser->has_data = parser->skips_lf = false;
}

void sse_parser_deinit(struct sse_parser *parser)
{
    buf_free(&parser->line);
    buf_free(&parser->type);
    buf_free(&parser->data);
}

static bool append(struct buf *buf, const char *bytes, size_t len)
{
    return buf->len + len <= SSE_EVENT_MAX && buf_append(buf, bytes, len);
}

static void take_id(struct sse_parser *parser, struct span value)
{
    if (value.len > SSE_ID_MAX || memchr(value.bytes, '\0', value.len))
        return;
    memcpy(parser->next_id, value.bytes, value.len);
    parser->next_id[value.len] = '\0';
}

static void take_retry(struct sse_parser *parser, struct span value)
{
    int64_t ms = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9')
            return;
        ms = ms * 10 + (value.bytes[i] - '0');
        if (i >= RETRY_DIGITS_MAX)
            return;
    }
    if (value.len > 0)
        parser->retry_ms = ms;
}

static bool is_name(struct span name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.bytes, text, name.len) == 0;
}

static bool take_field(struct sse_parser *parser, struct span name, struct span value)
{
    if (is_name(name, "data")) {
        parser->has_data = true;
        return append(&parser->data, value.bytes, value.len) && append(&parser->data, "\n", 1);
    }
    if (is_name(name, "event")) {
        parser->type.len = 0;
        return append(&parser->type, value.bytes, value.len);
    }
    if (is_name(name, "id"))
        take_id(parser, value);
    else if (is_name(name, "retry"))
        take_retry(parser, value);
    return true;
}

static void dispatch(struct sse_parser *parser)
{
    memcpy(parser->last_id, parser->next_id, sizeof parser->last_id);
    if (parser->has_data) {
        struct sse_event event = {.data = {parser->data.data, parser->data.len - 1}, // without the last LF
                                  .type = {parser->type.data, parser->type.len},
                                  .last_id = parser->last_id};
        if (event.type.len == 0)
            event.type = (struct span){"message", 7};
        parser->on_event(parser->ctx, &event);
    }
    buf_clear(&parser->data);
    buf_clear(&parser->type);
    parser->has_data = false;
}

static bool take_line(struct sse_parser *parser, const char *line, size_t len)
{
    if (len == 0) {
        dispatch(parser);
        return true;
    }
    const char *colon = memchr(line, ':', len);
    if (colon == line) {
        parser->comments++;
        return true;
    }
    if (colon == NULL)
        return take_field(parser, (struct span){line, len}, (struct span){"", 0});
    const char *value = colon + 1, *end = line + len;
    value += value < end && *value == ' ';
    return take_field(parser, (struct span){line, (size_t)(colon - line)},
                      (struct span){value, (size_t)(end - value)});
}

// One line, of which `len` bytes came now, and what is in parser->line before.
static bool end_line(struct sse_parser *parser, const char *bytes, size_t len)
{
    if (parser->line.len == 0)
        return take_line(parser, bytes, len);
    if (!append(&parser->line, bytes, len))
        return false;
    bool ok = take_line(parser, parser->line.data, parser->line.len);
    buf_clear(&parser->line);
    return ok;
}

// Skips a byte order mark, which may come in parts. What only looked like the beginning of one is part of the first
// line.
static size_t skip_bom(struct sse_parser *parser, const char *bytes, size_t len, bool *ok)
{
    size_t used = 0;
    while (parser->bom_seen < BOM_LEN && used < len && bytes[used] == BOM[parser->bom_seen]) {
        used++;
        parser->bom_seen++;
    }
    if (parser->bom_seen < BOM_LEN && used < len) {
        *ok = append(&parser->line, BOM, parser->bom_seen);
        parser->bom_seen = BOM_LEN;
    }
    return used;
}

static size_t line_length(const char *bytes, size_t len)
{
    size_t n = 0;
    while (n < len && bytes[n] != '\n' && bytes[n] != '\r')
        n++;
    return n;
}

bool sse_parser_feed(struct sse_parser *parser, const char *bytes, size_t len)
{
    bool ok = true;
    size_t at = skip_bom(parser, bytes, len, &ok);
    while (ok && at < len) {
        if (parser->skips_lf && bytes[at] == '\n')
            at++;
        parser->skips_lf = false;
        size_t n = line_length(bytes + at, len - at);
        if (at + n == len)
            return append(&parser->line, bytes + at, n);
        parser->skips_lf = bytes[at + n] == '\r';
        ok = end_line(parser, bytes + at, n);
        at += n + 1;
    }
    return ok;
}
