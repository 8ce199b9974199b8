// Runs an event loop until something is so: the tests' only way to wait.
#pragma once

#include <ev.h>
#include <stdbool.h>

// Longer than anything here takes, shorter than Check's own timeout.
#define LOOP_PATIENCE_S 15.0

// True as soon as `done` is, which is asked after every turn; false when patience is over.
bool loop_run_until(struct ev_loop *loop, bool (*done)(void *ctx), void *ctx);

// Fails the test where `condition` does not come true. `condition` is a name of a `bool (*)(void *)`.
#define loop_wait(loop, condition, ctx)                                                                      \
    ck_assert_msg(loop_run_until(loop, condition, ctx), "waited in vain for %s", #condition)

// Fails the test where the unsigned that `counter` points at does not become `least` or more.
#define loop_wait_count(loop, counter, least)                                                                \
    ck_assert_msg(loop_run_until(loop, loop_has_counted, &(struct loop_count){counter, least}),              \
                  "waited in vain for %u of %s", (unsigned)(least), #counter)

// For loop_wait_count.
struct loop_count {
    const unsigned *counter;
    unsigned least;
};
bool loop_has_counted(void *count);
