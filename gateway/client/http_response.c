#include "gateway/client/http_response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/client/cors.h"

// Appends to the caller's buffer; after the first piece that does not fit, the whole is void.
struct writer {
    char *out;
    size_t size, len;
    bool full;
};

static void put_bytes(struct writer *w, const char *bytes, size_t len)
{
    if (w->full || len > w->size - w->len) {
        w->full = true;
        return;
    }
    memcpy(w->out + w->len, bytes, len);
    w->len += len;
}

static void put(struct writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct writer *w, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(line))
        w->full = true;
    else
        put_bytes(w, line, (size_t)n);
}

static void put_field(struct writer *w, const char *name, const char *value)
{
    put(w, name);
    put(w, ": ");
    put(w, value);
    put(w, "\r\n");
}

static size_t written(const struct writer *w)
{
    return w->full ? 0 : w->len;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

// Fetch standard 3.3. `Vary` also where the origin does not match: a cache must not give that answer to an
// origin that does.
static void put_cors(struct writer *w, const struct http_policy *p, const struct http_request *req)
{
    if (p->cors_origin_count == 0)
        return;
    struct http_text origin = cors_allowed_origin(p, req->origin);
    if (!cors_allows_any(p))
        put_field(w, "Vary", "Origin");
    if (origin.at == NULL)
        return;
    put(w, "Access-Control-Allow-Origin: ");
    put_bytes(w, origin.at, origin.len);
    put(w, "\r\n");
    if (!cors_allows_any(p))
        put_field(w, "Access-Control-Allow-Credentials", "true");
    put_field(w, "Access-Control-Expose-Headers", "X-SSE-Gateway");
}

// Begins every head. The version is ours, not the client's (RFC 9110 section 6.2).
static struct writer begin(const struct http_policy *p, const struct http_request *req, int status, char *out,
                           size_t size)
{
    struct writer w = {.out = out, .size = size};
    put_format(&w, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    if (p->date != NULL)
        put_field(&w, "Date", p->date);
    put_field(&w, "X-SSE-Gateway", p->gateway_id);
    put_field(&w, "X-Content-Type-Options", "nosniff");
    put_cors(&w, p, req);
    return w;
}

static void put_connection(struct writer *w, bool keep_alive)
{
    put_field(w, "Connection", keep_alive ? "keep-alive" : "close");
}

size_t http_stream_head(const struct http_policy *p, const struct http_request *req, char *out, size_t size)
{
    struct writer w = begin(p, req, 200, out, size);
    put_field(&w, "Content-Type", "text/event-stream");
    put_field(&w, "Cache-Control", "no-store, no-transform");
    put_field(&w, "X-Accel-Buffering", "no");
    if (!req->http_1_0)
        put_field(&w, "Transfer-Encoding", "chunked");
    put_connection(&w, false);
    put(&w, "\r\n");
    return written(&w);
}

static void put_entity(struct writer *w, const char *content_type, size_t body_len, bool keep_alive)
{
    put_field(w, "Content-Type", content_type);
    put_format(w, "Content-Length: %zu\r\n", body_len);
    put_field(w, "Cache-Control", "no-store");
    put_connection(w, keep_alive);
    put(w, "\r\n");
}

size_t http_answer_head(const struct http_policy *p, const struct http_request *req,
                        const struct http_answer *answer, char *out, size_t size)
{
    struct writer w = begin(p, req, answer->status, out, size);
    if (answer->fields)
        put(&w, answer->fields);
    put_entity(&w, answer->content_type, answer->body_len, answer->keep_alive);
    return written(&w);
}

// Writes `text` as the inside of a JSON string. The detail may hold bytes that a client sent, in any
// encoding: what is not printable ASCII is escaped as if it were Latin-1. Stops where less than `reserve`
// bytes would be left.
static void put_json_text(struct writer *w, const char *text, size_t reserve)
{
    for (; *text != '\0' && w->size - w->len >= sizeof("\\u00ff") - 1 + reserve; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c >= 0x7f)
            put_format(w, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            put_format(w, "\\%c", c);
        else
            put_bytes(w, text, 1);
    }
}

// A problem without its detail always fits: the rest of the text is bounded.
static size_t problem_body(int status, const char *detail, char *out, size_t size)
{
    static const char tail[] = "\"}\n";
    struct writer w = {.out = out, .size = size};
    put_format(&w, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d", http_reason(status), status);
    if (detail != NULL) {
        put(&w, ",\"detail\":\"");
        put_json_text(&w, detail, sizeof(tail) - 1);
    }
    put(&w, detail != NULL ? tail : tail + 1);
    return w.len;
}

// RFC 6750 section 3. The detail stands in it as far as its bytes may, which are those of a quoted string
// without escapes.
static void put_challenge(struct writer *w, const struct http_problem *problem)
{
    put(w, "WWW-Authenticate: Bearer realm=\"sse\"");
    if (problem->bearer_error && problem->bearer_error[0] != '\0') {
        put_format(w, ", error=\"%s\"", problem->bearer_error);
        put(w, ", error_description=\"");
        for (const char *at = problem->detail ? problem->detail : ""; *at; at++)
            put_bytes(w, *at >= ' ' && *at <= '~' && *at != '"' && *at != '\\' ? at : "?", 1);
        put(w, "\"");
    }
    put(w, "\r\n");
}

size_t http_problem(const struct http_policy *p, const struct http_request *req,
                    const struct http_problem *problem, char *out, size_t size)
{
    char body[1024];
    size_t body_len = problem_body(problem->status, problem->detail, body, sizeof(body));
    assert(problem->status >= 400 && (problem->status == 405) == (problem->allow != NULL));

    struct writer w = begin(p, req, problem->status, out, size);
    if (problem->allow != NULL)
        put_field(&w, "Allow", problem->allow);
    if (problem->bearer_error || problem->status == 401) // which has one, by RFC 9110 section 15.5.2
        put_challenge(&w, problem);
    if (problem->retry_after_s > 0)
        put_format(&w, "Retry-After: %u\r\n", problem->retry_after_s);
    put_entity(&w, "application/problem+json", body_len, false);
    if (req->method != HTTP_HEAD)
        put_bytes(&w, body, body_len);
    return written(&w);
}

size_t http_preflight(const struct http_policy *p, const struct http_request *req, const char *allow,
                      char *out, size_t size)
{
    struct writer w = begin(p, req, 204, out, size);
    put_field(&w, "Allow", allow);
    bool preflight = req->origin.at != NULL && req->request_method.at != NULL;
    if (preflight && cors_allowed_origin(p, req->origin).at != NULL) {
        put_field(&w, "Access-Control-Allow-Methods", allow);
        put(&w, "Access-Control-Allow-Headers: Accept, Authorization, Cache-Control, Content-Type, "
                "Last-Event-ID, "
                "traceparent, tracestate, X-Requested-With\r\n"
                "Access-Control-Max-Age: 7200\r\n");
    }
    put_field(&w, "Cache-Control", "no-store");
    put_connection(&w, false);
    put(&w, "\r\n");
    return written(&w);
}

size_t http_no_content(const struct http_policy *p, const struct http_request *req, char *out, size_t size)
{
    struct writer w = begin(p, req, 204, out, size);
    put_field(&w, "Cache-Control", "no-store");
    put_connection(&w, false);
    put(&w, "\r\n");
    return written(&w);
}

void http_date(int64_t unix_s, char *out)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    // Names are those of the C locale: the process sets no other one.
    if (gmtime_r(&t, &tm) == NULL || strftime(out, HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_SIZE); // no year of four digits
}
