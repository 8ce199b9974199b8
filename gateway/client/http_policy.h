// What all answers of the gateway have in common. Pure.
#pragma once

#include <stddef.h>

// The fields that all answers carry, and the origins that may read the answers. Made once from the options;
// all strings are borrowed.
struct http_policy {
    const char *gateway_id; // X-SSE-Gateway; header-safe
    const char *const
        *cors_origins; // exact ones, "https://*.example.com", or "*" as the only one; header-safe
    size_t cors_origin_count;
    // Date of every answer (RFC 9110 section 6.6.1), made by http_date; the owner of the text renews it once
    // a second, on the thread that uses the policy. NULL: no Date.
    const char *date;
};
