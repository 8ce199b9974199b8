#include "gateway/redis/canary.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "common/log.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/deadline.h"
#include "gateway/redis/redis_conn.h"

#define EVERY_S 2.0
// Seconds after which a canary that is not back counts as missed: so a subscriber that stops receiving is
// replaced within 5 s.
#define VERDICT_S 0.9
#define MISSED_MAX 2u
// Canaries in a row that a subscriber may miss while it receives other messages: it may be far behind, and
// the messages on their way would be lost with its connection.
#define LATE_MAX 8u
#define REPLY_MAX 65536u

struct canary {
    struct canary_settings settings;
    struct redis_conn *conn;
    struct ev_loop *loop;
    ev_timer timer;
    struct deadline verdict;
    char channel[48 + CLUSTER_TAG_MAX];
    uint64_t number;  // of the newest canary
    unsigned missed;  // in a row
    unsigned unheard; // of these, how many Redis took: the others are not the subscriber's fault
    // Commands on this connection that were sent, and answered; among them the newest canary, and what was published
    // last by canary_publish.
    uint64_t sent, answered, canary_command, other_command;
    uint64_t heard_before; // messages that the subscriber had received when the newest was sent
    bool listening;        // the subscriber has the channel
    bool awaited;          // sent and not back yet
    bool taken;            // Redis took the newest
    bool proven;
    uint64_t back_ms;
};

static bool publish(struct canary *c, const char *channel, const char *text, uint64_t *command)
{
    const char *argv[] = {c->settings.sharded ? "SPUBLISH" : "PUBLISH", channel, text};
    if (!redis_conn_send(c->conn, 3, argv, NULL))
        return false;
    *command = ++c->sent;
    return true;
}

bool canary_publish(struct canary *c, const char *channel, const char *text)
{
    return publish(c, channel, text, &c->other_command);
}

void canary_flush(struct canary *c)
{
    redis_conn_flush(c->conn);
}

static void canary_send(struct canary *c)
{
    char number[24];
    if (!c->listening || !redis_conn_is_ready(c->conn))
        return;
    snprintf(number, sizeof number, "%" PRIu64, ++c->number);
    c->taken = false;
    c->heard_before = *c->settings.heard;
    c->awaited = publish(c, c->channel, number, &c->canary_command);
    if (c->awaited)
        counter_add(c->settings.counters, COUNTER_CANARIES_SENT, 1);
}

// VERDICT_S after the newest canary was sent: whether it came back.
static void on_verdict(void *ctx)
{
    struct canary *c = ctx;
    if (deadline_extend(&c->verdict))
        return;
    // A canary that could not be sent counts as missed.
    if (c->awaited || !c->listening || !redis_conn_is_ready(c->conn))
        c->missed++;
    if (c->awaited && c->taken)
        c->unheard++;
    bool silent = *c->settings.heard == c->heard_before;
    if (c->missed >= MISSED_MAX) {
        if (c->proven)
            log_error("redis", "%u canaries in a row did not come back: delivery is not proven, not ready",
                      c->missed);
        c->proven = false;
    }
    assert(c->unheard <= c->missed);
    if (c->unheard >= (silent ? MISSED_MAX : LATE_MAX)) {
        c->missed = c->unheard = 0;
        c->awaited = false;
        c->settings.on_deaf(c->settings.ctx);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct canary *c = w->data;
    canary_send(c);
    deadline_set(&c->verdict, VERDICT_S);
}

static void on_ready(void *ctx)
{
    canary_send(ctx);
}

static void on_ping(void *ctx)
{
    struct canary *c = ctx;
    c->sent++;
}

static void on_canary_reply(struct canary *c, const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER)
        c->taken = true;
    else if (r->type == REDIS_REPLY_ERROR && c->missed == 0)
        log_warn("redis", "cannot publish the canary on %s: %s", c->channel, r->str);
}

// Replies come in the order of the commands. Those to older ones than the newest of their kind say nothing any more.
static bool on_reply(void *ctx, void *reply)
{
    struct canary *c = ctx;
    redisReply *r = reply;
    uint64_t command = ++c->answered;
    if (r->type == REDIS_REPLY_ERROR)
        counter_add(c->settings.counters, COUNTER_REDIS_ERRORS, 1);
    if (command == c->canary_command)
        on_canary_reply(c, r);
    else if (command == c->other_command && c->settings.on_published)
        c->settings.on_published(c->settings.ctx, r->type == REDIS_REPLY_ERROR ? r->str : NULL);
    freeReplyObject(r);
    return true;
}

static void on_down(void *ctx)
{
    struct canary *c = ctx;
    c->taken = false;
    c->sent = c->answered = c->canary_command = c->other_command = 0;
}

// Not guessable, and not the gateway's id: two gateways may have been given the same.
static void name_channel(struct canary *c, uint16_t slot)
{
    char tag[CLUSTER_TAG_MAX];
    if (!c->settings.sharded) {
        snprintf(c->channel, sizeof c->channel, "sse:canary:%016" PRIx64, jitter_seed());
        return;
    }
    cluster_slot_tag(slot, tag);
    snprintf(c->channel, sizeof c->channel, "sse:canary:{%s}:%016" PRIx64, tag, jitter_seed());
}

struct canary *canary_create(struct ev_loop *loop, const struct canary_settings *settings)
{
    struct canary *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->settings = *settings;
    c->loop = loop;
    name_channel(c, settings->slot);
    struct redis_conn_settings conn = {
        .url = settings->url,
        .purpose = "canary",
        .quiet = true,
        .client_name = settings->client_name,
        .limits = {.bulk = REPLY_MAX, .elements = 8, .bytes = REPLY_MAX},
        .on_ready = on_ready,
        .on_ping = on_ping,
        .on_reply = on_reply,
        .on_down = on_down,
        .ctx = c,
    };
    c->conn = redis_conn_create(loop, &conn);
    if (!c->conn) {
        free(c);
        return NULL;
    }
    ev_timer_init(&c->timer, on_timer, EVERY_S, EVERY_S);
    c->timer.data = c;
    deadline_init(&c->verdict, loop, on_verdict, c);
    ev_timer_start(loop, &c->timer);
    return c;
}

void canary_destroy(struct canary *c)
{
    if (!c)
        return;
    ev_timer_stop(c->loop, &c->timer);
    deadline_stop(&c->verdict);
    redis_conn_destroy(c->conn);
    free(c);
}

const char *canary_channel(const struct canary *c)
{
    return c->channel;
}

uint64_t canary_back_ms(const struct canary *c)
{
    return c->back_ms;
}

const struct redis_conn *canary_conn(const struct canary *c)
{
    return c->conn;
}

void canary_listen(void *canary)
{
    struct canary *c = canary;
    c->listening = true;
    c->missed = c->unheard = 0;
    canary_send(c);
}

void canary_back(void *canary, const char *payload, size_t len)
{
    struct canary *c = canary;
    char number[24];
    int n = snprintf(number, sizeof number, "%" PRIu64, c->number);
    if (len != (size_t)n || memcmp(payload, number, len) != 0)
        return; // an older canary, or a message of another publisher
    counter_add(c->settings.counters, COUNTER_CANARIES_BACK, 1);
    c->awaited = false;
    c->missed = c->unheard = 0;
    c->proven = true;
    c->back_ms = clock_monotonic_ms();
}

void canary_lost(struct canary *c)
{
    c->listening = c->awaited = false;
    c->proven = false;
}

void canary_unheard(void *canary)
{
    struct canary *c = canary;
    c->listening = c->awaited = false;
}

void canary_move(struct canary *c, uint16_t slot)
{
    canary_unheard(c);
    name_channel(c, slot);
}

bool canary_is_proven(const struct canary *c)
{
    return c->proven;
}
