#include "gateway/redis/deadline.h"

#include "common/clock.h"

#define LATE_MS 300u
#define EXTENSION_S 1.0

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct deadline *d = timer->data;
    d->on_over(d->ctx);
}

void deadline_init(struct deadline *d, struct ev_loop *loop, void (*on_over)(void *ctx), void *ctx)
{
    *d = (struct deadline){.loop = loop, .on_over = on_over, .ctx = ctx};
    ev_timer_init(&d->timer, on_timer, 0., 0.);
    ev_set_priority(&d->timer, -1); // behind the sockets, which have 0
    d->timer.data = d;
}

static void start(struct deadline *d, double in_s)
{
    ev_timer_stop(d->loop, &d->timer);
    ev_timer_set(&d->timer, in_s, 0.);
    ev_timer_start(d->loop, &d->timer);
    d->due_ms = clock_monotonic_ms() + (uint64_t)(in_s * 1000.0);
}

void deadline_set(struct deadline *d, double in_s)
{
    d->extended = false;
    start(d, in_s);
}

void deadline_stop(struct deadline *d)
{
    ev_timer_stop(d->loop, &d->timer);
}

bool deadline_extend(struct deadline *d)
{
    if (d->extended || clock_monotonic_ms() < d->due_ms + LATE_MS)
        return false;
    d->extended = true;
    start(d, EXTENSION_S);
    return true;
}
