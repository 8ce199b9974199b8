#include "gateway/process/capacity.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "common/options.h"

#define STANDARD_STREAMS 3u
#define LOOP 2u     // its epoll, and the eventfd that wakes it
#define LISTENER 2u // its socket, and the reserve that it refuses with
// Connections to the admin listener, files that are read for a moment, what a parent left open.
#define OTHERS 32u
// Subscriber, canary, history, and a history at another node while a slot moves.
#define NODE_CONNECTIONS 4u
// Where workers ask questions: these, and those at another node while a slot moves.
#define NODE_QUESTIONS 2u
// A cluster's size is not known at the start. A larger one takes places of streams.
#define CLUSTER_NODES 64u
#define DISCOVERY 1u // a sentinel, or a node that is asked for the map of slots
// A name is looked up in a thread: an eventfd, and a file or a socket or two of the resolver. Connections
// that find no descriptor for that try again, so not all of them need one at once.
#define LOOKUP 4u
#define LOOKUPS_MAX 16u
// Connections without a stream: requests that are read, refusals that are taken, idle keep-alive. There is
// always room for STREAMLESS_MIN of them, and for a burst of refusals where the limit has it.
#define STREAMLESS_MIN 64u
#define STREAMLESS_USUAL 1024u

uint64_t capacity_reserved(const struct capacity_needs *needs)
{
    uint64_t nodes = needs->redis == REDIS_URL_CLUSTER ? CLUSTER_NODES : 1;
    uint64_t connections = nodes * (NODE_CONNECTIONS + (needs->asks ? NODE_QUESTIONS : 0)) + DISCOVERY;
    uint64_t lookups = connections < LOOKUPS_MAX ? connections : LOOKUPS_MAX;
    uint64_t main = LOOP + LISTENER, bus = LOOP + connections + lookups * LOOKUP;
    return STANDARD_STREAMS + OTHERS + main + bus + needs->workers * (LOOP + needs->listeners * LISTENER);
}

bool capacity_share(uint64_t limit, uint64_t reserved, uint64_t asked, struct capacity *out, char *error,
                    size_t error_size)
{
    uint64_t wanted = asked == OPTION_UNSET ? 1 : asked;
    uint64_t room = limit > reserved ? limit - reserved : 0;
    if (room < wanted + STREAMLESS_MIN) {
        snprintf(
            error, error_size,
            "%" PRIu64 " streams need %" PRIu64 " open files (%" PRIu64
            " of them for workers, listeners, Redis and connections that have no stream yet), but %" PRIu64
            " are allowed; raise the limit (ulimit -n, LimitNOFILE=)%s",
            wanted, wanted + reserved + STREAMLESS_MIN, reserved + STREAMLESS_MIN, limit,
            asked == OPTION_UNSET ? " or lower --workers" : " or lower --max-connections");
        return false;
    }
    uint64_t kept = room / 16 < STREAMLESS_MIN ? STREAMLESS_MIN : room / 16;
    uint64_t streams =
        asked != OPTION_UNSET ? asked : room - (kept < STREAMLESS_USUAL ? kept : STREAMLESS_USUAL);
    streams = streams < CAPACITY_STREAMS_MAX ? streams : CAPACITY_STREAMS_MAX;
    uint64_t most = streams / 4 > STREAMLESS_USUAL ? streams / 4 : STREAMLESS_USUAL;
    *out = (struct capacity){.streams = streams, .streamless = room - streams < most ? room - streams : most};
    return true;
}

uint64_t capacity_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // what is in force is read below
    }
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}
