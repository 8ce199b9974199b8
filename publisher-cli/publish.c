#include "publisher-cli/publish.h"

#include "publisher-cli/connection.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Messages and bytes that may be on the way without an answer. Enough to hide the round trip, small enough to
// bound memory.
#define WINDOW_MESSAGES 256
#define WINDOW_BYTES (1 << 20)

struct publisher {
    struct connection *connection;
    bool is_durable, begun; // begun: the first durable event is through
    struct durable durable;
    size_t pending, pending_bytes;
    struct publisher_totals totals;
};

bool publisher_supports(const struct redis_url *url, char *error, size_t error_size)
{
    static const char *const unsupported[] = {
        [REDIS_URL_TLS] = "rediss:// (TLS)",
        [REDIS_URL_SENTINEL] = "redis+sentinel://",
        [REDIS_URL_CLUSTER] = "redis+cluster://",
    };

    if (url->user && url->password == NULL) {
        snprintf(error, error_size,
                 "there is a user but no password; a password alone is written redis://:PASSWORD@HOST");
        return false;
    }
    if (url->kind == REDIS_URL_TCP || url->kind == REDIS_URL_UNIX)
        return true;
    snprintf(error, error_size,
             "%s is not yet supported by sse-publish; use redis://HOST:PORT or redis+unix:///PATH",
             unsupported[url->kind]);
    return false;
}

struct publisher *publisher_create(const struct redis_url *url, uint64_t timeout_ms,
                                   const struct durable_settings *durable, char *error, size_t error_size)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));

    if (publisher == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    publisher->is_durable = durable != NULL;
    if (durable)
        durable_init(&publisher->durable, durable);
    publisher->connection = connection_open(url, timeout_ms, error, error_size);
    if (publisher->connection)
        return publisher;
    publisher_destroy(publisher);
    return NULL;
}

void publisher_destroy(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    connection_close(publisher->connection);
    free(publisher);
}

static void count(struct publisher_totals *totals, uint64_t receivers)
{
    if (totals->messages == 0 || receivers < totals->receivers_min)
        totals->receivers_min = receivers;
    if (receivers > totals->receivers_max)
        totals->receivers_max = receivers;
    totals->messages++;
}

// PUBLISH answers how many subscribers got the message; sse_publish the event's id before that.
static bool take(struct publisher *publisher, const struct redisReply *reply, char *error, size_t error_size)
{
    const char *remedy = NULL;

    if (reply->type == REDIS_REPLY_INTEGER && !publisher->is_durable) {
        count(&publisher->totals, (uint64_t)reply->integer);
        return true;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && publisher->is_durable &&
        reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_INTEGER) {
        count(&publisher->totals, (uint64_t)reply->element[1]->integer);
        snprintf(publisher->totals.last_id, sizeof(publisher->totals.last_id), "%s", reply->element[0]->str);
        return true;
    }
    if (publisher->is_durable && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0)
        remedy = "; sse-publish(1) has what its ACL must allow";
    connection_explain(publisher->connection,
                       reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer makes no sense", remedy,
                       error, error_size);
    return false;
}

// `reply` is taken, and may be NULL.
static bool take_and_free(struct publisher *publisher, struct redisReply *reply, char *error,
                          size_t error_size)
{
    bool ok = reply && take(publisher, reply, error, error_size);

    freeReplyObject(reply);
    return ok;
}

bool publisher_send(struct publisher *publisher, const char *channel, const char *payload, size_t len,
                    char *error, size_t error_size)
{
    const char *argv[DURABLE_ARGS_MAX] = {"PUBLISH", channel, payload};
    size_t lengths[DURABLE_ARGS_MAX] = {strlen("PUBLISH"), strlen(channel), len};
    int argc = 3;

    if (publisher->is_durable && !publisher->begun) {
        publisher->begun = true;
        return take_and_free(publisher,
                             durable_first(&publisher->durable, publisher->connection, channel, payload, len,
                                           error, error_size),
                             error, error_size);
    }
    if (publisher->is_durable)
        argc = durable_command(&publisher->durable, channel, payload, len, argv, lengths);
    if (!connection_append(publisher->connection, argc, argv, lengths, error, error_size))
        return false;
    publisher->pending++;
    publisher->pending_bytes += len;
    if (publisher->pending < WINDOW_MESSAGES && publisher->pending_bytes < WINDOW_BYTES)
        return true;
    return publisher_flush(publisher, error, error_size);
}

bool publisher_flush(struct publisher *publisher, char *error, size_t error_size)
{
    while (publisher->pending > 0) {
        if (!take_and_free(publisher, connection_reply(publisher->connection, error, error_size), error,
                           error_size))
            return false;
        publisher->pending--;
    }
    publisher->pending_bytes = 0;
    return true;
}

struct publisher_totals publisher_totals(const struct publisher *publisher)
{
    return publisher->totals;
}

enum install_result publisher_install(struct publisher *publisher, long long *version, char *error,
                                      size_t error_size)
{
    return install_library(publisher->connection, version, error, error_size);
}
