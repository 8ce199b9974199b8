#include "gateway/client/request.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/client/admission.h"
#include "gateway/client/answer.h"

#define KEEP_ALIVE_IDLE_MS 60000u
#define DETAIL_MAX 256

void request_timeout(struct conn *c)
{
    if (c->head)
        answer_problem(c, NULL, 408, "The request head did not arrive in time.");
    else
        conn_close(c, CLOSE_HEAD_TIMEOUT); // nothing was asked, so nothing is answered
}

static void request_stream(struct conn *c, const struct http_request *req)
{
    struct client_context *cx = conn_context(c);
    struct stream_request *want = &cx->request;
    char detail[DETAIL_MAX];
    if (req->method == HTTP_OPTIONS) {
        answer_scratch(c, http_preflight(&cx->policy, req, ANSWER_METHODS, cx->scratch, SCRATCH_SIZE),
                       CLOSE_ANSWERED);
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
    if (status != 0)
        answer_problem(c, req, status, detail);
    else
        admission_begin(c, req, want);
}

static void request_page(struct conn *c, const struct http_request *req)
{
    struct client_context *cx = conn_context(c);
    struct page page = {0};
    if (!cx->hooks.page(cx->hooks.ctx, req, &page)) {
        answer_problem(c, req, 404, "There is nothing at this path.");
        return;
    }
    if (req->method != HTTP_GET && req->method != HTTP_HEAD) {
        free(page.body);
        answer_problem(c, req, 405, "This page is read with GET.");
        return;
    }
    bool keep = req->keep_alive && !cx->draining;
    size_t len = http_answer_head(&cx->policy, req, page.status, page.content_type, page.body_len, keep,
                                  cx->scratch, SCRATCH_SIZE);
    conn_send(c, len && page.body ? frame_from_bytes(cx->scratch, len, false) : NULL);
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

static bool is_stream_path(const struct client_context *cx, struct http_text path)
{
    size_t len = strlen(cx->settings->stream_path);
    if (path.len == len + 1 && path.at[len] == '/')
        path.len--; // a trailing slash is the same path
    return cx->hub && path.len == len && memcmp(path.at, cx->settings->stream_path, len) == 0;
}

size_t request_read(struct conn *c, const char *bytes, size_t len, size_t *scanned)
{
    struct http_request req;
    size_t used = 0;
    int status = 0;
    switch (http_request_parse(bytes, len, scanned, &req, &used, &status)) {
    case HTTP_PARSE_MORE:
        return 0;
    case HTTP_PARSE_ERROR:
        answer_problem(c, NULL, status, NULL);
        return len;
    case HTTP_PARSE_DONE:
        break;
    }
    if (is_stream_path(conn_context(c), req.path))
        request_stream(c, &req);
    else
        request_page(c, &req);
    return used;
}
