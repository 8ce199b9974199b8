// Publishes what workers report of traced events (MAIL_TRACED), at the channel that the event named: one JSON object
// for each worker. At most TRACE_REPORTS_PER_S in a second; more are counted. The bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/bus/cluster.h"
#include "gateway/threads/mailbox.h"

#define TRACE_REPORTS_PER_S 64u // one event at all workers of the largest gateway

struct trace_reports {
    struct bus_env *env;
    struct cluster *cluster;
    const char *gateway_id; // borrowed
    uint64_t second;        // of the monotonic clock
    unsigned sent;          // in that second
    bool told_denied;       // the refusal of Redis was logged
};

void trace_reports_start(struct trace_reports *t);
// `mail` is a MAIL_TRACED; what it refers to is the caller's.
void trace_reports_send(struct trace_reports *t, const struct mail *mail);
