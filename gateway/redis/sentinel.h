// Finds the master of a URL by its sentinels (redis.io, "Guidelines for Redis clients with support for
// Redis Sentinel"). A round asks them in turn until one answers:
//
//      ask ---> [ sentinel 1 ] -down-> [ sentinel 2 ] -answers-> address; stays subscribed to +switch-master
//                                                     -down----> one line that says why
//
// A sentinel that is cut off from the others goes on naming the old master. So an answer from before the last
// known failover (a lower epoch) counts only where no sentinel of the round has a better one, and every 3 to
// 6 s a round begins with the next sentinel. On the bus' thread alone.
#pragma once

#include <ev.h>

#include "gateway/redis/redis_link.h"

struct sentinel;

// `url` is borrowed. `on_result` is called at the end of each round, also of rounds that sentinel_ask did not
// begin: with an address, or NULL and one line. NULL when out of memory.
struct sentinel *sentinel_create(struct ev_loop *loop, const struct redis_url *url,
                                 void (*on_result)(void *ctx, const struct redis_address *address,
                                                   const char *error),
                                 void *ctx);
void sentinel_destroy(struct sentinel *s); // may be NULL
// Begins a round, unless one is under way. on_result is not called before this returns.
void sentinel_ask(struct sentinel *s);
