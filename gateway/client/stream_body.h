// The body of a POST /stream: the parameters of the query once more, where they are too long for a URL (docs/protocol.md,
// "A request with a body"). application/x-www-form-urlencoded, or an object of application/json. Pure.
#pragma once

#include <stddef.h>

#include "gateway/client/http_request.h"

#define STREAM_BODY_MAX 65536 // bytes

// Takes one parameter; both texts are borrowed for the call. Returns 0, or the status to refuse the request with.
struct parameter_sink {
    int (*take)(void *ctx, struct http_text name, struct http_text value);
    void *ctx;
    char *detail; // of what is refused here: one line, cut where it does not fit
    size_t detail_size;
};

// What the head of a POST says of its body. Returns 0, or 411, 413 or 415 with one line in `detail`. A body without a byte
// needs no type.
int stream_body_check(const struct http_request *req, char *detail, size_t detail_size);
// Bytes of the body that is to be read; 0 where stream_body_check refuses it.
size_t stream_body_len(const struct http_request *req);

// Hands the parameters of `req->body`, which stream_body_check has let pass, to `sink`. An object's values are texts, numbers,
// true and false ("1" and "0"), and lists of those, which are a parameter each; null is none. Returns the first status
// of the sink that is not 0; 400 where the body is not of its type; 503 when out of memory; else 0.
int stream_body_read(const struct http_request *req, const struct parameter_sink *sink);
// The parameters of a query or of a form. A last event id that cannot be decoded is given as "?"; `what` names the
// text for what is refused with 400.
int stream_form_read(struct http_text form, const struct parameter_sink *sink, const char *what);
