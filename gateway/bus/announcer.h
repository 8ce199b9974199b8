// Announces this gateway at ANNOUNCEMENT_CHANNEL (common/announcement.h), and hears the others there. What is said, and
// what becomes of what is heard, is the callbacks' (struct bus_tier). Announcements go out by the canary's
// connection of the node that has the channel; one that is lost is not repeated, since the next follows. Without the
// right to the channel nothing is announced or heard, which is logged once. The bus' thread alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/bus/bus_tier.h"
#include "gateway/bus/cluster.h"

struct announcer {
    const struct bus_tier *tier; // borrowed
    struct bus_env *env;
    struct cluster *cluster;
    ev_timer timer;
    uint64_t random;  // state of common/jitter.h
    bool told_denied; // the refusal of Redis was logged
};

// Subscribes, and begins to announce within a second. `tier`->announce may be NULL: no effect then. False when out of
// memory.
bool announcer_start(struct announcer *a, const struct bus_tier *tier, struct bus_env *env,
                     struct cluster *cluster);
// Says that this gateway leaves, as far as that can be said without waiting. No effect where it was not started.
void announcer_stop(struct announcer *a);
