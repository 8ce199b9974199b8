// The way to the server that takes what is published: the one that the URL names, the master that sentinels
// know, or the owner of a slot in a cluster.
#pragma once

#include "common/redis_url.h"
#include "publisher-cli/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What an answer of a cluster says of where a command belongs.
enum route_advice {
    ROUTE_HERE,  // nothing: it is an answer like any other
    ROUTE_MOVED, // to another node, from now on
    ROUTE_ASK,   // to another node, this once, behind ASKING
    ROUTE_LATER, // to nobody just now; soon to somebody
};

enum route_advice route_advice(const struct redisReply *reply);

// Where MOVED or ASK sends: "MOVED SLOT HOST:PORT", an IPv6 address without brackets. Without a host it is
// the one that said so. False where it makes no sense.
bool route_read_place(const struct redisReply *reply, const char *same_host, char host[REDIS_HOST_SIZE],
                      unsigned short *port);

// False, with one line in `error`, for a URL that cannot be used. The others take no other.
bool route_supports(const struct redis_url *url, char *error, size_t error_size);

// Connects to that server; in a cluster to any node, which then says where to go. Errors as of
// connection_open.
struct connection *route_open(const struct redis_url *url, uint64_t timeout_ms, char *error,
                              size_t error_size);

// Connects to the node that `reply`, a MOVED or ASK that came over `from`, names.
struct connection *route_follow(const struct redis_url *url, const struct connection *from,
                                const struct redisReply *reply, uint64_t timeout_ms, char *error,
                                size_t error_size);

// Calls `visit` with a connection to each master of the cluster, until one returns false; it fails as `visit`
// does, or with one line in `error`. For other URLs it is the one of route_open.
bool route_each_master(const struct redis_url *url, uint64_t timeout_ms,
                       bool (*visit)(struct connection *, void *ctx, char *error, size_t error_size),
                       void *ctx, char *error, size_t error_size);
