#include "publisher-cli/publish.h"

#include "common/buf.h"
#include "common/clock.h"
#include "publisher-cli/connection.h"
#include "publisher-cli/route.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Messages and bytes that may be on the way without an answer. Enough to hide the round trip, small enough to
// bound memory.
#define WINDOW_MESSAGES 256
#define WINDOW_BYTES (1 << 20)
// Between two tries where a cluster says "later".
#define RETRY_MS 20

// A message on the way: its payload is at [start, start + len) of `kept`.
struct sent {
    size_t start, len;
    bool again; // the server says that it belongs elsewhere, or lacks the function
};

struct publisher {
    const struct redis_url *url; // borrowed
    const char *channel;         // borrowed
    uint64_t timeout_ms;
    struct connection *connection;
    bool is_durable, is_cluster;
    bool begun; // the first event is through, so that it is known how and where the others go
    struct durable durable;
    size_t pending;
    struct sent sent[WINDOW_MESSAGES];
    size_t pending_bytes;
    struct buf kept; // nothing where no message may have to go again
    struct publisher_totals totals;
};

struct publisher *publisher_create(const struct redis_url *url, const char *channel, uint64_t timeout_ms,
                                   const struct durable_settings *durable, char *error, size_t error_size)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));

    if (publisher == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    publisher->url = url;
    publisher->channel = channel;
    publisher->is_cluster = url->kind == REDIS_URL_CLUSTER;
    publisher->timeout_ms = timeout_ms;
    publisher->is_durable = durable != NULL;
    if (durable)
        durable_init(&publisher->durable, durable);
    publisher->connection = route_open(url, timeout_ms, error, error_size);
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
    buf_free(&publisher->kept);
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

// Gathers the command for one message.
static bool append(struct publisher *publisher, const char *payload, size_t len, char *error,
                   size_t error_size)
{
    // Gateways of a cluster listen to the shard that has the channel.
    const char *verb = publisher->is_cluster ? "SPUBLISH" : "PUBLISH";
    const char *argv[DURABLE_ARGS_MAX] = {verb, publisher->channel, payload};
    size_t lengths[DURABLE_ARGS_MAX] = {strlen(verb), strlen(publisher->channel), len};
    int argc = 3;

    if (publisher->is_durable)
        argc = durable_command(&publisher->durable, publisher->channel, payload, len, argv, lengths);
    return connection_append(publisher->connection, argc, argv, lengths, error, error_size);
}

// One message and its answer, while no other is on the way.
static struct redisReply *ask(struct publisher *publisher, const char *payload, size_t len, char *error,
                              size_t error_size)
{
    if (publisher->is_durable && !publisher->begun)
        return durable_first(&publisher->durable, publisher->connection, publisher->channel, payload, len,
                             error, error_size);
    if (!append(publisher, payload, len, error, error_size))
        return NULL;
    return connection_reply(publisher->connection, error, error_size);
}

// To another node, this once. `reply`, which named it, is taken; returns that node's answer.
static struct redisReply *ask_elsewhere(struct publisher *publisher, struct redisReply *reply,
                                        const char *payload, size_t len, char *error, size_t error_size)
{
    struct connection *here = publisher->connection,
                      *there =
                          route_follow(publisher->url, here, reply, publisher->timeout_ms, error, error_size);

    freeReplyObject(reply);
    if (there == NULL)
        return NULL;
    reply = connection_ask(there, 1, (const char *[]){"ASKING"}, error, error_size);
    if (reply) {
        freeReplyObject(reply);
        publisher->connection = there;
        reply = ask(publisher, payload, len, error, error_size);
        publisher->connection = here;
    }
    connection_close(there);
    return reply;
}

// Goes to the node that `reply` names, for good.
static bool move(struct publisher *publisher, const struct redisReply *reply, char *error, size_t error_size)
{
    struct connection *there =
        route_follow(publisher->url, publisher->connection, reply, publisher->timeout_ms, error, error_size);

    if (there == NULL)
        return false;
    connection_close(publisher->connection);
    publisher->connection = there;
    return true;
}

// What an answer says of where its message belongs. A server that lacks function or script, as the new owner
// of a slot may, is one that takes it later: once it has been asked as for the first event.
static enum route_advice advice_of(struct publisher *publisher, const struct redisReply *reply)
{
    if (publisher->is_durable && durable_unknown(reply)) {
        publisher->begun = false;
        return ROUTE_LATER;
    }
    return publisher->is_cluster ? route_advice(reply) : ROUTE_HERE;
}

// Makes ready for another try after `reply`. False, with one line in `error`, where there is none.
static bool prepare_again(struct publisher *publisher, const struct redisReply *reply,
                          enum route_advice advice, uint64_t deadline, char *error, size_t error_size)
{
    bool moved = advice == ROUTE_MOVED && move(publisher, reply, error, error_size);

    // The node that is named may be dead, and its replica about to take over.
    if (!moved && clock_monotonic_ms() < deadline)
        (void)poll(NULL, 0, RETRY_MS);
    return moved || clock_monotonic_ms() < deadline;
}

// One message to whichever node takes it, for as long as one answer may take.
static bool send_wherever(struct publisher *publisher, const char *payload, size_t len, char *error,
                          size_t error_size)
{
    uint64_t deadline = clock_monotonic_ms() + publisher->timeout_ms;

    for (;;) {
        struct redisReply *reply = ask(publisher, payload, len, error, error_size);
        enum route_advice advice = reply ? advice_of(publisher, reply) : ROUTE_HERE;
        bool ok;

        if (advice == ROUTE_ASK) {
            reply = ask_elsewhere(publisher, reply, payload, len, error, error_size);
            advice = reply ? advice_of(publisher, reply) : ROUTE_HERE;
        }
        if (advice == ROUTE_HERE || (advice == ROUTE_LATER && clock_monotonic_ms() >= deadline)) {
            ok = take_and_free(publisher, reply, error, error_size);
            publisher->begun = publisher->begun || ok;
            return ok;
        }
        ok = prepare_again(publisher, reply, advice, deadline, error, error_size);
        freeReplyObject(reply);
        if (!ok && advice == ROUTE_MOVED)
            return false;
    }
}

static bool may_go_again(const struct publisher *publisher)
{
    return publisher->is_cluster || publisher->is_durable;
}

// Remembers a message that goes out, where it may have to go out again.
static bool keep(struct publisher *publisher, const char *payload, size_t len, char *error, size_t error_size)
{
    publisher->sent[publisher->pending] = (struct sent){.start = publisher->kept.len, .len = len};
    if (!may_go_again(publisher) || buf_append(&publisher->kept, payload, len))
        return true;
    snprintf(error, error_size, "out of memory");
    return false;
}

bool publisher_send(struct publisher *publisher, const char *payload, size_t len, char *error,
                    size_t error_size)
{
    if (!publisher->begun && may_go_again(publisher))
        return send_wherever(publisher, payload, len, error, error_size);
    if (!keep(publisher, payload, len, error, error_size) ||
        !append(publisher, payload, len, error, error_size))
        return false;
    publisher->pending++;
    publisher->pending_bytes += len;
    if (publisher->pending < WINDOW_MESSAGES && publisher->pending_bytes < WINDOW_BYTES)
        return true;
    return publisher_flush(publisher, error, error_size);
}

static bool take_answers(struct publisher *publisher, char *error, size_t error_size)
{
    for (size_t i = 0; i < publisher->pending; i++) {
        struct redisReply *reply = connection_reply(publisher->connection, error, error_size);

        publisher->sent[i].again = reply && advice_of(publisher, reply) != ROUTE_HERE;
        if (publisher->sent[i].again)
            freeReplyObject(reply);
        else if (!take_and_free(publisher, reply, error, error_size))
            return false;
    }
    return true;
}

bool publisher_flush(struct publisher *publisher, char *error, size_t error_size)
{
    if (!take_answers(publisher, error, error_size))
        return false;
    // In order: all of them have one slot and need one function, so that from the first that was sent away,
    // all were.
    for (size_t i = 0; i < publisher->pending; i++) {
        const struct sent *sent = &publisher->sent[i];

        if (sent->again &&
            !send_wherever(publisher, publisher->kept.data + sent->start, sent->len, error, error_size))
            return false;
    }
    publisher->pending = publisher->pending_bytes = 0;
    buf_clear(&publisher->kept);
    return true;
}

struct publisher_totals publisher_totals(const struct publisher *publisher)
{
    return publisher->totals;
}
