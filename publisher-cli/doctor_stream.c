#include "publisher-cli/doctor_stream.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OPEN_WAIT_MS 1000 // for gateway:open after the first bytes
#define TURN_MS 100
#define BUNCH_MS 100 // a gateway leaves 250 ms at least between two heartbeats

static uint64_t since(const struct doctor_stream *stream)
{
    return clock_monotonic_ms() - stream->start_ms;
}

// The last string in a small JSON object of the gateway's own, which escapes nothing there.
static void last_string(struct span json, char *out, size_t size)
{
    size_t end = json.len, begin;
    while (end > 0 && json.bytes[end - 1] != '"')
        end--;
    begin = end > 0 ? end - 1 : 0;
    while (begin > 0 && json.bytes[begin - 1] != '"')
        begin--;
    snprintf(out, size, "%.*s", end > begin ? (int)(end - 1 - begin) : 0, json.bytes + begin);
}

static void on_event(void *ctx, const struct sse_event *event)
{
    struct doctor_stream *stream = ctx;
    if (sse_event_is(event, "gateway:open")) {
        stream->said_open = true;
        last_string(event->data, stream->begun, sizeof stream->begun);
    } else if (sse_event_is(event, "gateway:close")) {
        stream->said_close = true;
        last_string(event->data, stream->reason, sizeof stream->reason);
    } else if (sse_event_is(event, "gateway:gap")) {
        stream->said_gap = true;
    } else if (stream->events) {
        doctor_events_hear(stream->events, event);
    }
}

static bool on_head(void *ctx, const struct http_answer *answer)
{
    struct doctor_stream *stream = ctx;
    const char *encoding = http_answer_field(answer, "content-encoding", 0);
    stream->is_event_stream = http_answer_is_event_stream(answer);
    stream->is_encoded = encoding && strcasecmp(encoding, "identity") != 0;
    return true;
}

static bool on_bytes(void *ctx, const char *bytes, size_t len)
{
    struct doctor_stream *stream = ctx;
    uint64_t before = stream->parser.comments;
    stream->last_ms = since(stream);
    if (stream->first_ms == 0)
        stream->first_ms = stream->last_ms > 0 ? stream->last_ms : 1;
    if (!stream->is_event_stream || stream->is_encoded)
        return true;
    bool ok = sse_parser_feed(&stream->parser, bytes, len);
    stream->heartbeats = stream->parser.comments;
    if (stream->parser.comments > before) {
        stream->bunches += before > 0 && stream->last_ms < stream->heartbeat_ms + BUNCH_MS;
        stream->heartbeat_ms = stream->last_ms;
    }
    return ok;
}

static bool has_seen_enough(const struct doctor_stream *stream, uint64_t now)
{
    if (now >= stream->watch_ms)
        return true;
    if (!stream->ends_when_open)
        return false;
    return stream->said_open || (stream->first_ms > 0 && now >= stream->first_ms + OPEN_WAIT_MS);
}

// Events are published once the stream is there: its first bytes say that Redis has confirmed its channels. Where a
// buffer holds these back, a turn later.
static int64_t on_turn(void *ctx)
{
    struct doctor_stream *stream = ctx;
    uint64_t now = since(stream);
    if (has_seen_enough(stream, now))
        return -1;
    if (stream->events && (stream->first_ms > 0 || now >= OPEN_WAIT_MS))
        (void)doctor_events_turn(stream->events); // TURN_MS is often enough
    return TURN_MS;
}

bool doctor_stream_watch(struct doctor_stream *stream, const struct doctor_request *request,
                         struct failure *failure)
{
    const struct http_request http = {.url = request->url,
                                      .method = request->method,
                                      .fields = request->fields,
                                      .field_count = request->field_count,
                                      .ca = request->ca,
                                      .connect_ms = request->timeout_ms,
                                      .head_ms = request->timeout_ms};
    const struct http_reader reader = {on_head, on_bytes, on_turn, stream, -1};
    stream->parser = (struct sse_parser){.on_event = on_event, .ctx = stream, .retry_ms = -1};
    sse_parser_begin(&stream->parser);
    stream->start_ms = clock_monotonic_ms();
    bool ok = http_perform(&http, &reader, &stream->answer, failure);
    if (!ok)
        sse_parser_deinit(&stream->parser);
    return ok;
}

void doctor_stream_deinit(struct doctor_stream *stream)
{
    sse_parser_deinit(&stream->parser);
    http_answer_deinit(&stream->answer);
}
