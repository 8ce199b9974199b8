// Publishes to Redis over one blocking connection of its own, with several commands on the way at a time.
#pragma once

#include "common/redis_url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct publisher;

// What Redis has confirmed so far.
struct publisher_totals {
    uint64_t messages;
    uint64_t receivers_min, receivers_max; // subscribers that one message reached; both 0 with no message
};

// False, with one line in `error`, for a URL that this publisher cannot use. publisher_create takes no other.
bool publisher_supports(const struct redis_url *url, char *error, size_t error_size);

// Connects, authenticates, selects the database. Connecting and each answer may take `timeout_ms`. NULL, with
// one line in `error`, on failure; the line never holds the password. Writes to a connection that is gone
// raise SIGPIPE: have it ignored.
struct publisher *publisher_create(const struct redis_url *url, uint64_t timeout_ms, char *error,
                                   size_t error_size);
void publisher_destroy(struct publisher *publisher);

// Sends one message (all borrowed for the call), or keeps it until enough are together or publisher_flush is
// called. False, with one line in `error`, where Redis refuses or is gone; the publisher is good for nothing
// but its totals then.
bool publisher_send(struct publisher *publisher, const char *channel, const char *payload, size_t len,
                    char *error, size_t error_size);

// Sends what is kept and waits for all answers. Errors as above.
bool publisher_flush(struct publisher *publisher, char *error, size_t error_size);

struct publisher_totals publisher_totals(const struct publisher *publisher);
