// One HTTP/1.x request head: bytes in, a checked request out (RFC 9110, RFC 9112), llhttp with a stricter policy on top.
// Pure: no sockets. The proxies in front disagree on many hostile requests, so what is unclear is refused.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX 16384   // bytes of a whole head; more is 431 (or 414 while still in the request line)
#define HTTP_TARGET_MAX 12288 // bytes of a request target; more is 414

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OPTIONS, HTTP_POST, HTTP_OTHER };

struct http_text {
    const char *at; // borrowed from the head; NULL where absent. Not terminated.
    size_t len;
};

struct http_request {
    enum http_method method;
    bool http_1_0;        // HTTP/1.0; else 1.1
    bool keep_alive;      // what the version and Connection ask for
    struct http_text target; // origin-form or absolute-form, as sent
    struct http_text path;   // of the target, still percent-encoded
    struct http_text query;  // without '?', still percent-encoded; at NULL where there is none
    // Headers that the gateway reads; the field value without surrounding blanks. A repeated field that may not be (Host,
    // Content-Length, Last-Event-ID, Origin, Authorization) is 400; repeated list fields (Accept, Connection) are joined by scan.
    struct http_text host, accept, last_event_id, origin, authorization, cookie, request_method, forwarded_for;
    bool accepts_event_stream; // Accept absent, or some range of it includes text/event-stream with q > 0 (RFC 9110 12.5.1)
    bool accepts_json;         // same for application/json
};

enum http_parse { HTTP_PARSE_DONE, HTTP_PARSE_MORE, HTTP_PARSE_ERROR };

// Looks for a whole head in the first `len` bytes of `head`. `*scanned` is the caller's note of how far earlier calls have
// looked (start with 0), so that a head that arrives byte by byte costs O(n).
//   DONE   `*head_len` bytes made up the head; `out` borrows from `head`, valid while that stays where it is
//   MORE   not whole yet, and still within the limits
//   ERROR  `*status` is 400, 413, 414, 417, 431, 501 or 505; the connection must not be used again
// Policy: LF followed by SP or TAB (obs-fold) 400; bare CR, NUL, control bytes in values 400; exactly one Host on 1.1 400;
// version other than 1.0 and 1.1 505; Expect 417; a body on GET, HEAD or OPTIONS (Content-Length > 0) 413, any
// Transfer-Encoding 501 (with Content-Length: 400); an unknown method is HTTP_OTHER, not an error; space before the colon 400;
// empty lines before the request line are skipped, at most two. Never reads past `len`.
enum http_parse http_request_parse(const char *head, size_t len, size_t *scanned, struct http_request *out,
                                   size_t *head_len, int *status);

// The next "name=value" pair of a query string (application/x-www-form-urlencoded), decoded in place into `buf`.
// `*rest` starts as request.query and moves on. Returns 1 for a pair, 0 at the end, -1 where percent-encoding is broken or the
// decoded pair holds a NUL or does not fit into `size`. '+' is a space. name and value are borrowed from `buf`.
int http_query_next(struct http_text *rest, char *buf, size_t size, struct http_text *name, struct http_text *value);

// True where `text` equals the terminated string `s` without regard to ASCII case.
bool http_text_is(struct http_text text, const char *s);
