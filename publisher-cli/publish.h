// Publishes to Redis over one connection, with several commands on the way at a time.
#pragma once

#include "common/redis_url.h"
#include "publisher-cli/durable.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct publisher;

// What Redis has confirmed so far.
struct publisher_totals {
    uint64_t messages;
    uint64_t receivers_min, receivers_max; // subscribers that one message reached; both 0 with no message
    char last_id[48];                      // of the newest durable event; "" for none
};

// For one channel. Connects as route_open does. With `durable` (NULL for plain publishing) each event is kept
// in its channel's history. `url`, `channel`, and what `durable` points to, are borrowed until
// publisher_destroy.
struct publisher *publisher_create(const struct redis_url *url, const char *channel, uint64_t timeout_ms,
                                   const struct durable_settings *durable, char *error, size_t error_size);
void publisher_destroy(struct publisher *publisher);

// Sends one message (borrowed for the call), or keeps it until enough are together or publisher_flush is
// called. For a durable event `payload` is its data alone. False, with one line in `error`, where Redis
// refuses or is gone; the publisher is good for nothing but its totals then.
bool publisher_send(struct publisher *publisher, const char *payload, size_t len, char *error,
                    size_t error_size);

// Sends what is kept and waits for all answers. Errors as above.
bool publisher_flush(struct publisher *publisher, char *error, size_t error_size);

struct publisher_totals publisher_totals(const struct publisher *publisher);
