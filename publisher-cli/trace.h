// Follows one event (--trace): gives it a trace of its own and a channel for reports, and gathers what gateways report
// of its delivery there.
#pragma once

#include "common/trace.h"
#include "publisher-cli/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_GATEWAY_SIZE 300

// What one worker of a gateway reports.
struct trace_delivery {
    char gateway[TRACE_GATEWAY_SIZE]; // its id
    unsigned worker, workers;         // which of how many that deliver the event
    uint64_t streams;
    int64_t read_at_us;   // Unix time, by the gateway's clock
    uint64_t duration_us; // from that read to the last write
};

struct trace {
    char parent[TRACEPARENT_LEN + 1], channel[TRACE_CHANNEL_LEN + 1];
    struct connection *listener;
    struct trace_delivery *deliveries;
    size_t count, gateways; // of them; gateways that reported in full
    int64_t sent_at_us;     // Unix time: when the event was sent; the caller's to set
    uint64_t publish_us;    // until Redis had answered; likewise
    bool is_cut;            // the listener was lost before all had reported
};

// Makes up the trace, and listens before anything is published.
bool trace_begin(struct trace *trace, const struct redis_target *target, struct failure *failure);
// Gathers reports until `gateways` have reported in full, at most `timeout_ms`.
bool trace_collect(struct trace *trace, uint64_t gateways, uint64_t timeout_ms, struct failure *failure);
void trace_end(struct trace *trace);
