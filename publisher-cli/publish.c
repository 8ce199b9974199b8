#include "publisher-cli/publish.h"

#include "common/buf.h"
#include "publisher-cli/route.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Messages and bytes that may be on the way without an answer. Enough to hide the round trip, small enough to
// bound memory.
#define WINDOW_MESSAGES DURABLE_BATCH_MAX
#define WINDOW_BYTES (1 << 20)

// A message that waits for its answer, or to be sent: its payload is at [start, start + len) of `kept`, and its command
// ended at `end` of what the connection gathered.
struct sent {
    size_t start, len;
    uint64_t end;
    bool again; // send it again: Redis has certainly not taken it, since it refused it or never got all of it
};

struct publisher {
    struct route route;
    bool is_batched; // messages are kept, and go together at publisher_flush
    uint64_t given;  // messages, of which the last `pending` are on the way
    uint64_t last;   // the one that no other follows; 0: not known yet
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
    publisher->is_batched = settings->is_batched && settings->durable;
    publisher->route.is_sharded = settings->is_sharded;
    if (route_open(&publisher->route, settings->target, settings->channel, settings->durable, failure))
        return publisher;
    publisher_destroy(publisher);
    return NULL;
}

void publisher_destroy(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    route_close(&publisher->route);
    buf_free(&publisher->kept);
    free(publisher);
}

static void count(struct publisher_totals *totals, uint64_t messages, uint64_t receivers)
{
    if (totals->messages == 0 || receivers < totals->receivers_min)
        totals->receivers_min = receivers;
    if (receivers > totals->receivers_max)
        totals->receivers_max = receivers;
    totals->messages += messages;
}

static bool is_confirmation(const struct publisher *publisher, const struct redisReply *reply)
{
    if (!publisher->route.is_durable)
        return reply->type == REDIS_REPLY_INTEGER;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_INTEGER;
}

// What helps, for an error message; NULL where nothing is known.
static const char *remedy_for(const struct publisher *publisher, const struct redisReply *reply)
{
    if (publisher->route.is_durable)
        return durable_remedy(reply);
    if (strncmp(reply->str, "NOPERM", 6) != 0)
        return NULL;
    return publisher->route.is_sharded ? "; the ACL of this user must allow it: +spublish and &CHANNEL"
                                       : "; the ACL of this user must allow it: +publish and &CHANNEL";
}

static void explain(const struct publisher *publisher, const struct redisReply *reply,
                    struct failure *failure)
{
    const char *reason = reply->type == REDIS_REPLY_ERROR ? strstr(reply->str, ": ") : NULL;
    if (reason && durable_fenced(reply))
        (void)failure_set(failure, "fenced, and not published: %s", reason + 2);
    else if (reply->type == REDIS_REPLY_ERROR)
        (void)connection_refused(publisher->route.connection, reply->str, remedy_for(publisher, reply),
                                 failure);
    else
        (void)connection_refused(publisher->route.connection, "its answer makes no sense", NULL, failure);
}

// The answer to the `messages` from `number` on, which is taken. PUBLISH answers how many subscribers got the message;
// sse_publish and sse_append the (last) event's id before that.
static bool take(struct publisher *publisher, uint64_t number, size_t messages, struct redisReply *reply,
                 struct failure *failure)
{
    struct publisher_totals *totals = &publisher->totals;
    bool ok = is_confirmation(publisher, reply), is_durable = publisher->route.is_durable;
    if (ok && is_durable)
        snprintf(totals->last_id, sizeof totals->last_id, "%s", reply->element[0]->str);
    if (ok)
        count(totals, messages, (uint64_t)(is_durable ? reply->element[1] : reply)->integer);
    if (!ok && totals->refused == 0) { // the first counts: what follows may be refused for the same
        totals->refused = number;
        totals->refused_last = number + messages - 1;
        totals->is_fenced = durable_fenced(reply);
        explain(publisher, reply, failure);
    }
    freeReplyObject(reply);
    return ok;
}

// Sends the events (a plain message is one, too), or as many of them as one command takes: events->count is that then.
// Where it cannot be known whether Redis took them, they are noted as unknown.
static bool ask(struct publisher *publisher, struct durable_events *events, struct failure *failure)
{
    struct publisher_totals *totals = &publisher->totals;
    bool is_unknown = false;
    struct redisReply *reply = route_ask(&publisher->route, events, &is_unknown, failure);
    bool is_known = reply && (is_confirmation(publisher, reply) || durable_fenced(reply));
    if (is_unknown && !is_known) {
        totals->unknown_first = events->first;
        totals->unknown_last = events->first + events->count - 1;
    }
    return reply && take(publisher, events->first, events->count, reply, failure);
}

// Remembers a message that goes out later, or may have to go again.
static bool keep(struct publisher *publisher, struct span payload, struct failure *failure)
{
    publisher->sent[publisher->pending] = (struct sent){.start = publisher->kept.len, .len = payload.len};
    return buf_append(&publisher->kept, payload.bytes, payload.len) || failure_out_of_memory(failure);
}

static struct span payload_of(const struct publisher *publisher, size_t pending_at)
{
    const struct sent *sent = &publisher->sent[pending_at];
    return (struct span){publisher->kept.data + sent->start, sent->len};
}

static struct durable_events one_event(const struct publisher *publisher, uint64_t number,
                                       const struct span *payload)
{
    return (struct durable_events){.datas = payload, .count = 1, .first = number, .last = publisher->last};
}

static bool append(struct publisher *publisher, uint64_t number, struct span payload, struct failure *failure)
{
    const struct durable_events events = one_event(publisher, number, &payload);
    return route_append(&publisher->route, &events, failure);
}

bool publisher_send(struct publisher *publisher, struct span payload, bool is_last, struct failure *failure)
{
    struct route *route = &publisher->route;
    publisher->given++;
    publisher->last = is_last ? publisher->given : 0;
    if (publisher->pending == 0 && !publisher->is_batched)
        route_check(route);
    if (!publisher->is_batched && !route->begun) {
        struct durable_events events = one_event(publisher, publisher->given, &payload);
        return ask(publisher, &events, failure);
    }
    if (!keep(publisher, payload, failure) ||
        (!publisher->is_batched && !append(publisher, publisher->given, payload, failure)))
        return false;
    publisher->sent[publisher->pending++].end =
        publisher->is_batched ? 0 : connection_gathered(route->connection);
    publisher->pending_bytes += payload.len;
    if (publisher->pending < WINDOW_MESSAGES && publisher->pending_bytes < WINDOW_BYTES)
        return true;
    return publisher_flush(publisher, failure);
}

static uint64_t number_of(const struct publisher *publisher, size_t pending_at)
{
    return publisher->given - publisher->pending + pending_at + 1;
}

// Sends the messages from `*at` on as batches, one after the other, as long as a batch is more than one message or the next
// one must wait for the answer. `*at` becomes the first that was not sent.
static bool send_batches(struct publisher *publisher, size_t *at, struct failure *failure)
{
    struct route *route = &publisher->route;
    struct span payloads[WINDOW_MESSAGES];
    for (size_t i = *at; i < publisher->pending; i++)
        payloads[i] = payload_of(publisher, i);
    while (*at < publisher->pending &&
           (!route->begun || route_batch(route) > 1 || durable_is_ordered(&route->durable))) {
        struct durable_events events = {
            .datas = &payloads[*at],
            .count = publisher->pending - *at,
            .first = number_of(publisher, *at),
            .last = publisher->last,
        };
        if (!ask(publisher, &events, failure))
            return false;
        *at += events.count;
    }
    return true;
}

// Sends what was kept. What is left of it for single commands is on the way then, from `*at` on.
static bool send_kept(struct publisher *publisher, size_t *at, struct failure *failure)
{
    route_check(&publisher->route);
    if (!send_batches(publisher, at, failure))
        return false;
    for (size_t i = *at; i < publisher->pending; i++) {
        if (!append(publisher, number_of(publisher, i), payload_of(publisher, i), failure))
            return false;
        publisher->sent[i].end = connection_gathered(publisher->route.connection);
    }
    return true;
}

// The connection ended before message `at` and those behind it were answered. Which of them Redis took is
// unknown of those that were sent whole; the others go again.
static bool lose(struct publisher *publisher, size_t at)
{
    struct publisher_totals *totals = &publisher->totals;
    uint64_t sent = connection_sent(publisher->route.connection);
    for (size_t i = at; i < publisher->pending; i++) {
        publisher->sent[i].again = publisher->sent[i].end > sent;
        if (publisher->sent[i].again)
            continue;
        totals->unknown_first = totals->unknown_first ? totals->unknown_first : number_of(publisher, i);
        totals->unknown_last = number_of(publisher, i);
    }
    route_drop(&publisher->route);
    return totals->unknown_first == 0;
}

// Takes every answer from that of `at` on, also those after a refusal: their messages are published.
static bool take_answers(struct publisher *publisher, size_t at, struct failure *failure)
{
    for (size_t i = at; i < publisher->pending; i++) {
        struct failure lost;
        struct redisReply *reply = connection_reply(publisher->route.connection, &lost);
        if (reply == NULL) {
            if (publisher->totals.refused == 0)
                *failure = lost;
            return lose(publisher, i) && publisher->totals.refused == 0;
        }
        publisher->sent[i].again = route_redirection(&publisher->route, reply) != REDIRECTION_NONE;
        if (publisher->sent[i].again)
            freeReplyObject(reply);
        else // totals.refused remembers
            (void)take(publisher, number_of(publisher, i), 1, reply, failure);
    }
    return publisher->totals.refused == 0;
}

bool publisher_flush(struct publisher *publisher, struct failure *failure)
{
    size_t at = 0;
    if (publisher->is_batched && publisher->pending > 0 && !send_kept(publisher, &at, failure))
        return false;
    if (!take_answers(publisher, at, failure))
        return false;
    // In order: all messages have one slot, need one function and had one connection; so from the first that
    // must be sent again, all must.
    for (size_t i = at; i < publisher->pending; i++) {
        struct span payload = payload_of(publisher, i);
        struct durable_events events = one_event(publisher, number_of(publisher, i), &payload);
        if (publisher->sent[i].again && !ask(publisher, &events, failure))
            return false;
    }
    publisher->pending = publisher->pending_bytes = 0;
    buf_clear(&publisher->kept);
    return true;
}

size_t publisher_pending(const struct publisher *publisher)
{
    return publisher->pending;
}

struct publisher_totals publisher_totals(const struct publisher *publisher)
{
    return publisher->totals;
}
