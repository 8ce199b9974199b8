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
    // Of a message that holds several events (docs/protocol.md, "Several in one message"): the id of the event before the
    // first one, and the lines of all events but the last, for envelope_earlier. envelope_encode ignores them.
    const char *first, *earlier;
    size_t first_len;
    uint32_t earlier_count;
    size_t earlier_escaped; // bytes of the longest of these lines that holds an escape; 0: none does
    bool is_snapshot;       // the first event stands for all before it; likewise
    bool ends; // this durable event is the last one of its channel; likewise
    // As they came; common/trace.h says whether they are good.
    const char *traceparent, *trace_to;
    size_t traceparent_len, trace_to_len;
};

enum envelope_result {
    ENVELOPE_OK,
    ENVELOPE_NONE,    // the payload does not begin with the seven bytes of an envelope: it is plain text
    ENVELOPE_INVALID, // it does, but breaks a rule (CR or NUL in a value, retry that is no number, no blank
                      // line, event "gateway:..", an earlier event that is none, or too many of them)
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

// Events that one message may hold.
#define ENVELOPE_EVENTS_MAX 256
// Bytes of a message that holds several: 64 KiB of data, all of which may be escaped, and the rest of the lines.
#define ENVELOPE_SEVERAL_BYTES (256u << 10)

struct envelope_event {
    const char *event, *data; // not terminated; an event that is empty has no name
    size_t event_len, data_len;
};

// The earlier events of a message, one after the other: `*at` is envelope.earlier at first, and moves on. To be called
// earlier_count times. Texts with escapes are written to `scratch`, which has room for earlier_escaped bytes and must last
// as long as `out` is used; the others are borrowed from the payload.
void envelope_earlier(const char **at, struct envelope_event *out, char *scratch);

// Bytes that envelope_encode writes. Fields with a NULL pointer are left out.
size_t envelope_encoded_size(const struct envelope *e);

// Writes the envelope to `out`, which has room for envelope_encoded_size. Returns the bytes written, or 0
// where a field breaks a rule (CR, LF or NUL in a value, event that begins with "gateway:").
size_t envelope_encode(const struct envelope *e, char *out);
