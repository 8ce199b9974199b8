// How late the loop of a thread is: a timer of the loop notes how long after it was due its callback runs. The loop's
// thread alone writes, any thread reads. All zero before the first tick. Pure.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define LOOP_LAG_WINDOW_NS UINT64_C(15000000000)

struct loop_lag {
    _Atomic uint64_t due_ns;              // monotonic: when the next tick is due; 0: no loop ticks here
    _Atomic uint64_t worst_ns, before_ns; // the worst lag of this window, and of the one before
    uint64_t window_ends_ns;
};

// The callback of a timer that repeats every `period_ns`; and once when the timer is started.
void loop_lag_tick(struct loop_lag *l, uint64_t period_ns, uint64_t now_ns);
// The worst lag of the last one to two windows; that of a tick which has been due for longer, where there is one.
uint64_t loop_lag_read(const struct loop_lag *l, uint64_t now_ns);
