// One stream that `sse-publish doctor` opens, and what it showed.
#pragma once

#include "publisher-cli/doctor_events.h"
#include "publisher-cli/http_stream.h"
#include "publisher-cli/sse_parser.h"

#define DOCTOR_FIELDS_MAX 8

// What is asked. `fields` beside Accept.
struct doctor_request {
    const char *url, *method, *ca;
    struct http_field fields[DOCTOR_FIELDS_MAX];
    size_t field_count;
    uint64_t timeout_ms;
};

// Times are milliseconds since the request began.
struct doctor_stream {
    // What the caller sets; all else is zero.
    uint64_t watch_ms; // how long to look
    // Look no longer than until gateway:open has come, or the first bytes without it for a second.
    bool ends_when_open;
    struct doctor_events *events; // NULL: none are published
    // What was seen.
    struct http_answer answer;
    bool is_event_stream, is_encoded;
    uint64_t first_ms, last_ms; // of the body's bytes; 0: none came
    uint64_t heartbeats;
    unsigned bunches; // heartbeats that came together with the one before
    bool said_open, said_gap, said_close;
    char begun[32];  // the newest state of a channel in gateway:open: "fresh", "resumed" or "gap"
    char reason[32]; // in gateway:close
    // Its own.
    struct sse_parser parser;
    uint64_t start_ms, heartbeat_ms; // heartbeat_ms: when the newest came
};

// False where memory ran out. Else `stream` is for doctor_stream_deinit.
bool doctor_stream_watch(struct doctor_stream *stream, const struct doctor_request *request,
                         struct failure *failure);
void doctor_stream_deinit(struct doctor_stream *stream);
