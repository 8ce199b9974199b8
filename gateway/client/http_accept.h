// Which media types an Accept header accepts (RFC 9110 section 12.5.1). Pure.
#pragma once

#include <stdbool.h>

#include "gateway/client/http_text.h"

struct http_accept_type {
    unsigned char
        specificity; // of the range that decides so far: 3 type/subtype, 2 type/*, 1 */*, 0 no range
    bool wanted;     // the q of that range is above 0
};

// All zero before the first line of the field.
struct http_accept {
    bool any_range; // false: the field is absent or empty, and accepts everything
    struct http_accept_type event_stream, json;
};

// Reads one line of the field; the lines of a repeated field add up. The most specific range that includes a
// type decides; of equally specific ranges, one with q above 0. Media type parameters do not narrow a range:
// the gateway has one representation of each type.
void http_accept_scan(struct http_accept *a, struct http_text value);

// Whether text/event-stream, or application/json, is accepted by the lines read so far.
bool http_accept_event_stream(const struct http_accept *a);
bool http_accept_json(const struct http_accept *a);
