// The principal that a trusted proxy vouches for: --channels-header and --subject-header. An application that has
// sessions of its own decides, and NGINX (auth_request) passes on what it says. Pure.
#pragma once

#include "gateway/auth/principal.h"
#include "gateway/client/http_text.h"

#define VOUCHED_PATTERNS_MAX 256
#define VOUCHED_SUBJECT_MAX 255 // bytes

struct vouched_headers {
    const char *channels, *subject; // names; NULL: not in use
};

enum vouched_result {
    VOUCHED_NOTHING, // neither header is there
    VOUCHED,         // `*who` is the caller's
    VOUCHED_BAD,     // `*error` says why
    VOUCHED_NO_MEMORY,
};

struct vouched_error {
    int status;         // a final one
    const char *detail; // static; one line
};

// Reads the headers of a request that came from a trusted proxy; of any other the caller must not ask. The
// list is separated by commas and blanks. A header that is there twice is 400: one of the two may be the
// client's own. A pattern that is none, or too many, are 403. An empty list opens no channel; an empty subject
// is none.
enum vouched_result vouched_identify(const struct vouched_headers *headers, struct http_text fields,
                                     struct principal **who, struct vouched_error *error);
