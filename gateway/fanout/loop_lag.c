#include "gateway/fanout/loop_lag.h"

#include <stdbool.h>

static uint64_t get(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void set(_Atomic uint64_t *to, uint64_t n)
{
    atomic_store_explicit(to, n, memory_order_relaxed);
}

void loop_lag_tick(struct loop_lag *l, uint64_t period_ns, uint64_t now_ns)
{
    uint64_t due = get(&l->due_ns);
    uint64_t lag = due != 0 && now_ns > due ? now_ns - due : 0;
    if (now_ns >= l->window_ends_ns) {
        set(&l->before_ns, now_ns < l->window_ends_ns + LOOP_LAG_WINDOW_NS ? get(&l->worst_ns) : 0);
        set(&l->worst_ns, 0);
        l->window_ends_ns = now_ns + LOOP_LAG_WINDOW_NS;
    }
    if (lag > get(&l->worst_ns))
        set(&l->worst_ns, lag);
    // As libev does: the ticks that a late loop has missed are left out. A tick that is early shows that libev counts
    // from a little earlier.
    bool is_early = now_ns < due || due == 0;
    uint64_t next = (is_early ? now_ns : due) + period_ns;
    set(&l->due_ns, next < now_ns ? now_ns : next);
}

uint64_t loop_lag_read(const struct loop_lag *l, uint64_t now_ns)
{
    uint64_t due = get(&l->due_ns), worst = get(&l->worst_ns), before = get(&l->before_ns);
    uint64_t lag = due != 0 && now_ns > due ? now_ns - due : 0;
    if (before > worst)
        worst = before;
    return lag > worst ? lag : worst;
}
