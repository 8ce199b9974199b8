#include "gateway/client/slow_client.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "gateway/client/conn_tls.h"
#include "gateway/fanout/gap.h"

// Bytes that a client must take per heartbeat interval while more wait for it.
#define PROGRESS_MIN 1024u

// Whole events go, oldest first, and gateway:gap stands in their place: one for each channel, however many
// were dropped.
// False when out of memory.
static bool drop_oldest(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    struct frame *f;
    while (outq_waiting_bytes(c->queue) > cx->settings->queue_limit && (f = outq_take_oldest(c->queue))) {
        counter_add(cx->counters, COUNTER_SLOW_DROPPED, 1);
        struct frame *gap = NULL;
        if (!outq_has_gap(c->queue, f)) {
            gap = gap_frame(frame_channel(f));
            counter_add(cx->counters, COUNTER_GAPS, 1);
            if (!gap || !outq_insert_first(c->queue, gap)) {
                // Without memory for the gap the client would not learn of its loss: so the stream ends, and
                // the client comes back.
                frame_release(gap);
                frame_release(f);
                return false;
            }
        }
        frame_release(f);
    }
    return true;
}

static bool over_limit(const struct conn *c)
{
    // The event that is on its way does not count: one larger than the limit can be delivered, too.
    return c->state == CONN_STREAM && c->queue &&
           outq_waiting_bytes(c->queue) > conn_context(c)->settings->queue_limit;
}

bool slow_client_check(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    if (!over_limit(c))
        return false;
    // In a burst the loop had no chance to see that the socket has room again.
    conn_flush(c);
    if (!over_limit(c))
        return false;
    size_t before = c->queue->bytes;
    bool told = true;
    if (cx->settings->drop_oldest)
        told = drop_oldest(c);
    else
        counter_add(cx->counters, COUNTER_SLOW_DROPPED, outq_drop_unstarted(c->queue));
    counter_add(cx->counters, COUNTER_QUEUED_BYTES, (int64_t)c->queue->bytes - (int64_t)before);
    if (!told)
        conn_close(c, CLOSE_OUT_OF_MEMORY);
    return told && !cx->settings->drop_oldest;
}

// Bytes that the client's side has not acknowledged. The bytes that the socket took say little: its buffer
// may hold megabytes, and reports room again only when a third of it is free.
static uint64_t in_flight(const struct conn *c)
{
    int bytes;
    uint64_t encrypted = c->is_tls ? conn_tls_waiting(c) : 0;
    return encrypted + (ioctl(c->io.fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0);
}

void slow_client_check_progress(struct conn *c)
{
    struct outq *q = c->queue;
    bool watched = q->watched;
    uint64_t sent = q->in_flight + q->taken;
    q->watched = true;
    q->taken = 0;
    q->in_flight = in_flight(c);
    if (watched && sent < q->in_flight + PROGRESS_MIN)
        conn_close(c, CLOSE_SLOW);
}

void slow_client_excuse(struct conn *c)
{
    conn_flush(c);
    if (c->queue)
        c->queue->watched = false;
}
