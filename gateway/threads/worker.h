// A worker: one thread with its own loop, listeners, connections, hub. Nothing in it is locked; other threads
// reach it by mail.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/client_loop.h"
#include "gateway/threads/mailbox.h"

struct worker;

struct worker_settings {
    unsigned index; // below WORKERS_MAX
    unsigned worker_count;
    uint64_t drain_window_ms; // over which a drain ends the streams
    const struct client_settings *client;
    struct client_hooks hooks;                  // but for `ask`, which is the worker's
    struct limits *limits;                      // shared by all workers
    size_t backlog_limit;                       // bytes of frames that may wait for this worker
    bool shares_loop;                           // the bus runs in this worker's loop
    const struct listen_socket *listen_sockets; // their descriptors are taken
    size_t listen_count;
};

// NULL when out of memory. The thread is not running yet. `settings` is copied, what it points to is
// borrowed.
struct worker *worker_create(const struct worker_settings *settings);
// The bus runs in this worker's loop: `read_redis` reads the connections to Redis, and posts mails only.
// Before worker_start.
void worker_set_read_redis(struct worker *w, void (*read_redis)(void *ctx), void *ctx);
// Starts the thread. MAIL_WANTED, MAIL_UNWANTED, MAIL_HISTORY and MAIL_ASK go to `bus`, MAIL_EMPTY to `main`. False
// where the thread cannot be created.
bool worker_start(struct worker *w, struct mailbox *bus, struct mailbox *main);
// Where main posts: MAIL_DRAIN, MAIL_STOP. Any thread.
struct mailbox *worker_mailbox(struct worker *w);
// Where the bus posts. Where it shares the loop, a local box.
struct mailbox *worker_bus_mailbox(struct worker *w);
// Has the stream of connection `id`, which is one of this worker's, end for `reason` (no effect where it has
// ended). Any thread. False when out of memory.
bool worker_end_stream(struct worker *w, uint64_t id, enum close_reason reason);
// Has up to `count` streams end for `reason`, in random order, that were opened at least `min_age_ms` ago. Any thread.
// False when out of memory.
bool worker_end_some(struct worker *w, uint32_t count, uint32_t min_age_ms, enum close_reason reason);
// For the bus to run in; the worker's until worker_destroy.
struct ev_loop *worker_loop(struct worker *w);
// Ends the thread and waits for it. Its mailboxes may still be posted to until the bus has stopped, too.
void worker_stop(struct worker *w);
// After worker_stop, or where the thread was never started. `w` may be NULL.
void worker_destroy(struct worker *w);

// Read by any thread.
const struct counters *worker_counters(const struct worker *w);
uint64_t worker_closes(const struct worker *w, enum close_reason reason);
// Monotonic milliseconds of the last tick of its loop.
uint64_t worker_alive_at(const struct worker *w);
