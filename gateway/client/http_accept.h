// Which media types an Accept header lets in (RFC 9110 section 12.5.1). Pure.
#pragma once

#include <stdbool.h>

#include "gateway/client/http_text.h"

struct http_accept_type {
    unsigned char specificity; // of the range that decided so far: 3 type/subtype, 2 type/*, 1 */*, 0 none
    bool wanted;               // its q is above 0
};

// All zero before the first line of the field.
struct http_accept {
    bool any_range; // a field that is absent or empty lets everything in
    struct http_accept_type event_stream, json;
};

// Takes in one line of the field; the lines of a repeated field add up. The most specific range that includes
// a type decides; of equals, one that wants it. Media type parameters do not narrow a range: the gateway has
// one representation of each type.
void http_accept_scan(struct http_accept *a, struct http_text value);

bool http_accept_event_stream(const struct http_accept *a);
bool http_accept_json(const struct http_accept *a);
