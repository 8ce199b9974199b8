#include "tests/unit/lib/loop.h"

static void on_patience(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    *(bool *)w->data = true;
    ev_break(loop, EVBREAK_ONE);
}

bool loop_run_until(struct ev_loop *loop, bool (*done)(void *ctx), void *ctx)
{
    bool over = false;
    ev_timer patience;
    ev_now_update(loop);
    ev_timer_init(&patience, on_patience, LOOP_PATIENCE_S, 0.);
    patience.data = &over;
    ev_timer_start(loop, &patience);
    // What has come is worked off by one turn, whose end is the beginning of the next one: only the third one may block.
    for (unsigned turn = 1; !done(ctx) && !over; turn++)
        ev_run(loop, turn % 3 ? EVRUN_NOWAIT : EVRUN_ONCE);
    ev_timer_stop(loop, &patience);
    return !over;
}

bool loop_has_counted(void *count)
{
    const struct loop_count *c = count;
    return *c->counter >= c->least;
}
