#include "gateway/client/feed.h"

#include "gateway/client/answer.h"

static void send_next(struct conn *c, struct frame *f)
{
    conn_send(c, f);
    if (c->state != CONN_FEED)
        return;
    conn_set_deadline(c, FEED_TIMEOUT_MS);
    conn_touch(c);
}

void feed_begin(struct conn *c, const struct http_request *req, struct frame *first)
{
    struct client_context *cx = conn_context(c);
    size_t len = http_stream_head(&cx->policy, req, cx->scratch, SCRATCH_SIZE);
    if (req->method == HTTP_HEAD) {
        frame_release(first);
        answer_scratch(c, len, CLOSE_ANSWERED);
        return;
    }
    conn_set_state(c, CONN_FEED);
    c->body_only = req->http_1_0;
    conn_send(c, len ? frame_from_bytes(cx->scratch, len, false) : NULL);
    send_next(c, first);
}

void feed_send(struct client_context *cx, struct frame *f)
{
    size_t cursor = 0;
    for (struct conn *c; (c = id_table_next(&cx->conns, &cursor));)
        if (f && c->state == CONN_FEED && !c->queue)
            send_next(c, frame_retain(f));
}

size_t feed_count(const struct client_context *cx)
{
    size_t cursor = 0, count = 0;
    for (struct conn *c; (c = id_table_next(&cx->conns, &cursor));)
        count += c->state == CONN_FEED;
    return count;
}
