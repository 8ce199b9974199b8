// A timer that ends a wait for a peer. Bytes that the peer sent in time must be read before it fires: so it
// fires after the sockets of its turn, and where the turn itself came late (the process was stopped, a
// callback took long, the machine slept), the peer may have slept as well and gets a little more time. On the
// thread of the loop alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct deadline {
    struct ev_loop *loop;
    ev_timer timer;
    uint64_t due_ms; // of clock_monotonic_ms
    bool extended;   // this deadline was extended already
    void (*on_over)(void *ctx);
    void *ctx;
};

void deadline_init(struct deadline *d, struct ev_loop *loop, void (*on_over)(void *ctx), void *ctx);
// Calls on_over once, in `in_s` seconds. Takes the place of what was set before.
void deadline_set(struct deadline *d, double in_s);
void deadline_stop(struct deadline *d);

// For on_over, before it gives the peer up: true where on_over was called late, and will be called again in a
// second. Once for each deadline, so that a loop that is always late still gives up.
bool deadline_extend(struct deadline *d);
