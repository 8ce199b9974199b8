#include "publisher-cli/route.h"

#include "common/clock.h"

#include <hiredis/hiredis.h>
#include <poll.h>

// Between two tries where a server is not there, or says "later".
#define RETRY_MS 20

bool route_open(struct route *route, const struct redis_target *target, const char *channel,
                const struct durable_settings *durable, struct failure *failure)
{
    route->target = target;
    route->channel = channel;
    route->is_cluster = target->url->kind == REDIS_URL_CLUSTER;
    route->is_durable = durable != NULL;
    if (durable)
        durable_init(&route->durable, channel, durable);
    route->connection = discovery_open(target, failure);
    return route->connection != NULL;
}

void route_close(struct route *route)
{
    connection_close(route->connection);
    route->connection = NULL;
}

void route_drop(struct route *route)
{
    route_close(route);
    route->begun = false;
}

void route_check(struct route *route)
{
    if (!(route->connection && connection_is_usable(route->connection)))
        route_drop(route);
}

size_t route_batch(const struct route *route)
{
    return route->is_durable ? durable_batch(&route->durable) : 1;
}

bool route_append(struct route *route, const struct durable_events *events, struct failure *failure)
{
    struct command command;
    command_begin(&command);
    if (route->is_durable) {
        durable_command(&route->durable, events, &command);
    } else {
        command_add_text(&command, route->is_sharded ? "SPUBLISH" : "PUBLISH");
        command_add_text(&command, route->channel);
        command_add(&command, events->datas->bytes, events->datas->len);
    }
    return connection_append(route->connection, &command, failure);
}

// A connection, while nothing is on the way.
static bool connect_until(struct route *route, uint64_t deadline, struct failure *failure)
{
    if (route->connection)
        route_check(route);
    while (route->connection == NULL) {
        route->connection = discovery_open(route->target, failure);
        if (route->connection == NULL && clock_monotonic_ms() >= deadline)
            return false;
        if (route->connection == NULL)
            (void)poll(NULL, 0, RETRY_MS);
    }
    return true;
}

// Sends the events and returns the answer, while no other command is on the way.
static struct redisReply *ask(struct route *route, struct durable_events *events, bool *is_unknown,
                              struct failure *failure)
{
    struct connection *connection = route->connection;
    struct redisReply *reply = NULL;
    uint64_t before = connection_gathered(connection);
    size_t batch = route_batch(route);
    if (route->begun && events->count > batch)
        events->count = batch;
    if (route->is_durable && !route->begun)
        reply = durable_first(&route->durable, connection, events, failure);
    else if (route_append(route, events, failure))
        reply = connection_reply(connection, failure);
    // The command gathered last is the events' own, or one that durable_first sends before it.
    if (reply == NULL && connection_gathered(connection) > before &&
        connection_gathered(connection) == connection_sent(connection))
        *is_unknown = true;
    return reply;
}

// Sends the events to the node that `reply` (an ASK, taken) names; later ones go to the old node.
// Returns that node's answer.
static struct redisReply *ask_elsewhere(struct route *route, struct redisReply *reply,
                                        struct durable_events *events, bool *is_unknown,
                                        struct failure *failure)
{
    struct connection *here = route->connection,
                      *there = discovery_follow(route->target, here, reply, failure);
    freeReplyObject(reply);
    if (there == NULL)
        return NULL;
    reply = connection_ask(there, (const char *[]){"ASKING", NULL}, failure);
    if (reply) {
        freeReplyObject(reply);
        route->connection = there;
        reply = ask(route, events, is_unknown, failure);
        route->connection = here;
    }
    connection_close(there);
    return reply;
}

enum redirection route_redirection(struct route *route, const struct redisReply *reply)
{
    if (route->is_durable && durable_unknown(reply)) {
        route->begun = false;
        return REDIRECTION_LATER;
    }
    enum redirection redirection = discovery_redirection(reply);
    return route->is_cluster || redirection == REDIRECTION_LATER ? redirection : REDIRECTION_NONE;
}

// Connects to the node that `reply` names, for all messages from now on. A node that cannot be reached may be
// dead, and its replica about to take over: then the current node is asked again. `failure` gets the reason,
// should all tries fail.
static void move(struct route *route, const struct redisReply *reply, struct failure *failure)
{
    const char *here = connection_name(route->connection);
    struct connection *there = discovery_follow(route->target, route->connection, reply, failure);
    if (there == NULL) {
        (void)poll(NULL, 0, RETRY_MS);
        return;
    }
    (void)failure_set(failure, "%s sends to another node, which does the same: %.100s", here, reply->str);
    connection_close(route->connection);
    route->connection = there;
}

struct redisReply *route_ask(struct route *route, struct durable_events *events, bool *is_unknown,
                             struct failure *failure)
{
    uint64_t deadline = clock_monotonic_ms() + route->target->timeout_ms;
    bool may_repeat = route->is_durable && durable_has_key(&route->durable);
    while (connect_until(route, deadline, failure)) {
        struct redisReply *reply = ask(route, events, is_unknown, failure);
        if (reply && route_redirection(route, reply) == REDIRECTION_ASK)
            reply = ask_elsewhere(route, reply, events, is_unknown, failure);
        enum redirection redirection = reply ? route_redirection(route, reply) : REDIRECTION_LATER;
        bool is_late = clock_monotonic_ms() >= deadline;
        if (redirection == REDIRECTION_NONE || (reply && redirection == REDIRECTION_LATER && is_late)) {
            route->begun = route->begun || reply->type != REDIS_REPLY_ERROR;
            return reply;
        }
        if (redirection == REDIRECTION_MOVED)
            move(route, reply, failure);
        else if (!is_late)
            (void)poll(NULL, 0, RETRY_MS);
        freeReplyObject(reply);
        if (is_late || (*is_unknown && !may_repeat))
            return NULL;
    }
    return NULL;
}
