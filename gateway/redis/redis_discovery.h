// Finds the server of a URL. Every redis_conn asks before each attempt. Connections with the same URL and
// loop share one discovery and so always go to the same server: with Sentinel they move together as soon as
// one of them learns of another master. The name of the connected server is resolved again every 5 to 10 s;
// where its addresses do not include the connected one twice in a row, all move, too. On the thread of the
// loop alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "common/redis_url.h"
#include "gateway/redis/redis_link.h"

struct redis_discovery;

// Embedded in each connection that asks.
struct redis_discovery_client {
    // The answer to redis_discovery_ask, maybe within that call: an address, or NULL and one line that says
    // why.
    void (*on_address)(void *ctx, const struct redis_address *address, const char *error);
    // Unasked: the server is not where `link` leads, for a reason in one line. The connection is to be
    // replaced.
    void (*on_moved)(void *ctx, const char *why);
    void *ctx;
    const struct redis_link *link; // the client's; borrowed
    bool asking;
    TAILQ_ENTRY(redis_discovery_client) in_discovery;
};

// Joins, or begins, the discovery of `url` (borrowed). NULL when out of memory.
struct redis_discovery *redis_discovery_join(struct ev_loop *loop, const struct redis_url *url,
                                             struct redis_discovery_client *client);
// on_address is not called any more. The last client that leaves ends the discovery.
void redis_discovery_leave(struct redis_discovery *discovery, struct redis_discovery_client *client);

void redis_discovery_ask(struct redis_discovery *discovery, struct redis_discovery_client *client);
