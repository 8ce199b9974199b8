#include "gateway/client/client_drain.h"

#include "common/clock.h"
#include "gateway/client/admission.h"
#include "gateway/client/answer.h"
#include "gateway/client/end_some.h"
#include "gateway/client/stream.h"

// At 1,000 streams a second, 20 of them end in a step, and their clients come back over --retry anyway.
#define STEP_S 0.02

static void end_all(struct client_context *cx)
{
    size_t cursor = 0;
    counter_add(cx->counters, COUNTER_STREAMS_DRAINED, (int64_t)cx->streams);
    for (struct conn *c; (c = id_table_next(&cx->conns, &cursor));)
        if (c->state == CONN_STREAM)
            stream_end(c, CLOSE_DRAIN);
}

// Streams that ended by themselves count: fewer are ended here then.
static void step(struct client_drain *d)
{
    struct client_context *cx = d->context;
    uint64_t now = clock_monotonic_ms(), elapsed = now > d->begin_ms ? now - d->begin_ms : 0;
    size_t due = drain_pace_due(&d->pace, elapsed);
    size_t gone = d->pace.streams > cx->streams ? d->pace.streams - cx->streams : 0;
    if (elapsed >= d->pace.window_ms)
        end_all(cx);
    else if (due > gone)
        counter_add(cx->counters, COUNTER_STREAMS_DRAINED,
                    (int64_t)end_some_streams(cx, due - gone, 0, CLOSE_DRAIN));
    if (cx->streams == 0)
        client_drain_stop(d);
}

static void on_step(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    step(w->data);
}

// A poll that waits has nothing to lose, and a read that has not ended by itself most likely waits for Redis.
static void end_once(struct client_context *cx, struct conn *c)
{
    counter_add(cx->counters, COUNTER_STREAMS_DRAINED, 1);
    stream_end(c, CLOSE_DRAIN);
}

void client_drain_begin(struct client_drain *d, struct client_context *cx, const struct drain_plan *plan)
{
    size_t cursor = 0;
    cx->draining = true;
    for (struct conn *c; (c = id_table_next(&cx->conns, &cursor));) {
        if (c->state == CONN_ADMITTING || c->state == CONN_WAITING)
            admission_end(c, CLOSE_DRAIN, DRAINING);
        else if (c->state <= CONN_HEAD)
            conn_set_deadline(c, DRAIN_IDLE_MS);
        else if (c->state == CONN_STREAM && c->once)
            end_once(cx, c);
    }
    *d = (struct client_drain){.context = cx,
                               .pace = {.streams = cx->streams,
                                        .window_ms = plan->window_ms,
                                        .part = plan->part,
                                        .parts = plan->parts},
                               .begin_ms = plan->begin_ms};
    ev_timer_init(&d->step, on_step, STEP_S, STEP_S);
    d->step.data = d;
    ev_timer_start(cx->loop, &d->step);
    step(d);
}

void client_drain_stop(struct client_drain *d)
{
    if (d->context)
        ev_timer_stop(d->context->loop, &d->step);
}
