// Finds the server to publish to: the one that the URL names, the master that sentinels know, or the owner of
// a slot in a cluster.
#pragma once

#include "common/redis_url.h"
#include "publisher-cli/connection.h"

#include <stdbool.h>

// Where an answer sends its command.
enum redirection {
    REDIRECTION_NONE,  // nothing: it is an answer like any other
    REDIRECTION_MOVED, // to another node, from now on
    REDIRECTION_ASK,   // to another node, this once, behind ASKING
    REDIRECTION_LATER, // to no node at the moment: try again soon
};

enum redirection discovery_redirection(const struct redisReply *reply);

// Where MOVED or ASK sends: "MOVED SLOT HOST:PORT", an IPv6 address without brackets. Without a host it is
// `same_host`, that of the node that answered. False where the text makes no sense.
bool discovery_read_address(const struct redisReply *reply, const char *same_host, char host[REDIS_HOST_SIZE],
                            unsigned short *port);

// Connects to that server; in a cluster to any node, which then says where to go. NULL on failure.
struct connection *discovery_open(const struct redis_target *target, struct failure *failure);

// Connects to the node that `reply`, a MOVED or ASK that came over `from`, names. NULL on failure.
struct connection *discovery_follow(const struct redis_target *target, const struct connection *from,
                                    const struct redisReply *reply, struct failure *failure);

// Calls `visit` with a connection to each master of the cluster, until one returns false. For other URLs
// `visit` gets the connection of discovery_open.
bool discovery_each_master(const struct redis_target *target,
                           bool (*visit)(struct connection *, void *ctx, struct failure *failure), void *ctx,
                           struct failure *failure);
