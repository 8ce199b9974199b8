#include "gateway/client/request.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/client/admission.h"
#include "gateway/client/answer.h"
#include "gateway/client/cors.h"
#include "gateway/client/stream_body.h"

#define DETAIL_MAX 256
#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n" // RFC 9110 section 10.1.1

void request_timeout(struct conn *c)
{
    if (!c->head) {
        conn_close(c, (enum close_reason)c->reason); // nothing was asked, so nothing is answered
        return;
    }
    const struct http_request req = {.origin = http_request_origin(c->head->bytes.data, c->head->bytes.len)};
    bool is_head = c->head->scan.awaited == 0;
    answer_problem(c, &req, 408,
                   is_head ? "The request head did not arrive in time." : "The body did not arrive in time.");
}

// True where the body of a POST is one that can be read, or is there; else the client was answered.
static bool takes_body(struct conn *c, const struct http_request *req)
{
    char detail[DETAIL_MAX];
    int status = stream_body_check(req, detail, sizeof detail);
    if (status != 0)
        answer_problem(c, req, status, detail);
    return status == 0;
}

static void request_stream(struct conn *c, const struct http_request *req, const struct route *r)
{
    struct client_context *cx = conn_context(c);
    struct stream_request *want = &cx->request;
    char detail[DETAIL_MAX];
    (void)r; // the path says it all
    if (!req->accepts_event_stream) {
        answer_problem(c, req, 406, "This is text/event-stream, which the Accept header excludes.");
        return;
    }
    if (req->method == HTTP_POST && !req->was_awaited &&
        !(takes_body(c, req) && admission_before_body(c, req)))
        return;
    if (req->method == HTTP_POST && req->body.at == NULL)
        return; // it is waited for
    int status = stream_request_parse(want, req, detail, sizeof detail);
    if (status == 503)
        answer_later(c, req, status, detail);
    else if (status != 0)
        answer_problem(c, req, status, detail);
    else
        admission_begin(c, req, want);
}

static void answer_options(struct conn *c, const struct http_request *req, const struct route *r)
{
    struct client_context *cx = conn_context(c);
    char allow[ROUTE_ALLOW_MAX];
    route_allow(r, allow);
    answer_scratch(c, http_preflight(&cx->policy, req, allow, cx->scratch, SCRATCH_SIZE), CLOSE_ANSWERED);
}

struct route request_server_route(void)
{
    return (struct route){.path = "*",
                          .methods = ROUTE_PAGE_METHODS | ROUTE_METHOD(HTTP_OPTIONS),
                          .roles = LISTENER_PUBLIC | LISTENER_ADMIN};
}

struct route request_stream_route(const struct client_settings *settings)
{
    return (struct route){.path = settings->stream_path,
                          .or_slash = true,
                          .methods =
                              ROUTE_PAGE_METHODS | ROUTE_METHOD(HTTP_OPTIONS) | ROUTE_METHOD(HTTP_POST),
                          .roles = LISTENER_PUBLIC,
                          .takes_body = true,
                          .handle = request_stream};
}

static void request_page(struct conn *c, const struct http_request *req, const struct route *r)
{
    struct client_context *cx = conn_context(c);
    struct page page = (req->accepts_openmetrics && r->openmetrics ? r->openmetrics : r->page)(cx->hooks.ctx);
    size_t body_len = page.body ? strlen(page.body) : 0;
    bool keep = req->keep_alive && !cx->draining;
    const struct http_answer answer = {.status = page.status,
                                       .content_type = page.content_type,
                                       .fields = page.fields,
                                       .body_len = body_len,
                                       .keep_alive = keep};
    size_t len = http_answer_head(&cx->policy, req, &answer, cx->scratch, SCRATCH_SIZE);
    conn_send(c, len && page.body ? frame_from_bytes(cx->scratch, len, false) : NULL);
    if (req->method == HTTP_GET && body_len)
        conn_send(c, frame_from_bytes(page.body, body_len, false));
    free(page.body);
    // The next request is read when this answer has been written: a client that sends requests and reads no
    // answers is closed.
    if (keep)
        conn_flush(c);
    if (!keep || c->queue || c->state != CONN_HEAD) {
        conn_finish(c, CLOSE_ANSWERED);
        return;
    }
    c->reason = CLOSE_IDLE;
    conn_set_deadline(c, cx->settings->keep_alive_ms);
}

static void refuse_origin(struct conn *c, const struct http_request *req, const char *detail)
{
    counter_add(conn_context(c)->counters, COUNTER_DENIED_ORIGIN, 1);
    answer_problem(c, req, 403, detail);
}

static const struct route *find_route(const struct conn *c, const struct http_request *req)
{
    const struct client_context *cx = conn_context(c);
    enum listener_role role = c->is_admin ? LISTENER_ADMIN : LISTENER_PUBLIC;
    const struct route *r = route_find(cx->routes, req->path, role);
    return r ? r : route_find(cx->hooks.pages, req->path, role);
}

static void request_route(struct conn *c, const struct http_request *req, const struct route *r)
{
    const struct client_context *cx = conn_context(c);
    if (req->expects_continue && !(r && r->takes_body))
        answer_problem(c, req, 417, "No body is read here.");
    else if (!r)
        answer_problem(c, req, 404, "There is nothing at this path.");
    else if (!route_allows(r, req->method))
        answer_not_allowed(c, req, r);
    else if (req->method == HTTP_OPTIONS)
        answer_options(c, req, r);
    else if (c->is_admin && cors_is_foreign(req))
        refuse_origin(c, req, "Pages of other origins get nothing here.");
    else if (r->local_host && !cors_is_local_host(req->host))
        answer_problem(c, req, 403, "Ask by address, by localhost, or by a name without a dot.");
    else if (r->handle && cors_is_cross_site(&cx->policy, req))
        refuse_origin(c, req,
                      "Cookies are not taken from a page of another origin, unless --cors-origin names it.");
    else if (r->handle)
        r->handle(c, req, r);
    else
        request_page(c, req, r);
}

static void refuse_head(struct conn *c, const struct http_request *req, int status)
{
    const struct route *r = req->chunked ? find_route(c, req) : NULL;
    if (r && r->takes_body)
        answer_problem(c, req, 411, "A chunked body is not read; send it with Content-Length.");
    else
        answer_problem(c, req, status, NULL);
}

// The head is whole and its body is not: what the head is refused for is answered before the body is read. False where
// it was.
static bool await_body(struct conn *c, const struct http_request *req, const struct route *r)
{
    request_route(c, req, r);
    if (c->state != CONN_HEAD)
        return false;
    if (req->expects_continue)
        conn_send(c, frame_from_bytes(HTTP_CONTINUE, sizeof HTTP_CONTINUE - 1, false));
    return c->state == CONN_HEAD;
}

size_t request_read(struct conn *c, char *bytes, size_t *len, struct http_scan *scan)
{
    struct http_request req;
    struct http_scan again = {0}; // of a head that was read before, and is still the same
    size_t used = 0;
    int status = 0;
    if (*len < scan->awaited)
        return 0;
    switch (http_request_parse(bytes, len, scan->awaited > 0 ? &again : scan, &req, &used, &status)) {
    case HTTP_PARSE_MORE:
        return 0;
    case HTTP_PARSE_ERROR:
        refuse_head(c, &req, status);
        return *len;
    case HTTP_PARSE_DONE:
        break;
    }
    const struct route *r = find_route(c, &req);
    conn_touch(c);
    if (req.method == HTTP_POST && r && r->takes_body) {
        size_t body = stream_body_len(&req);
        if (*len - used < body) {
            scan->awaited = used + body;
            return await_body(c, &req, r) ? 0 : *len;
        }
        req.body = (struct http_text){bytes + used, body};
        req.was_awaited = scan->awaited > 0;
        used += body;
    }
    request_route(c, &req, r);
    return used;
}
