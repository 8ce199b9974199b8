// Whether an Accept header accepts text/event-stream, and asks for OpenMetrics (RFC 9110 section 12.5.1). Pure.
#pragma once

#include <stdbool.h>

#include "gateway/client/http_text.h"

// All zero before the first line of the field.
struct http_accept {
    bool any_range;             // false: the field is absent or empty, and accepts everything
    bool wanted;                // the q of the range that decides so far is above 0
    unsigned char specificity;  // of that range: 3 text/event-stream, 2 text/*, 1 */*, 0 none
    unsigned short openmetrics; // q of application/openmetrics-text of version 1.0.0 or any, in thousandths
    unsigned short plain;       // q of text/plain; 0: not named
};

// Reads one line of the field; the lines of a repeated field add up. The most specific range that includes
// the type decides; of equally specific ranges, one with q above 0. Media type parameters do not narrow a range:
// the gateway has one representation of it.
void http_accept_scan(struct http_accept *a, struct http_text value);

// Whether text/event-stream is accepted by the lines read so far.
bool http_accept_event_stream(const struct http_accept *a);
// Whether they name OpenMetrics, with a q that is not below that of text/plain.
bool http_accept_openmetrics(const struct http_accept *a);
