// Where the connections of one URL find their server. Every redis_conn asks before each attempt. All that
// have the same URL and loop share one route, so that they always go to the same server: with Sentinel, they
// move together as soon as one of them learns of another master. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "common/redis_url.h"
#include "gateway/redis/redis_link.h"

struct redis_route;

// One that asks for the way; embedded in what connects.
struct redis_follower {
    // The answer to redis_route_ask, maybe within that call: a place, or NULL and one line that says why not.
    void (*on_place)(void *ctx, const struct redis_place *place, const char *error);
    // Unasked: the server is known to be at `place` (again). A connection to another one is to be replaced.
    void (*on_moved)(void *ctx, const struct redis_place *place);
    void *ctx;
    bool asking;
    TAILQ_ENTRY(redis_follower) in_route;
};

// Joins, or begins, the route to `url` (borrowed). NULL when out of memory.
struct redis_route *redis_route_join(struct ev_loop *loop, const struct redis_url *url,
                                     struct redis_follower *follower);
// on_place is not called any more. The last one that leaves ends the route.
void redis_route_leave(struct redis_route *route, struct redis_follower *follower);

void redis_route_ask(struct redis_route *route, struct redis_follower *follower);

// What is found there must say itself that it is the master (ROLE): who named it may be behind.
bool redis_route_wants_master(const struct redis_route *route);
