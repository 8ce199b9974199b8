// Loads the names of all revocations (fanout/revocations.h) by SCAN at each node, after the channel of revocations was
// subscribed: a key is set before its message is published, so that what the channel has missed is found. The bus'
// thread alone.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/bus/cluster.h"

struct revocation_scan {
    struct bus_env *env;
    struct cluster *cluster;
    uint64_t load; // of env->revocations
    unsigned open; // nodes whose SCAN has not ended
    bool failed;   // one of them
    bool told;     // the reason was logged
    uint64_t
        due_ms; // when the next load may begin: after a failure, or when names that have expired are to go
};

// `is_subscribed`: the channel is, now. Begins a load where one is due. Called now and then.
void revocation_scan_tick(struct revocation_scan *s, bool is_subscribed);
