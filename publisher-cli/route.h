// The way of commands that publish to the server that takes them: made anew where the connection is lost, and by way of
// MOVED and ASK in a cluster.
#pragma once

#include "publisher-cli/connection.h"
#include "publisher-cli/discovery.h"
#include "publisher-cli/durable.h"

#include <stdbool.h>

struct route {
    const struct redis_target *target; // borrowed
    const char *channel;               // borrowed
    struct connection *connection;     // NULL: lost
    bool is_durable, is_cluster;
    bool is_sharded; // of plain messages: SPUBLISH
    bool begun;      // a message was taken, so that server and command for the others are known
    struct durable durable;
};

// `durable` is NULL for plain messages. Connects as discovery_open does; false on failure.
bool route_open(struct route *route, const struct redis_target *target, const char *channel,
                const struct durable_settings *durable, struct failure *failure);
void route_close(struct route *route);

// Lets go of the connection. The next server may need another command.
void route_drop(struct route *route);
// The same, where the connection is of no use any more. To be called while no answer is due.
void route_check(struct route *route);

// How many of several events one command takes.
size_t route_batch(const struct route *route);

// Gathers the command for the events.
bool route_append(struct route *route, const struct durable_events *events, struct failure *failure);

// Where an answer sends its command. A server that lacks the function or script, as the new owner of a slot
// may, takes the command later, after durable_first. Outside of a cluster no redirection is followed.
enum redirection route_redirection(struct route *route, const struct redisReply *reply);

// Sends the events to the server that takes them, trying again for as long as one answer may take, and returns its answer,
// while no other command is on the way. Lowers events->count to what one command takes. `*is_unknown` where a server
// may have taken them without having said so; then only an event with a key is sent again.
struct redisReply *route_ask(struct route *route, struct durable_events *events, bool *is_unknown,
                             struct failure *failure);
