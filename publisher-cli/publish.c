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
// Between two tries where a server is not there, or says "later".
#define RETRY_MS 20

// A message on the way: its payload is at [start, start + len) of `kept`, and its command ended at `end` of
// what the connection gathered.
struct sent {
    size_t start, len;
    uint64_t end;
    bool again; // send it again: Redis has certainly not taken it, since it refused it or never got all of it
};

struct publisher {
    const struct redis_target *target; // borrowed
    const char *channel;               // borrowed
    struct connection *connection;     // NULL: lost
    bool is_durable, is_cluster, is_sharded;
    bool begun; // a message was taken, so that server and command for the others are known
    struct durable durable;
    uint64_t given; // messages, of which the last `pending` are on the way
    size_t pending;
    struct sent sent[WINDOW_MESSAGES];
    size_t pending_bytes;
    struct buf kept;
    struct publisher_totals totals;
};

struct publisher *publisher_create(const struct publisher_settings *settings, struct failure *failure)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        (void)failure_out_of_memory(failure);
        return NULL;
    }
    publisher->target = settings->target;
    publisher->channel = settings->channel;
    publisher->is_cluster = settings->target->url->kind == REDIS_URL_CLUSTER;
    publisher->is_sharded = settings->is_sharded;
    publisher->is_durable = settings->durable != NULL;
    if (settings->durable)
        durable_init(&publisher->durable, settings->channel, settings->durable);
    publisher->connection = discovery_open(settings->target, failure);
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

static bool is_confirmation(const struct publisher *publisher, const struct redisReply *reply)
{
    if (!publisher->is_durable)
        return reply->type == REDIS_REPLY_INTEGER;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_INTEGER;
}

// The ACL rights that publishing needs, for an error message.
static const char *rights(const struct publisher *publisher)
{
    if (publisher->is_durable)
        return "; sse-publish(1) has what its ACL must allow";
    return publisher->is_sharded ? "; the ACL of this user must allow it: +spublish and &CHANNEL"
                                 : "; the ACL of this user must allow it: +publish and &CHANNEL";
}

// The answer to message `number`, which is taken. PUBLISH answers how many subscribers got the message;
// sse_publish the event's id before that.
static bool take(struct publisher *publisher, uint64_t number, struct redisReply *reply,
                 struct failure *failure)
{
    struct publisher_totals *totals = &publisher->totals;
    bool ok = is_confirmation(publisher, reply);
    if (ok && publisher->is_durable)
        snprintf(totals->last_id, sizeof totals->last_id, "%s", reply->element[0]->str);
    if (ok)
        count(totals, (uint64_t)(publisher->is_durable ? reply->element[1] : reply)->integer);
    if (!ok && totals->refused == 0) { // the first counts: what follows may be refused for the same
        bool is_error = reply->type == REDIS_REPLY_ERROR;
        const char *remedy = is_error && strncmp(reply->str, "NOPERM", 6) == 0 ? rights(publisher) : NULL;
        totals->refused = number;
        (void)connection_refused(publisher->connection, is_error ? reply->str : "its answer makes no sense",
                                 remedy, failure);
    }
    freeReplyObject(reply);
    return ok;
}

// Gathers the command for one message.
static bool append(struct publisher *publisher, struct span payload, struct failure *failure)
{
    struct command command = {0};
    if (publisher->is_durable) {
        durable_command(&publisher->durable, payload, &command);
    } else {
        command_add_text(&command, publisher->is_sharded ? "SPUBLISH" : "PUBLISH");
        command_add_text(&command, publisher->channel);
        command_add(&command, payload.bytes, payload.len);
    }
    return connection_append(publisher->connection, &command, failure);
}

static void drop_connection(struct publisher *publisher)
{
    connection_close(publisher->connection);
    publisher->connection = NULL;
    publisher->begun = false; // another server may need another command
}

// A connection, while nothing is on the way.
static bool connect_until(struct publisher *publisher, uint64_t deadline, struct failure *failure)
{
    if (publisher->connection && !connection_is_usable(publisher->connection))
        drop_connection(publisher);
    while (publisher->connection == NULL) {
        publisher->connection = discovery_open(publisher->target, failure);
        if (publisher->connection == NULL && clock_monotonic_ms() >= deadline)
            return false;
        if (publisher->connection == NULL)
            (void)poll(NULL, 0, RETRY_MS);
    }
    return true;
}

// Sends one message and returns its answer, while no other is on the way. Where that is NULL, and the server
// may have taken the message nevertheless, `number` is noted as unknown in the totals.
static struct redisReply *ask(struct publisher *publisher, uint64_t number, struct span payload,
                              struct failure *failure)
{
    struct connection *connection = publisher->connection;
    struct redisReply *reply = NULL;
    uint64_t before = connection_gathered(connection);
    if (publisher->is_durable && !publisher->begun)
        reply = durable_first(&publisher->durable, connection, payload, failure);
    else if (append(publisher, payload, failure))
        reply = connection_reply(connection, failure);
    // The command gathered last is the message's own, or one that durable_first sends before it.
    if (reply == NULL && connection_gathered(connection) > before &&
        connection_gathered(connection) == connection_sent(connection))
        publisher->totals.unknown_first = publisher->totals.unknown_last = number;
    return reply;
}

// Sends the message to the node that `reply` (an ASK, taken) names; later messages go to the old node.
// Returns that node's answer.
static struct redisReply *ask_elsewhere(struct publisher *publisher, uint64_t number,
                                        struct redisReply *reply, struct span payload,
                                        struct failure *failure)
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
        reply = ask(publisher, number, payload, failure);
        publisher->connection = here;
    }
    connection_close(there);
    return reply;
}

// Where an answer sends its message. A server that lacks the function or script, as the new owner of a slot
// may, takes the message later, after durable_first. Outside of a cluster no redirection is followed.
static enum redirection redirection_of(struct publisher *publisher, const struct redisReply *reply)
{
    if (publisher->is_durable && durable_unknown(reply)) {
        publisher->begun = false;
        return REDIRECTION_LATER;
    }
    enum redirection redirection = discovery_redirection(reply);
    return publisher->is_cluster || redirection == REDIRECTION_LATER ? redirection : REDIRECTION_NONE;
}

// Connects to the node that `reply` names, for all messages from now on. A node that cannot be reached may be
// dead, and its replica about to take over: then the current node is asked again. `failure` gets the reason,
// should all tries fail.
static void move(struct publisher *publisher, const struct redisReply *reply, struct failure *failure)
{
    const char *here = connection_name(publisher->connection);
    struct connection *there = discovery_follow(publisher->target, publisher->connection, reply, failure);
    if (there == NULL) {
        (void)poll(NULL, 0, RETRY_MS);
        return;
    }
    (void)failure_set(failure, "%s sends to another node, which does the same: %.100s", here, reply->str);
    connection_close(publisher->connection);
    publisher->connection = there;
}

// Sends one message to the server that takes it, trying again for as long as one answer may take.
static bool send_wherever(struct publisher *publisher, uint64_t number, struct span payload,
                          struct failure *failure)
{
    uint64_t deadline = clock_monotonic_ms() + publisher->target->timeout_ms;
    while (connect_until(publisher, deadline, failure)) {
        struct redisReply *reply = ask(publisher, number, payload, failure);
        if (reply && redirection_of(publisher, reply) == REDIRECTION_ASK)
            reply = ask_elsewhere(publisher, number, reply, payload, failure);
        enum redirection redirection = reply ? redirection_of(publisher, reply) : REDIRECTION_LATER;
        bool is_late = clock_monotonic_ms() >= deadline;
        if (redirection == REDIRECTION_NONE || (reply && redirection == REDIRECTION_LATER && is_late)) {
            bool ok = take(publisher, number, reply, failure);
            publisher->begun = publisher->begun || ok;
            return ok;
        }
        if (redirection == REDIRECTION_MOVED)
            move(publisher, reply, failure);
        else if (!is_late)
            (void)poll(NULL, 0, RETRY_MS);
        freeReplyObject(reply);
        if (is_late || publisher->totals.unknown_first)
            return false;
    }
    return false;
}

// Remembers a message that goes out, since it may have to go again.
static bool keep(struct publisher *publisher, struct span payload, struct failure *failure)
{
    publisher->sent[publisher->pending] = (struct sent){.start = publisher->kept.len, .len = payload.len};
    return buf_append(&publisher->kept, payload.bytes, payload.len) || failure_out_of_memory(failure);
}

bool publisher_send(struct publisher *publisher, struct span payload, struct failure *failure)
{
    publisher->given++;
    if (publisher->pending == 0 && !(publisher->connection && connection_is_usable(publisher->connection)))
        drop_connection(publisher);
    if (!publisher->begun)
        return send_wherever(publisher, publisher->given, payload, failure);
    if (!keep(publisher, payload, failure) || !append(publisher, payload, failure))
        return false;
    publisher->sent[publisher->pending++].end = connection_gathered(publisher->connection);
    publisher->pending_bytes += payload.len;
    if (publisher->pending < WINDOW_MESSAGES && publisher->pending_bytes < WINDOW_BYTES)
        return true;
    return publisher_flush(publisher, failure);
}

static uint64_t number_of(const struct publisher *publisher, size_t pending_at)
{
    return publisher->given - publisher->pending + pending_at + 1;
}

// The connection ended before message `at` and those behind it were answered. Which of them Redis took is
// unknown of those that were sent whole; the others go again.
static bool lose(struct publisher *publisher, size_t at)
{
    struct publisher_totals *totals = &publisher->totals;
    uint64_t sent = connection_sent(publisher->connection);
    for (size_t i = at; i < publisher->pending; i++) {
        publisher->sent[i].again = publisher->sent[i].end > sent;
        if (publisher->sent[i].again)
            continue;
        totals->unknown_first = totals->unknown_first ? totals->unknown_first : number_of(publisher, i);
        totals->unknown_last = number_of(publisher, i);
    }
    drop_connection(publisher);
    return totals->unknown_first == 0;
}

// Takes every answer, also those after a refusal: their messages are published.
static bool take_answers(struct publisher *publisher, struct failure *failure)
{
    for (size_t i = 0; i < publisher->pending; i++) {
        struct failure lost;
        struct redisReply *reply = connection_reply(publisher->connection, &lost);
        if (reply == NULL) {
            if (publisher->totals.refused == 0)
                *failure = lost;
            return lose(publisher, i) && publisher->totals.refused == 0;
        }
        publisher->sent[i].again = redirection_of(publisher, reply) != REDIRECTION_NONE;
        if (publisher->sent[i].again)
            freeReplyObject(reply);
        else
            (void)take(publisher, number_of(publisher, i), reply, failure); // totals.refused remembers
    }
    return publisher->totals.refused == 0;
}

bool publisher_flush(struct publisher *publisher, struct failure *failure)
{
    if (!take_answers(publisher, failure))
        return false;
    // In order: all messages have one slot, need one function and had one connection; so from the first that
    // must be sent again, all must.
    for (size_t i = 0; i < publisher->pending; i++) {
        const struct sent *sent = &publisher->sent[i];
        struct span payload = {publisher->kept.data + sent->start, sent->len};
        if (sent->again && !send_wherever(publisher, number_of(publisher, i), payload, failure))
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
