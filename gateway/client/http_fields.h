// The field lines of a request head, split by llhttp. Pure. No other file includes llhttp.h, whose names
// clash with ours.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/client/http_text.h"

enum http_fields_result {
    HTTP_FIELDS_OK,
    HTTP_FIELDS_BAD, // not well-formed, framing that contradicts itself, or a field that `on_field` refused
    HTTP_FIELDS_ENCODING, // llhttp refuses the Transfer-Encoding
};

// `rest`: a whole request head from the space behind its method on, the empty line included. llhttp reads
// "GET" before it, whatever the method is, since it has other rules for some (CONNECT, PRI, those of RTSP).
// `on_field` is called for each field in order, with a name that is a token and a value that is trimmed and
// never absent, both borrowed from `rest`; where it returns false, the reading ends.
enum http_fields_result
http_fields_read(const char *rest, size_t len,
                 bool (*on_field)(void *ctx, struct http_text name, struct http_text value), void *ctx);
