// Event stream bytes (WHATWG HTML 9.2.5, 9.2.6). Pure: an event in, the bytes of one HTTP chunk out.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sse_event {
    // Borrowed, not terminated; NULL where absent. Values have been checked: no CR, LF or NUL in event and
    // id.
    const char *event, *id;
    size_t event_len, id_len;
    bool has_retry;
    uint32_t retry_ms;
    bool is_snapshot; // a line `snapshot: 1`, which says to readers that look for it: forget all before
    // NULL: no data line (a block that fires nothing). Empty: one empty data line (fires with an empty
    // string). Split on CRLF, LF and CR into "data: " lines.
    const char *data;
    size_t data_len;
};

// Bytes of the event block, blank line included.
size_t sse_encoded_size(const struct sse_event *e);

// Writes the event block, the id line first. `out` has room for sse_encoded_size(e) bytes; returns the end.
char *sse_encode(const struct sse_event *e, char *out);

// The id line alone, as sse_encode writes it first.
size_t sse_id_line_size(size_t id_len);
char *sse_put_id(char *out, const char *id, size_t id_len);

// Chunk framing (RFC 9112 section 7.1) around `payload` bytes: "<hex>\r\n" before, "\r\n" after.
#define SSE_CHUNK_HEAD_MAX 10
#define SSE_CHUNK_TAIL 2
// Writes the chunk-size line to `out` (room for SSE_CHUNK_HEAD_MAX); returns its length. `payload` is below
// 2^32.
size_t sse_chunk_head(size_t payload, char *out);
