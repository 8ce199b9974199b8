// Response heads and small whole responses (RFC 9112; problem details: RFC 9457), written into the caller's
// buffer. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/http_policy.h"
#include "gateway/client/http_request.h"

// Bytes of the longest head, with a gateway_id of 128, an origin of 300 and a challenge.
#define HTTP_RESPONSE_HEAD_MAX 1536
#define HTTP_PROBLEM_MAX (HTTP_RESPONSE_HEAD_MAX + 1024)

// Each of these writes one answer to `req` into out[size], and returns its length; 0 where it does not fit.
// All follow `p`. Of `req` count the method, the version and what CORS asks about: a request that was refused
// will do.

// The head of an event stream: 200, chunked (HTTP/1.0: neither chunked nor of a length; its close is the
// end).
size_t http_stream_head(const struct http_policy *p, const struct http_request *req, char *out, size_t size);

struct http_problem {
    int status;
    const char *detail; // or NULL; may hold bytes of the client, which are escaped; cut to a body of 1 KiB
    const char *allow;  // of a 405; else NULL
    unsigned retry_after_s; // 0: no Retry-After
    // `error` of a Bearer challenge, which then says the detail, too (RFC 6750 section 3); "": a challenge
    // without one; NULL: none
    const char *bearer_error;
};

// A whole final error: the head, with Connection: close, and an
// application/problem+json body {"type":"about:blank","title":..,"status":..,"detail":..}; the answer to HEAD
// has its length alone. At most HTTP_PROBLEM_MAX bytes.
size_t http_problem(const struct http_policy *p, const struct http_request *req,
                    const struct http_problem *problem, char *out, size_t size);

struct http_answer {
    int status;
    const char *content_type;
    const char *fields; // more lines, each with CRLF; NULL for none
    size_t body_len;
    bool keep_alive;
};

// The head of a whole answer (Cache-Control: no-store), behind which the caller puts the body.
size_t http_answer_head(const struct http_policy *p, const struct http_request *req,
                        const struct http_answer *answer, char *out, size_t size);

// The answer to a CORS preflight (Fetch standard 4.8) or a plain OPTIONS: 204 with Allow (`allow`, e.g. "GET,
// HEAD, OPTIONS").
size_t http_preflight(const struct http_policy *p, const struct http_request *req, const char *allow,
                      char *out, size_t size);

// 204 to a request for a stream, which ends an EventSource for good (WHATWG HTML 9.2.3).
size_t http_no_content(const struct http_policy *p, const struct http_request *req, char *out, size_t size);

// Reason phrase of the statuses that the gateway sends; "Unknown" for others.
const char *http_reason(int status);

#define HTTP_DATE_SIZE 30
// "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 section 5.6.7), terminated; `out` has room for
// HTTP_DATE_SIZE.
void http_date(int64_t unix_s, char *out);
