// Answers have the headers that the contract names, and no byte of a client gets into a head unescaped.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/client/http_response.h"
#include "tests/unit/lib/unit_main.h"

static const char *const origins[] = {"https://app.example", "https://two.example:8443"};
static const char *const star[] = {"*"};

static const struct http_policy plain = {.gateway_id = "gw1:8080"};
static const struct http_policy exact = {
    .gateway_id = "gw1:8080", .cors_origins = origins, .cors_origin_count = 2};
static const struct http_policy any = {
    .gateway_id = "gw1:8080", .cors_origins = star, .cors_origin_count = 1};

static struct http_text text(const char *s)
{
    return (struct http_text){.at = s, .len = s != NULL ? strlen(s) : 0};
}

static struct http_request from(const char *origin)
{
    return (struct http_request){.origin = text(origin)};
}

static char out[HTTP_PROBLEM_MAX + 1];

static void check_out(size_t len, const char *want)
{
    ck_assert_uint_gt(len, 0);
    out[len] = '\0';
    ck_assert_str_eq(out, want);
}

static void check_has(size_t len, const char *line)
{
    ck_assert_uint_gt(len, 0);
    out[len] = '\0';
    ck_assert_msg(strstr(out, line) != NULL, "no \"%s\" in:\n%s", line, out);
}

static void check_has_not(size_t len, const char *line)
{
    out[len] = '\0';
    ck_assert_msg(strstr(out, line) == NULL, "\"%s\" in:\n%s", line, out);
}

static const struct http_request nobody;

static size_t write_problem(const struct http_policy *p, const struct http_request *req,
                            struct http_problem what, size_t size)
{
    return http_problem(p, req, &what, out, size);
}

static size_t write_answer_head(const struct http_policy *p, const struct http_request *req,
                                struct http_answer what, size_t size)
{
    return http_answer_head(p, req, &what, out, size);
}

TEST(stream_head)
{
    struct http_request req = from(NULL);
    check_out(http_stream_head(&plain, &req, out, HTTP_RESPONSE_HEAD_MAX),
              "HTTP/1.1 200 OK\r\n"
              "X-SSE-Gateway: gw1:8080\r\n"
              "X-Content-Type-Options: nosniff\r\n"
              "Content-Type: text/event-stream\r\n"
              "Cache-Control: no-store, no-transform\r\n"
              "X-Accel-Buffering: no\r\n"
              "Transfer-Encoding: chunked\r\n"
              "Connection: close\r\n"
              "\r\n");
    req.http_1_0 = true;
    size_t n = http_stream_head(&plain, &req, out, HTTP_RESPONSE_HEAD_MAX);
    check_has_not(n, "Transfer-Encoding");
    check_has(n, "Connection: close\r\n");
}

// Every kind of answer, so that a rule can be checked on each.
static size_t write_answer(int kind, const struct http_policy *p, const struct http_request *req, size_t size)
{
    switch (kind) {
    case 0:
        return http_stream_head(p, req, out, size);
    case 1:
        return write_problem(
            p, req, (struct http_problem){.status = 503, .detail = "busy", .retry_after_s = 3}, size);
    case 2:
        return write_answer_head(p, req, (struct http_answer){200, "application/json", NULL, 17, true}, size);
    case 3:
        return http_no_content(p, req, out, size);
    default:
        return http_preflight(p, req, "GET, HEAD, OPTIONS", out, size);
    }
}
#define KINDS 5

TEST_LOOP(a_known_origin_is_let_in_with_credentials, 0, KINDS)
{
    struct http_request req = from("https://two.example:8443");
    size_t n = write_answer(_i, &exact, &req, HTTP_PROBLEM_MAX);
    check_has(n, "\r\nVary: Origin\r\n");
    check_has(n, "\r\nAccess-Control-Allow-Origin: https://two.example:8443\r\n");
    check_has(n, "\r\nAccess-Control-Allow-Credentials: true\r\n");
    check_has(n, "\r\nAccess-Control-Expose-Headers: X-SSE-Gateway\r\n");
}

TEST_LOOP(an_unknown_origin_is_not_let_in, 0, KINDS)
{
    static const char *const unknown[] = {
        NULL,
        "",
        "null",
        "https://app.example.evil",
        "https://app.exampl",
        "HTTPS://APP.EXAMPLE",
        "*",
        "https://app.example\r\nX: y",
    };
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct http_request req = from(unknown[i]);
        size_t n = write_answer(_i, &exact, &req, HTTP_PROBLEM_MAX);
        check_has(n, "\r\nVary: Origin\r\n");
        check_has_not(n, "Access-Control");
        check_has_not(n, "X: y");
    }
}

TEST_LOOP(any_origin_comes_without_credentials, 0, KINDS)
{
    static const char *const some[] = {NULL, "https://x.example"};
    for (size_t i = 0; i < 2; i++) {
        struct http_request req = from(some[i]);
        size_t n = write_answer(_i, &any, &req, HTTP_PROBLEM_MAX);
        check_has(n, "\r\nAccess-Control-Allow-Origin: *\r\n");
        check_has(n, "\r\nAccess-Control-Expose-Headers: X-SSE-Gateway\r\n");
        check_has_not(n, "Credentials");
        check_has_not(n, "Vary");
    }
}

TEST_LOOP(no_cors_where_none_is_configured, 0, KINDS)
{
    struct http_request req = from("https://app.example");
    size_t n = write_answer(_i, &plain, &req, HTTP_PROBLEM_MAX);
    check_has_not(n, "Access-Control-Allow-Origin");
    check_has_not(n, "Vary");
}

TEST_LOOP(an_answer_that_does_not_fit_is_none, 0, KINDS)
{
    struct http_request req = from("https://app.example");
    size_t whole = write_answer(_i, &exact, &req, HTTP_PROBLEM_MAX);
    ck_assert_uint_gt(whole, 0);
    for (size_t size = 0; size < whole; size++)
        ck_assert_uint_eq(write_answer(_i, &exact, &req, size), 0);
    ck_assert_uint_eq(write_answer(_i, &exact, &req, whole), whole);
}

TEST_LOOP(every_answer_has_a_date_where_the_policy_has, 0, KINDS)
{
    struct http_policy dated = plain;
    dated.date = "Sun, 06 Nov 1994 08:49:37 GMT";
    struct http_request req = from(NULL);
    check_has(write_answer(_i, &dated, &req, HTTP_PROBLEM_MAX),
              "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    check_has_not(write_answer(_i, &plain, &req, HTTP_PROBLEM_MAX), "Date:");
}

// The body of the problem in `out`, parsed; its length is the one announced.
static json_t *problem_json(size_t len)
{
    out[len] = '\0';
    char *body = strstr(out, "\r\n\r\n");
    ck_assert_ptr_nonnull(body);
    body += 4;
    const char *announced = strstr(out, "\r\nContent-Length: ");
    ck_assert_ptr_nonnull(announced);
    ck_assert_uint_eq(strtoul(announced + 18, NULL, 10), strlen(body));
    json_error_t error;
    json_t *json = json_loads(body, 0, &error);
    ck_assert_msg(json != NULL, "%s: %s", error.text, body);
    return json;
}

TEST(problems)
{
    static const struct {
        int status;
        const char *reason;
    } cases[] = {{400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {406, "Not Acceptable"},
                 {408, "Request Timeout"},
                 {413, "Content Too Large"},
                 {414, "URI Too Long"},
                 {417, "Expectation Failed"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = write_problem(&plain, &nobody,
                                 (struct http_problem){.status = cases[i].status,
                                                       .detail = "why",
                                                       .allow = cases[i].status == 405 ? "GET" : NULL},
                                 HTTP_PROBLEM_MAX);
        char line[80];
        snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", cases[i].status, cases[i].reason);
        check_has(n, line);
        ck_assert_ptr_eq(strstr(out, line), out);
        check_has(n, "\r\nContent-Type: application/problem+json\r\n");
        check_has(n, "\r\nConnection: close\r\n");
        check_has(n, "\r\nCache-Control: no-store\r\n");
        check_has_not(n, "Retry-After");
        json_t *json = problem_json(n);
        ck_assert_str_eq(json_string_value(json_object_get(json, "type")), "about:blank");
        ck_assert_str_eq(json_string_value(json_object_get(json, "title")), cases[i].reason);
        ck_assert_int_eq(json_integer_value(json_object_get(json, "status")), cases[i].status);
        ck_assert_str_eq(json_string_value(json_object_get(json, "detail")), "why");
        json_decref(json);
    }
    ck_assert_str_eq(http_reason(299), "Unknown");
}

TEST(problem_without_detail)
{
    size_t n = write_problem(&plain, &nobody, (struct http_problem){.status = 404}, HTTP_PROBLEM_MAX);
    json_t *json = problem_json(n);
    ck_assert_ptr_null(json_object_get(json, "detail"));
    json_decref(json);
}

TEST(problem_headers)
{
    struct http_request head = {.method = HTTP_HEAD};
    size_t n =
        write_problem(&plain, &nobody, (struct http_problem){.status = 405, .allow = "GET, HEAD, OPTIONS"},
                      HTTP_PROBLEM_MAX);
    check_has(n, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
    check_has(write_problem(&plain, &nobody, (struct http_problem){.status = 503, .retry_after_s = 7},
                            HTTP_PROBLEM_MAX),
              "\r\nRetry-After: 7\r\n");
    check_has(write_problem(&plain, &nobody, (struct http_problem){.status = 401}, HTTP_PROBLEM_MAX),
              "\r\nWWW-Authenticate: Bearer ");
    n = write_problem(&plain, &head, (struct http_problem){.status = 404}, HTTP_PROBLEM_MAX);
    check_has(n, "\r\nContent-Length: ");
    check_has_not(n, "Content-Length: 0");
    check_has_not(n, "about:blank");
}

TEST(any_byte_may_be_in_a_detail)
{
    char detail[256];
    for (int i = 1; i < 256; i++)
        detail[i - 1] = (char)i;
    detail[255] = '\0';
    size_t n = write_problem(&plain, &nobody, (struct http_problem){.status = 400, .detail = detail},
                             HTTP_PROBLEM_MAX);
    json_t *json = problem_json(n);
    const char *decoded = json_string_value(json_object_get(json, "detail"));
    for (int i = 1; i < 0x80; i++)
        ck_assert_int_eq(decoded[i - 1], i);
    json_decref(json);
}

TEST(a_long_detail_is_cut)
{
    static const char fills[] = {'a', '"', '\n', '\x80'};
    char detail[4096];
    for (size_t i = 0; i < sizeof(fills); i++)
        for (size_t len = 0; len<sizeof(detail); len += len> 900 && len < 960 ? 1 : 97)
            for (size_t shift = 0; shift < 6 && shift <= len; shift++) { // where in an escape the room ends
                memset(detail, fills[i], len);
                memset(detail, 'a', shift);
                detail[len] = '\0';
                size_t n =
                    write_problem(&plain, &nobody, (struct http_problem){.status = 431, .detail = detail},
                                  HTTP_PROBLEM_MAX);
                json_decref(problem_json(n));
            }
}

TEST(answer_head)
{
    struct http_request req = from(NULL);
    check_out(write_answer_head(&plain, &req, (struct http_answer){200, "application/json", NULL, 17, true},
                                HTTP_RESPONSE_HEAD_MAX),
              "HTTP/1.1 200 OK\r\n"
              "X-SSE-Gateway: gw1:8080\r\n"
              "X-Content-Type-Options: nosniff\r\n"
              "Content-Type: application/json\r\n"
              "Content-Length: 17\r\n"
              "Cache-Control: no-store\r\n"
              "Connection: keep-alive\r\n"
              "\r\n");
    check_has(write_answer_head(&plain, &req, (struct http_answer){503, "text/plain", NULL, 0, false},
                                HTTP_RESPONSE_HEAD_MAX),
              "Content-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
    check_has(write_answer_head(&plain, &req,
                                (struct http_answer){200, "text/html", "A: b\r\nC: d\r\n", 0, true},
                                HTTP_RESPONSE_HEAD_MAX),
              "nosniff\r\nA: b\r\nC: d\r\nContent-Type: text/html\r\n");
}

TEST(preflight)
{
    struct http_request req = from("https://app.example");
    req.method = HTTP_OPTIONS;
    req.request_method = text("GET");
    size_t n = http_preflight(&exact, &req, "GET, HEAD, OPTIONS", out, HTTP_RESPONSE_HEAD_MAX);
    check_has(n, "HTTP/1.1 204 No Content\r\n");
    check_has(n, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
    check_has(n, "\r\nAccess-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n");
    check_has(n, "\r\nAccess-Control-Allow-Headers: Accept, Authorization, Cache-Control, Content-Type, "
                 "Last-Event-ID, "
                 "traceparent, tracestate, X-Requested-With\r\n");
    check_has(n, "\r\nAccess-Control-Max-Age: ");
    check_has_not(n, "Content-Length"); // RFC 9110 section 8.6
    req.request_method.at = NULL;       // a plain OPTIONS
    check_has_not(http_preflight(&exact, &req, "GET", out, HTTP_RESPONSE_HEAD_MAX),
                  "Access-Control-Allow-Methods");
    req.request_method = text("GET");
    req.origin = text("https://evil.example");
    n = http_preflight(&exact, &req, "GET, HEAD, OPTIONS", out, HTTP_RESPONSE_HEAD_MAX);
    check_has(n, "HTTP/1.1 204 No Content\r\n");
    check_has_not(n, "Access-Control");
    check_has(http_preflight(&any, &req, "GET", out, HTTP_RESPONSE_HEAD_MAX), "Access-Control-Allow-Methods");
}

TEST(no_content)
{
    struct http_request req = from("https://app.example");
    size_t n = http_no_content(&exact, &req, out, HTTP_RESPONSE_HEAD_MAX);
    check_has(n, "HTTP/1.1 204 No Content\r\n");
    check_has(n, "\r\nCache-Control: no-store\r\n");
    check_has(n, "\r\nConnection: close\r\n\r\n");
    check_has_not(n, "\r\nContent-"); // RFC 9110 section 8.6
    check_has_not(n, "Transfer-Encoding");
}

TEST(dates)
{
    char date[HTTP_DATE_SIZE];
    http_date(784111777, date);
    ck_assert_str_eq(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date(0, date);
    ck_assert_str_eq(date, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date(1709210096, date);
    ck_assert_str_eq(date, "Thu, 29 Feb 2024 12:34:56 GMT");
    http_date(INT64_MAX, date); // no such year: some text, no crash
    http_date(INT64_MIN, date);
}

TEST(a_challenge_says_what_was_wrong_in_bytes_that_it_may_have)
{
    struct http_problem what = {.status = 401, .bearer_error = "", .detail = "A token."};
    check_has(write_problem(&plain, &nobody, what, HTTP_PROBLEM_MAX),
              "\r\nWWW-Authenticate: Bearer realm=\"sse\"\r\n");
    what.bearer_error = "invalid_token";
    what.detail = "a\"b\\c\r\nX: y\xff";
    check_has(write_problem(&plain, &nobody, what, HTTP_PROBLEM_MAX),
              "Bearer realm=\"sse\", error=\"invalid_token\", error_description=\"a?b?c??X: y?\"\r\n");
    what.status = 403;
    what.bearer_error = "insufficient_scope";
    check_has(write_problem(&plain, &nobody, what, HTTP_PROBLEM_MAX), "error=\"insufficient_scope\"");
    what.bearer_error = NULL;
    check_has_not(write_problem(&plain, &nobody, what, HTTP_PROBLEM_MAX), "WWW-Authenticate");
}
