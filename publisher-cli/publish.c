#include "publisher-cli/publish.h"

#include "common/buf.h"
#include "common/clock.h"
#include "publisher-cli/connection.h"
#include "publisher-cli/discovery.h"

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
    const struct redis_target *target; // borrowed
    const char *channel;               // borrowed
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

struct publisher *publisher_create(const struct redis_target *target, const char *channel,
                                   const struct durable_settings *durable, struct failure *failure)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);

    if (publisher == NULL) {
        (void)failure_out_of_memory(failure);
        return NULL;
    }
    publisher->target = target;
    publisher->channel = channel;
    publisher->is_cluster = target->url->kind == REDIS_URL_CLUSTER;
    publisher->is_durable = durable != NULL;
    if (durable)
        durable_init(&publisher->durable, channel, durable);
    publisher->connection = discovery_open(target, failure);
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
static bool take(struct publisher *publisher, const struct redisReply *reply, struct failure *failure)
{
    const char *remedy = NULL;

    if (reply->type == REDIS_REPLY_INTEGER && !publisher->is_durable) {
        count(&publisher->totals, (uint64_t)reply->integer);
        return true;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && publisher->is_durable &&
        reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_INTEGER) {
        count(&publisher->totals, (uint64_t)reply->element[1]->integer);
        snprintf(publisher->totals.last_id, sizeof publisher->totals.last_id, "%s", reply->element[0]->str);
        return true;
    }
    if (publisher->is_durable && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0)
        remedy = "; sse-publish(1) has what its ACL must allow";
    return connection_refused(publisher->connection,
                              reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer makes no sense",
                              remedy, failure);
}

// `reply` is taken, and may be NULL.
static bool take_and_free(struct publisher *publisher, struct redisReply *reply, struct failure *failure)
{
    bool ok = reply && take(publisher, reply, failure);

    freeReplyObject(reply);
    return ok;
}

// Gathers the command for one message.
static bool append(struct publisher *publisher, struct span payload, struct failure *failure)
{
    // Gateways of a cluster listen to the shard that has the channel.
    const char *verb = publisher->is_cluster ? "SPUBLISH" : "PUBLISH";
    struct command command = {0};
    if (publisher->is_durable) {
        durable_command(&publisher->durable, payload, &command);
    } else {
        command_add_text(&command, verb);
        command_add_text(&command, publisher->channel);
        command_add(&command, payload.bytes, payload.len);
    }
    return connection_append(publisher->connection, &command, failure);
}

// One message and its answer, while no other is on the way.
static struct redisReply *ask(struct publisher *publisher, struct span payload, struct failure *failure)
{
    if (publisher->is_durable && !publisher->begun)
        return durable_first(&publisher->durable, publisher->connection, payload, failure);
    if (!append(publisher, payload, failure))
        return NULL;
    return connection_reply(publisher->connection, failure);
}

// To another node, this once. `reply`, which named it, is taken; returns that node's answer.
static struct redisReply *ask_elsewhere(struct publisher *publisher, struct redisReply *reply,
                                        struct span payload, struct failure *failure)
{
    struct connection *here = publisher->connection,
                      *there = discovery_follow(publisher->target, here, reply, failure);

    freeReplyObject(reply);
    if (there == NULL)
        return NULL;
    reply = connection_ask(there, (const char *[]){"ASKING", NULL}, failure);
    if (reply) {
        freeReplyObject(reply);
        publisher->connection = there;
        reply = ask(publisher, payload, failure);
        publisher->connection = here;
    }
    connection_close(there);
    return reply;
}

// Goes to the node that `reply` names, for good.
static bool move(struct publisher *publisher, const struct redisReply *reply, struct failure *failure)
{
    struct connection *there = discovery_follow(publisher->target, publisher->connection, reply, failure);

    if (there == NULL)
        return false;
    connection_close(publisher->connection);
    publisher->connection = there;
    return true;
}

// What an answer says of where its message belongs. A server that lacks function or script, as the new owner
// of a slot may, is one that takes it later: once it has been asked as for the first event.
static enum redirection redirection_of(struct publisher *publisher, const struct redisReply *reply)
{
    if (publisher->is_durable && durable_unknown(reply)) {
        publisher->begun = false;
        return REDIRECTION_LATER;
    }
    return publisher->is_cluster ? discovery_redirection(reply) : REDIRECTION_NONE;
}

// Makes ready for another try after `reply`. False, with one line in `error`, where there is none.
static bool prepare_again(struct publisher *publisher, const struct redisReply *reply,
                          enum redirection redirection, uint64_t deadline, struct failure *failure)
{
    bool moved = redirection == REDIRECTION_MOVED && move(publisher, reply, failure);

    // The node that is named may be dead, and its replica about to take over.
    if (!moved && clock_monotonic_ms() < deadline)
        (void)poll(NULL, 0, RETRY_MS);
    return moved || clock_monotonic_ms() < deadline;
}

// One message to whichever node takes it, for as long as one answer may take.
static bool send_wherever(struct publisher *publisher, struct span payload, struct failure *failure)
{
    uint64_t deadline = clock_monotonic_ms() + publisher->target->timeout_ms;

    for (;;) {
        struct redisReply *reply = ask(publisher, payload, failure);
        enum redirection redirection = reply ? redirection_of(publisher, reply) : REDIRECTION_NONE;
        bool ok;

        if (redirection == REDIRECTION_ASK) {
            reply = ask_elsewhere(publisher, reply, payload, failure);
            redirection = reply ? redirection_of(publisher, reply) : REDIRECTION_NONE;
        }
        if (redirection == REDIRECTION_NONE ||
            (redirection == REDIRECTION_LATER && clock_monotonic_ms() >= deadline)) {
            ok = take_and_free(publisher, reply, failure);
            publisher->begun = publisher->begun || ok;
            return ok;
        }
        ok = prepare_again(publisher, reply, redirection, deadline, failure);
        freeReplyObject(reply);
        if (!ok && redirection == REDIRECTION_MOVED)
            return false;
    }
}

static bool may_go_again(const struct publisher *publisher)
{
    return publisher->is_cluster || publisher->is_durable;
}

// Remembers a message that goes out, where it may have to go out again.
static bool keep(struct publisher *publisher, struct span payload, struct failure *failure)
{
    publisher->sent[publisher->pending] = (struct sent){.start = publisher->kept.len, .len = payload.len};
    if (!may_go_again(publisher) || buf_append(&publisher->kept, payload.bytes, payload.len))
        return true;
    (void)failure_out_of_memory(failure);
    return false;
}

bool publisher_send(struct publisher *publisher, struct span payload, struct failure *failure)
{
    if (!publisher->begun && may_go_again(publisher))
        return send_wherever(publisher, payload, failure);
    if (!keep(publisher, payload, failure) || !append(publisher, payload, failure))
        return false;
    publisher->pending++;
    publisher->pending_bytes += payload.len;
    if (publisher->pending < WINDOW_MESSAGES && publisher->pending_bytes < WINDOW_BYTES)
        return true;
    return publisher_flush(publisher, failure);
}

static bool take_answers(struct publisher *publisher, struct failure *failure)
{
    for (size_t i = 0; i < publisher->pending; i++) {
        struct redisReply *reply = connection_reply(publisher->connection, failure);

        publisher->sent[i].again = reply && redirection_of(publisher, reply) != REDIRECTION_NONE;
        if (publisher->sent[i].again)
            freeReplyObject(reply);
        else if (!take_and_free(publisher, reply, failure))
            return false;
    }
    return true;
}

bool publisher_flush(struct publisher *publisher, struct failure *failure)
{
    if (!take_answers(publisher, failure))
        return false;
    // In order: all of them have one slot and need one function, so that from the first that was sent away,
    // all were.
    for (size_t i = 0; i < publisher->pending; i++) {
        const struct sent *sent = &publisher->sent[i];

        if (sent->again &&
            !send_wherever(publisher, (struct span){publisher->kept.data + sent->start, sent->len}, failure))
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
