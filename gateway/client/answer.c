#include "gateway/client/answer.h"

#include <stdio.h>

#include "common/jitter.h"
#include "gateway/client/auth.h"

#define RETRY_AFTER_S 2u

void answer_scratch(struct conn *c, size_t len, enum close_reason reason)
{
    conn_send(c, len ? frame_from_bytes(conn_context(c)->scratch, len, false) : NULL);
    conn_finish(c, reason);
}

static void send_problem(struct conn *c, const struct http_request *req, const struct http_problem *problem,
                         enum close_reason reason)
{
    struct client_context *cx = conn_context(c);
    answer_scratch(c, http_problem(&cx->policy, req, problem, cx->scratch, SCRATCH_SIZE), reason);
}

void answer_problem(struct conn *c, const struct http_request *req, int status, const char *detail)
{
    const char *error = auth_error(conn_context(c)->settings, c->principal, req, status);
    const struct http_problem problem = {.status = status, .detail = detail, .bearer_error = error};
    send_problem(c, req, &problem, CLOSE_BAD_REQUEST);
}

void answer_not_allowed(struct conn *c, const struct http_request *req, const struct route *r)
{
    char allow[ROUTE_ALLOW_MAX], detail[ROUTE_ALLOW_MAX + 32];
    route_allow(r, allow);
    snprintf(detail, sizeof detail, "This path takes %s.", allow);
    const struct http_problem problem = {.status = 405, .detail = detail, .allow = allow};
    send_problem(c, req, &problem, CLOSE_BAD_REQUEST);
}

void answer_ended(struct conn *c, const struct http_request *req)
{
    struct client_context *cx = conn_context(c);
    answer_scratch(c, http_no_content(&cx->policy, req, cx->scratch, SCRATCH_SIZE), CLOSE_ENDED);
}

// A browser gives up for good on any answer but 200 with an event stream; so the refusal is one, with the
// time after which to come back.
static void refuse_with_retry(struct conn *c, const struct http_request *req)
{
    struct client_context *cx = conn_context(c);
    char retry[64];
    uint32_t ms = jitter_ms(&cx->random, cx->settings->retry_ms);
    int retry_len = snprintf(retry, sizeof retry, "retry: %u\n\n", ms);
    size_t len = http_stream_head(&cx->policy, req, cx->scratch, SCRATCH_SIZE);
    if (req->method == HTTP_HEAD) {
        answer_scratch(c, len, CLOSE_REFUSED);
        return;
    }
    c->body_only = req->http_1_0;
    conn_send(c, len ? frame_from_bytes(cx->scratch, len, false) : NULL);
    conn_send(c, frame_from_bytes(retry, (size_t)retry_len, true));
    if (!c->body_only)
        conn_send(c, frame_from_bytes("0\r\n\r\n", 5, false));
    conn_finish(c, CLOSE_REFUSED);
}

void answer_later(struct conn *c, const struct http_request *req, int status, const char *why)
{
    const struct http_problem problem = {.status = status, .detail = why, .retry_after_s = RETRY_AFTER_S};
    send_problem(c, req, &problem, CLOSE_REFUSED);
}

static void refuse(struct conn *c, const struct http_request *req, int status, const char *why)
{
    if (conn_context(c)->settings->refuse_with_status)
        answer_later(c, req, status, why);
    else
        refuse_with_retry(c, req);
}

void answer_refusal(struct conn *c, const struct http_request *req, const char *why)
{
    refuse(c, req, 503, why);
}

void answer_refusal_of_client(struct conn *c, const struct http_request *req, const char *why)
{
    refuse(c, req, 429, why);
}
