// One HTTP/1.x request head: bytes in, a checked request out (RFC 9110, RFC 9112), llhttp with a stricter
// policy on top. Pure. Proxies disagree on many hostile requests, so an ambiguous head is refused.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/http_text.h"

// Bytes of a whole head but for the value of Last-Event-ID; more is 431 (or 414 while still in the request
// line).
#define HTTP_HEAD_MAX 16384
// Bytes of a request target; more is 414.
#define HTTP_TARGET_MAX 12288
// Bytes of the value of Last-Event-ID that are kept, blanks around it included, and of those behind them,
// which are skipped; more is 431.
#define HTTP_ID_MAX 5120
#define HTTP_ID_SKIP_MAX (1u << 20)

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OPTIONS, HTTP_POST, HTTP_OTHER };

struct http_request {
    enum http_method method;
    bool http_1_0;           // HTTP/1.0; else 1.1
    bool keep_alive;         // what the version and Connection ask for; false where a body follows
    struct http_text target; // origin-form or absolute-form, as sent
    struct http_text path;   // of the target, still percent-encoded
    struct http_text query;  // without '?', still percent-encoded; at NULL where there is none
    // Fields that the gateway reads, without surrounding blanks. A repeated field is 400, but for lists: all
    // lines of Accept count in accepts_* (`accept` is the first).
    struct http_text host, accept, last_event_id, origin, authorization, cookie, request_method;
    struct http_text fetch_site; // Sec-Fetch-Site; the last line of several
    // A body may follow where a path takes one. Absent: no Content-Length.
    struct http_text content_type;
    int64_t content_length;    // -1 where absent; the value is of any size up to 2^63
    bool expects_continue;     // of POST on HTTP/1.1: Expect: 100-continue, and nothing else
    bool chunked;              // of POST: the head was refused with 501 since its body is chunked
    struct http_text body;     // filled in by the caller, where it has read one; absent before
    bool was_awaited;          // likewise: the body came later than the head, which was looked at without it
    struct http_text fields;   // all lines with a field, and the empty one, for http_lookup
    bool accepts_event_stream; // Accept absent, or some range of it includes text/event-stream with q > 0
                               // (RFC 9110 12.5.1)
    bool accepts_openmetrics;  // Accept names it, and prefers no text/plain
};

enum http_parse { HTTP_PARSE_DONE, HTTP_PARSE_MORE, HTTP_PARSE_ERROR };

// The caller's note of how far the bytes of one head have been looked at, so that a head that arrives byte by
// byte costs O(n). All zero before the first of them.
struct http_scan {
    size_t scanned;    // bytes that were looked at
    size_t line;       // where the line begins that the next byte belongs to
    size_t id_len;     // bytes of the value of Last-Event-ID that were kept
    size_t id_skipped; // bytes of it that were cut out
    bool id_seen;      // there is such a line
    bool in_id;        // the next byte belongs to it
    size_t awaited; // bytes of head and body together, once the head was DONE and the caller wants its body
};

// Looks for a whole head in the first `*len` bytes of `head`. May change them: an odd Last-Event-ID is made
// into one that is harmless to read and that no gateway has made (below), which may lower `*len`.
//   DONE   `*head_len` bytes made up the head; `out` borrows from `head`, valid while that stays where it is
//   MORE   not whole yet, and still within the limits
//   ERROR  `*status` is 400, 413, 414, 417, 431, 501 or 505; the connection must not be used again. Of `out` count the
//          method, as far as it was read (else GET), and the origin by http_request_origin, for the answer
// Policy, on top of the grammar of RFC 9112, whose breaches are 400: - Only CRLF ends a line. Bare CR, bare
// LF, obs-fold, NUL and other control bytes: 400. Empty lines before the request
//   line are skipped, at most two. Bytes from 0x80 on may stand in field values.
// - Last-Event-ID alone may hold control bytes other than CR, LF and NUL (RFC 9110 section 5.5), each of
// which becomes
//   '?', and may be longer than HTTP_ID_MAX: what follows is cut out, and the last byte kept is '?'. A browser sends back
//   whatever id some server has given it, and gives up for good where that is answered with an error.
// - An unknown method is HTTP_OTHER, not an error. CONNECT, or one of more than 24 bytes: 501. - A target is
// of origin-form, absolute-form, or "*" with OPTIONS; see http_target.h. - A version other than 1.0 and 1.1:
// 505. - Exactly one Host on 1.1, at most one on 1.0, valid, the same as that of an absolute-form target;
// else 400. - Transfer-Encoding: 501, with Content-Length 400. A repeated Content-Length, or one of 2^63 or more: 400.
// A body on GET, HEAD or
//   OPTIONS: 413; on other methods it is not read, and keep_alive is false then.
// - Expect: 417, but for 100-continue with POST. Upgrade is ignored.
// Garbage is refused as soon as it is seen, not only when the head is whole. Never reads past `*len`. What comes of a
// head depends on its bytes alone, not on how many of them each call was given.
enum http_parse http_request_parse(char *head, size_t *len, struct http_scan *scan, struct http_request *out,
                                   size_t *head_len, int *status);

// The value of the first whole line `Origin: ..` in the first `len` bytes of a head that is not whole or was
// refused. Absent where there is none. Borrowed from `head`, and unchecked: it may hold any byte but LF, and
// is there to be compared, not to be copied into an answer.
struct http_text http_request_origin(const char *head, size_t len);
