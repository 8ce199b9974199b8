// The field lines of a request head, split by llhttp. Pure. The only place that knows llhttp, whose names
// clash with ours.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/client/http_text.h"

enum http_fields_result {
    HTTP_FIELDS_OK,
    HTTP_FIELDS_BAD, // not well-formed, framing that contradicts itself, or a field that `on_field` refused
    HTTP_FIELDS_ENCODING, // a Transfer-Encoding that llhttp does not take
};

// `rest`: a whole request head from the space behind its method on, the empty line included. llhttp gets to
// see "GET" before it, since it treats some methods (CONNECT, PRI, those of RTSP) by other rules. `on_field`
// gets one field at a time, its name checked to be a token, its value trimmed and never absent; false ends
// the reading.
enum http_fields_result
http_fields_read(const char *rest, size_t len,
                 bool (*on_field)(void *ctx, struct http_text name, struct http_text value), void *ctx);
