// The values that all parts of the bus share; filled once by bus_create. The bus' thread alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/bus/channels.h"
#include "gateway/bus/delivery.h"
#include "gateway/fanout/counters.h"

struct bus_env {
    struct ev_loop *loop;
    struct channels *channels;
    struct delivery *delivery;
    struct counters *counters;
    const char *client_name;    // CLIENT SETNAME
    size_t max_message;         // bytes
    bool sharded;               // sharded Pub/Sub
    const char *const *durable; // patterns of channels that may have a history
    size_t durable_count;
    bool asks;                 // workers may ask questions (questions.h)
    bool revokes;              // REVOCATION_CHANNEL is subscribed
    bool short_of_memory;      // a position query was not sent: cluster_tick has it sent
    uint64_t position_queries; // numbers that were given to position queries, at all nodes
};
