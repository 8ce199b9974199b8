// Event streams as a client reads them: WHATWG HTML, 9.2.6 "Interpreting an event stream". Pure.
#pragma once

#include "common/buf.h"
#include "publisher-cli/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SSE_ID_MAX 4096                  // bytes of an id that is kept; a longer one counts as none
#define SSE_EVENT_MAX ((size_t)64 << 20) // bytes of one line, and of the data of one event

// Borrowed for the call. Bytes that are no UTF-8 are handed on as they are.
struct sse_event {
    struct span type; // "message" where the stream gives none
    struct span data;
    const char *last_id; // terminated
};

bool sse_event_is(const struct sse_event *event, const char *type);

struct sse_parser {
    void (*on_event)(void *ctx, const struct sse_event *event);
    void *ctx;
    char last_id[SSE_ID_MAX + 1]; // the one to come back with, committed at a blank line
    int64_t retry_ms;             // the newest; -1: none yet
    uint64_t comments;            // lines that begin with a colon
    // What follows is the parser's own.
    char next_id[SSE_ID_MAX + 1];
    struct buf line, type, data;
    // Bytes of a byte order mark at the beginning of the stream; 3 where none may come any more.
    size_t bom_seen;
    bool has_data, skips_lf;
};

// All zeroes but for `on_event` and `ctx` before. For a stream that comes back: last_id and retry_ms stay.
void sse_parser_begin(struct sse_parser *parser);

// Calls on_event for each event that is complete. False where memory ran out, or a line or event is above
// SSE_EVENT_MAX.
bool sse_parser_feed(struct sse_parser *parser, const char *bytes, size_t len);

void sse_parser_deinit(struct sse_parser *parser);
