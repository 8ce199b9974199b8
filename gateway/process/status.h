// The parts of the process that health and metrics look at. All of it is read by any thread.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/tls_server.h"
#include "gateway/auth/authenticator.h"
#include "gateway/bus/bus.h"
#include "gateway/threads/worker.h"

struct dashboard;
struct rebalance;

struct status {
    struct rebalance *rebalance;         // the tier; NULL: not known yet
    struct authenticator *authenticator; // NULL: no key of tokens is configured
    struct dashboard *dashboard;         // NULL: there is no admin listener
    const char *id;
    struct worker *const *workers;
    size_t worker_count;
    struct bus *bus;
    struct tls_server *tls;       // NULL for none
    struct users *users;          // NULL: nobody needs them
    const struct counters *admin; // counters of the main thread
    struct limits limits;         // of all workers
    uint64_t started_at;          // monotonic milliseconds
    int64_t started_wall;         // the same in seconds since 1970
    _Atomic bool draining;
    _Atomic uint64_t drain_streams;     // that were open when the drain began
    _Atomic uint64_t drain_deadline_ms; // monotonic: when the process ends at the latest
};

// Sum of one counter over all threads.
uint64_t status_count(const struct status *s, enum counter which);
// Durations of one kind over all threads: what the difference of two such sums has took place between the two.
void status_times(const struct status *s, enum histogram_of which, struct histogram_sum *sum);
// The threads that have a loop, by number: main, bus (where it has a thread), workers. Writes the name to `name` and
// returns its counters; NULL beyond the last.
#define STATUS_THREAD_NAME_MAX 24
const struct counters *status_thread(const struct status *s, size_t i, char name[STATUS_THREAD_NAME_MAX]);
// A hook of the users (client/users.h), whose `ctx` is the status.
bool status_end_stream(void *status, uint64_t id, enum close_reason reason);
// Connections ended for `reason`.
uint64_t status_closes(const struct status *s, enum close_reason reason);
