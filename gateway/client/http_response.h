// Response heads and small whole responses (RFC 9112; problem details: RFC 9457). Pure: writes into the
// caller's buffer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/http_request.h"

#define HTTP_RESPONSE_HEAD_MAX 1024 // enough for any head this module writes (origin values are bounded)

#define HTTP_PROBLEM_MAX (HTTP_RESPONSE_HEAD_MAX + 1024)

// How the answer names itself and treats other origins; made once from the options.
struct http_policy {
    const char *gateway_id;          // X-SSE-Gateway; header-safe
    const char *const *cors_origins; // exact origins, or "*" as the only one; borrowed; header-safe
    size_t cors_origin_count;
    // Date of every answer (RFC 9110 section 6.6.1), made by http_date; the owner renews the text once a
    // second, in the thread that uses the policy. NULL: no Date.
    const char *date;
};

// The head of an event stream: 200, chunked (none and close-delimited for HTTP/1.0), the headers of a stream
// (docs/protocol.md, "A stream, byte for byte"), CORS. Returns its length, 0 where it does not fit.
size_t http_stream_head(const struct http_policy *p, const struct http_request *req, char *out, size_t size);

// A whole final error: status line, headers (Allow for 405, Retry-After: `retry_after_s` where > 0 for 503
// and 429), and an application/problem+json body {"type":"about:blank","title":..,"status":..,"detail":..}.
// `detail` may be NULL; it may hold bytes of the client (they are escaped) and is cut where the body would
// pass 1 KiB. `req` may be NULL (unparsed head). HEAD gets no body (but its Content-Length). 401 gets a
// Bearer challenge. `size` for all: HTTP_PROBLEM_MAX. Always Connection: close. Returns its length, 0 where
// it does not fit.
size_t http_problem(const struct http_policy *p, const struct http_request *req, int status,
                    const char *detail, unsigned retry_after_s, const char *allow, char *out, size_t size);

// The head of a whole answer of `body_len` bytes of `content_type` (Cache-Control: no-store). Connection:
// keep-alive or close.
size_t http_answer_head(const struct http_policy *p, const struct http_request *req, int status,
                        const char *content_type, size_t body_len, bool keep_alive, char *out, size_t size);

// The answer to a CORS preflight (Fetch standard 4.8) or a plain OPTIONS: 204 with Allow (`allow`, e.g. "GET,
// HEAD, OPTIONS").
size_t http_preflight(const struct http_policy *p, const struct http_request *req, const char *allow,
                      char *out, size_t size);

// Reason phrase of the statuses that the gateway sends; "Unknown" for others.
const char *http_reason(int status);

#define HTTP_DATE_SIZE 30
// "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 section 5.6.7), terminated; `out` has room for
// HTTP_DATE_SIZE.
void http_date(int64_t unix_s, char *out);
