// The tier, and this gateway's part in keeping it level: announces this gateway, keeps the table of all (peers), asks
// `balance` on the main thread how many streams to end, and has the workers end them, for gateways with fewer streams
// to get. The table is filled by the bus' thread and guarded by a lock.
#pragma once

#include <ev.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/process/balance.h"
#include "gateway/process/peers.h"
#include "gateway/process/status.h"

enum rebalance_mode { REBALANCE_OFF, REBALANCE_ON, REBALANCE_DRY_RUN };
extern const char *const rebalance_mode_names[]; // in the order of the enum; NULL at the end

struct rebalance {
    struct status *status; // borrowed
    enum rebalance_mode mode;
    uint64_t run; // of this process, in its announcements
    pthread_mutex_t lock;
    struct peers peers; // guarded by `lock`

    // The main thread's alone.
    struct balance balance;
    struct ev_loop *loop;
    ev_timer tick;
    _Atomic bool is_running; // a round is going on; written by the main thread
};

// False where there are no random numbers, or no lock. `status` is borrowed.
bool rebalance_init(struct rebalance *r, struct status *status, enum rebalance_mode mode,
                    const struct balance_settings *settings);
// For bus_settings.
struct bus_tier rebalance_tier(struct rebalance *r);
// Decides on `loop`, the main thread's, from now on.
void rebalance_start(struct rebalance *r, struct ev_loop *loop);
// No effect where it was not started.
void rebalance_stop(struct rebalance *r);
// After the bus is destroyed. No effect where rebalance_init was not called, or failed.
void rebalance_deinit(struct rebalance *r);

// For the pages, on the main thread. Adds "peers" and "rebalance" to `page`, an object; false when out of memory.
bool rebalance_add_json(struct rebalance *r, json_t *page);

// Worked out with any mode: what a gateway has too much is of interest without rebalancing, too.
struct rebalance_figures {
    uint64_t gateways;    // that were heard lately, this one included
    uint64_t connections; // of those that take part
    uint64_t target, surplus;
    bool is_running;
};
struct rebalance_figures rebalance_figures(struct rebalance *r);
