#include "gateway/client/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "gateway/client/auth.h"
#include "gateway/client/stream.h"

#define ALLOWED "GET, HEAD, OPTIONS"
#define RETRY_AFTER_S 2u
#define KEEP_ALIVE_IDLE_MS 60000u
#define DETAIL_MAX 256

// Queues `len` bytes that stand in the table's scratch; a length of 0 says that they did not fit.
static void answer(struct conn *c, size_t len, enum close_reason reason)
{
    struct conn_table *t = conn_table_of(c);
    conn_send(c, len ? frame_from_bytes(t->scratch, len, false) : NULL);
    conn_finish(c, reason);
}

static void answer_problem(struct conn *c, const struct http_request *req, int status, const char *detail)
{
    struct conn_table *t = conn_table_of(c);
    const char *allow = status == 405 ? ALLOWED : NULL;
    size_t len = http_problem(&t->policy, req, status, detail, 0, allow, t->scratch, SCRATCH_SIZE);
    answer(c, len, CLOSE_BAD_REQUEST);
}

// A browser gives up for good on anything but 200 and an event stream; so that is what it gets, with a time
// to come back.
static void refuse_with_retry(struct conn *c, const struct http_request *req)
{
    struct conn_table *t = conn_table_of(c);
    char retry[64];
    uint32_t ms = jitter_ms(&t->random, t->settings->retry_ms);
    int retry_len = snprintf(retry, sizeof retry, "retry: %u\n\n", ms);
    size_t len = http_stream_head(&t->policy, req, t->scratch, SCRATCH_SIZE);
    c->body_only = req->http_1_0;
    conn_send(c, len ? frame_from_bytes(t->scratch, len, false) : NULL);
    conn_send(c, frame_from_bytes(retry, (size_t)retry_len, true));
    if (!c->body_only)
        conn_send(c, frame_from_bytes("0\r\n\r\n", 5, false));
    conn_finish(c, CLOSE_REFUSED);
}

void request_refuse(struct conn *c, const struct http_request *req, const char *why)
{
    struct conn_table *t = conn_table_of(c);
    if (!t->settings->refuse_with_status) {
        refuse_with_retry(c, req);
        return;
    }
    size_t len = http_problem(&t->policy, req, 503, why, RETRY_AFTER_S, NULL, t->scratch, SCRATCH_SIZE);
    answer(c, len, CLOSE_REFUSED);
}

void request_timeout(struct conn *c)
{
    if (!c->head) {
        conn_close(c, CLOSE_HEAD_TIMEOUT); // nothing was asked, so nothing is answered
        return;
    }
    const struct http_request req = {.origin = http_request_origin(c->head->bytes, c->head->len)};
    answer_problem(c, &req, 408, "The request head did not arrive in time.");
}

static void request_stream(struct conn *c, const struct http_request *req)
{
    struct conn_table *t = conn_table_of(c);
    struct stream_request *want = &t->request;
    char detail[DETAIL_MAX];
    if (req->method == HTTP_OPTIONS) {
        answer(c, http_preflight(&t->policy, req, ALLOWED, t->scratch, SCRATCH_SIZE), CLOSE_ANSWERED);
        return;
    }
    if (req->method != HTTP_GET && req->method != HTTP_HEAD) {
        answer_problem(c, req, 405, "An event stream is asked for with GET.");
        return;
    }
    if (!req->accepts_event_stream) {
        answer_problem(c, req, 406, "This is text/event-stream, which the Accept header excludes.");
        return;
    }
    int status = stream_request_parse(want, req, detail, sizeof detail);
    if (status == 0)
        status = auth_check(t->settings, want, detail, sizeof detail);
    if (status != 0) {
        answer_problem(c, req, status, detail);
        return;
    }
    if (req->method == HTTP_HEAD) {
        answer(c, http_stream_head(&t->policy, req, t->scratch, SCRATCH_SIZE), CLOSE_ANSWERED);
        return;
    }
    const char *why =
        t->draining ? "This gateway is draining; another one will serve you." : t->hooks.refuse(t->hooks.ctx);
    if (why)
        request_refuse(c, req, why);
    else
        stream_begin(c, req, want);
}

static void request_page(struct conn *c, const struct http_request *req)
{
    struct conn_table *t = conn_table_of(c);
    struct client_page page = {0};
    if (!t->hooks.page(t->hooks.ctx, req->path.at, req->path.len, &page)) {
        answer_problem(c, req, 404, "There is nothing at this path.");
        return;
    }
    if (req->method != HTTP_GET && req->method != HTTP_HEAD) {
        free(page.body);
        answer_problem(c, req, 405, "This page is read with GET.");
        return;
    }
    bool keep = req->keep_alive && !t->draining;
    size_t len = http_answer_head(&t->policy, req, page.status, page.content_type, page.body_len, keep,
                                  t->scratch, SCRATCH_SIZE);
    conn_send(c, len && page.body ? frame_from_bytes(t->scratch, len, false) : NULL);
    if (req->method == HTTP_GET && page.body_len)
        conn_send(c, frame_from_bytes(page.body, page.body_len, false));
    free(page.body);
    // The next request is read when this answer is out: one that sends requests and reads no answers is let
    // go.
    if (keep)
        conn_flush(c);
    if (keep && !c->queue && c->state == CONN_HEAD)
        conn_set_deadline(c, KEEP_ALIVE_IDLE_MS);
    else
        conn_finish(c, CLOSE_ANSWERED);
}

static bool is_stream_path(const struct conn_table *t, struct http_text path)
{
    size_t len = strlen(t->settings->stream_path);
    if (path.len == len + 1 && path.at[len] == '/')
        path.len--; // a trailing slash is the same path
    return t->hub && path.len == len && memcmp(path.at, t->settings->stream_path, len) == 0;
}

size_t request_read(struct conn *c, char *bytes, size_t *len, struct http_scan *scan)
{
    struct http_request req;
    size_t used = 0;
    int status = 0;
    switch (http_request_parse(bytes, len, scan, &req, &used, &status)) {
    case HTTP_PARSE_MORE:
        return 0;
    case HTTP_PARSE_ERROR:
        answer_problem(c, &req, status, NULL);
        return *len;
    case HTTP_PARSE_DONE:
        break;
    }
    if (is_stream_path(conn_table_of(c), req.path))
        request_stream(c, &req);
    else
        request_page(c, &req);
    return used;
}
