// The payload with fields that publishers may send (docs/protocol.md, "Payloads"): "\x1eSSE/1\n", lines
// "event: ..", "id: ..", "retry: ..", a blank line, then the body verbatim. Pure; shared by the gateway
// (decode) and sse-publish (encode).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct envelope {
    // Borrowed from the payload; NULL where the field is absent. Not terminated.
    const char *event, *id, *body;
    size_t event_len, id_len, body_len;
    bool has_retry;
    uint32_t retry_ms;
    // Where a durable event stands in its channel's history, as the function sse_publish wrote it
    // (docs/protocol.md). envelope_encode ignores it.
    const char *durable;
    size_t durable_len;
    bool ends; // this durable event is the last one of its channel; likewise
    // As they came; common/trace.h says whether they are good.
    const char *traceparent, *trace_to;
    size_t traceparent_len, trace_to_len;
};

enum envelope_result {
    ENVELOPE_OK,
    ENVELOPE_NONE,    // the payload does not begin with the seven bytes of an envelope: it is plain text
    ENVELOPE_INVALID, // it does, but breaks a rule (CR or NUL in a value, retry that is no number, no blank
                      // line, event "gateway:..")
};

// True where it can be the name of an event: no CR, LF or NUL, and not a name of the gateway's own.
bool envelope_event_valid(const char *event, size_t len);

// True where a client can bring the id back as Last-Event-ID, whatever reads the header on its way: printable
// ASCII, at most ENVELOPE_ID_MAX bytes. An event stream may carry others; clients that got one are refused
// for good, or refuse it themselves.
#define ENVELOPE_ID_MAX 1024
bool envelope_id_returns(const char *id, size_t len);

// Decodes `payload`. Unknown fields are ignored; the last of a repeated field counts; one space after the
// colon is dropped.
enum envelope_result envelope_decode(const char *payload, size_t len, struct envelope *out);

// Bytes that envelope_encode writes. Fields with a NULL pointer are left out.
size_t envelope_encoded_size(const struct envelope *e);

// Writes the envelope to `out`, which has room for envelope_encoded_size. Returns the bytes written, or 0
// where a field breaks a rule (CR, LF or NUL in a value, event that begins with "gateway:").
size_t envelope_encode(const struct envelope *e, char *out);
