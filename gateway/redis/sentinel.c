#include "gateway/redis/sentinel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "common/log.h"
#include "gateway/redis/deadline.h"
#include "gateway/redis/redis_reader.h"
#include "gateway/redis/sentinel_reply.h"

#define ANSWER_TIMEOUT_S 2.0
#define RESOLVE_TIMEOUTS 3 // of ANSWER_TIMEOUT_S for a name: the resolver takes 5 s for each of its servers
#define REFRESH_MS 3000u   // up to twice that from one round to the next
#define WATCH_LOST_S 0.5

enum sentinel_state {
    SENTINEL_RESTING,  // the timer begins a round with the next sentinel
    SENTINEL_TURNING,  // in a round: the timer turns to the sentinel `at`
    SENTINEL_ASKING,   // in a round: its answer is awaited; the timer bounds the wait
    SENTINEL_WATCHING, // it has answered; the timer begins a round with the next one
};

// The command that a sentinel's next reply answers. All commands are sent at once.
enum sentinel_step { STEP_AUTH, STEP_ADDRESS, STEP_DETAILS, STEP_SUBSCRIBE, STEP_MESSAGES };

// Of a round the fault with the highest number is reported: an answer of a sentinel says more than one that
// is silent.
enum sentinel_fault { FAULT_NONE, FAULT_DOWN, FAULT_REFUSES, FAULT_NO_ADDRESS, FAULT_UNKNOWN_NAME };

struct sentinel {
    const struct redis_url *url;
    void (*on_result)(void *ctx, const struct redis_address *address, const char *error);
    void *ctx;
    struct redis_link link;
    struct redis_reader reader;
    struct deadline deadline;
    uint64_t random;
    enum sentinel_state state;
    enum sentinel_step step;
    size_t at;         // index of the sentinel that is asked or watched
    size_t tried;      // in this round
    unsigned timeouts; // of this sentinel
    char where[REDIS_HOST_SIZE + 16];
    struct sentinel_master heard; // from the sentinel that is asked
    struct sentinel_master stale; // the best answer of this round from before the known failover
    struct sentinel_master known;
    enum sentinel_fault fault;
    char fault_text[REDIS_HOST_SIZE + 512];
};

static void set_state(struct sentinel *s, enum sentinel_state state, double timer_s)
{
    // A sentinel is asked in its turn, and watched once it has answered.
    assert(state != SENTINEL_ASKING || s->state == SENTINEL_TURNING || s->state == SENTINEL_ASKING);
    assert(state != SENTINEL_WATCHING || s->state == SENTINEL_ASKING);
    s->state = state;
    deadline_set(&s->deadline, timer_s);
}

static double refresh_in_s(struct sentinel *s)
{
    return jitter_ms(&s->random, REFRESH_MS) / 1000.0;
}

static void begin_round(struct sentinel *s, size_t first)
{
    redis_link_close(&s->link);
    s->at = first % s->url->endpoint_count;
    s->tried = 0;
    s->fault = FAULT_NONE;
    s->stale.address.host[0] = '\0';
    set_state(s, SENTINEL_TURNING, 0.);
}

static void tell_master(struct sentinel *s, const struct sentinel_master *master)
{
    if (!redis_address_equal(&master->address, &s->known.address)) {
        char text[REDIS_HOST_SIZE + 16];
        redis_address_describe(&master->address, text, sizeof text);
        log_info("redis", "the sentinel at %s names %s as the master \"%s\"", s->where, text,
                 s->url->master_name);
    }
    s->known = *master;
    s->on_result(s->ctx, &s->known.address, NULL);
}

static void end_round(struct sentinel *s)
{
    char text[sizeof s->fault_text + 64];
    set_state(s, SENTINEL_RESTING, refresh_in_s(s));
    if (s->stale.address.host[0]) {
        tell_master(s, &s->stale);
        return;
    }
    if (s->fault == FAULT_DOWN)
        snprintf(text, sizeof text, "none of the %zu sentinels answers; the last, at %s", s->tried,
                 s->fault_text);
    else
        snprintf(text, sizeof text, "the sentinel at %s", s->fault_text);
    s->on_result(s->ctx, NULL, text);
}

static void next_sentinel(struct sentinel *s)
{
    redis_link_close(&s->link);
    if (++s->tried >= s->url->endpoint_count) {
        end_round(s);
        return;
    }
    s->at = (s->at + 1) % s->url->endpoint_count;
    set_state(s, SENTINEL_TURNING, 0.);
}

static void give_up(struct sentinel *s, enum sentinel_fault fault, const char *what, const char *more)
{
    if (fault >= s->fault) {
        s->fault = fault;
        snprintf(s->fault_text, sizeof s->fault_text, "%s%s%s", s->where, what, more);
    }
    next_sentinel(s);
}

static void try_sentinel(struct sentinel *s)
{
    const struct redis_address *at = &s->url->endpoints[s->at];
    redis_address_describe(at, s->where, sizeof s->where);
    s->timeouts = 0;
    set_state(s, SENTINEL_ASKING, ANSWER_TIMEOUT_S);
    redis_link_open(&s->link, at);
}

static void on_open(void *ctx)
{
    struct sentinel *s = ctx;
    // The largest answer is SENTINEL MASTER: some 50 strings.
    static const struct redis_limits limits = {.bulk = 65536, .elements = 1024, .bytes = 65536};
    const char *name = s->url->master_name;
    const char *auth[] = {"AUTH", s->url->sentinel_password};
    const char *address[] = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name};
    const char *details[] = {"SENTINEL", "MASTER", name};
    const char *subscribe[] = {"SUBSCRIBE", "+switch-master"};
    s->step = auth[1] ? STEP_AUTH : STEP_ADDRESS;
    if (!redis_reader_reset(&s->reader, NULL, NULL, &limits) ||
        (auth[1] && !redis_link_send(&s->link, 2, auth, NULL)) ||
        !redis_link_send(&s->link, 3, address, NULL) || !redis_link_send(&s->link, 3, details, NULL) ||
        !redis_link_send(&s->link, 2, subscribe, NULL))
        give_up(s, FAULT_DOWN, ": out of memory", "");
}

static void on_lost(void *ctx, const char *why)
{
    struct sentinel *s = ctx;
    if (s->state == SENTINEL_ASKING) {
        give_up(s, FAULT_DOWN, ": ", why);
        return;
    }
    log_debug("redis", "the sentinel at %s is gone: %s", s->where, why);
    set_state(s, SENTINEL_RESTING, WATCH_LOST_S);
}

// Gives the sentinel up where its answer is of no use, with the fault that `verdict` means. False where it
// was given up.
static bool judge(struct sentinel *s, enum sentinel_verdict verdict, const redisReply *reply)
{
    char text[REDIS_HOST_SIZE + 64];
    switch (verdict) {
    case SENTINEL_FOUND:
        return true;
    case SENTINEL_NO_ADDRESS:
        snprintf(text, sizeof text, " knows no address of the master \"%.200s\" yet", s->url->master_name);
        give_up(s, FAULT_NO_ADDRESS, text, "");
        break;
    case SENTINEL_IS_REPLICA:
        snprintf(text, sizeof text, " says that %.253s:%u, its master, is a replica now",
                 s->heard.address.host, s->heard.address.port);
        give_up(s, FAULT_NO_ADDRESS, text, "");
        break;
    case SENTINEL_UNKNOWN_NAME:
        snprintf(text, sizeof text, " knows no master of the name \"%.200s\"", s->url->master_name);
        give_up(s, FAULT_UNKNOWN_NAME, text, "");
        break;
    case SENTINEL_REFUSES:
        snprintf(text, sizeof text, "%s%.200s",
                 strncmp(reply->str, "ERR unknown command", 19) == 0 ? " is no sentinel: " : " refuses: ",
                 reply->str);
        give_up(s, FAULT_REFUSES, text,
                strncmp(reply->str, "NOAUTH", 6) == 0 ? "; see --redis-sentinel-password-file" : "");
        break;
    }
    return false;
}

static void heard_master(struct sentinel *s)
{
    if (s->heard.epoch < s->known.epoch) {
        if (!s->stale.address.host[0] || s->heard.epoch > s->stale.epoch)
            s->stale = s->heard;
        next_sentinel(s);
        return;
    }
    set_state(s, SENTINEL_WATCHING, refresh_in_s(s));
    tell_master(s, &s->heard);
}

static void take_reply(struct sentinel *s, const redisReply *reply)
{
    struct sentinel_master hint;
    switch (s->step) {
    case STEP_AUTH:
        s->step = STEP_ADDRESS;
        if (reply->type == REDIS_REPLY_ERROR)
            (void)judge(s, SENTINEL_REFUSES, reply);
        break;
    case STEP_ADDRESS:
        s->step = STEP_DETAILS;
        (void)judge(s, sentinel_read_address(reply, &s->heard), reply);
        break;
    case STEP_DETAILS:
        s->step = STEP_SUBSCRIBE;
        if (judge(s, sentinel_read_details(reply, &s->heard), reply))
            heard_master(s);
        break;
    case STEP_SUBSCRIBE: // where an ACL forbids it, the rounds alone notice a failover
        s->step = STEP_MESSAGES;
        break;
    case STEP_MESSAGES:
        if (sentinel_read_switch(reply, s->url->master_name, &hint) &&
            !redis_address_equal(&hint.address, &s->known.address))
            begin_round(s, s->at);
        break;
    }
}

static void on_bytes(void *ctx, const char *bytes, size_t len)
{
    struct sentinel *s = ctx;
    enum redis_read got = REDIS_READ_REPLY;
    void *reply;
    size_t skipped;
    if (!redis_reader_feed(&s->reader, bytes, len))
        got = REDIS_READ_ERROR;
    // The link is closed where a reply was the last that is wanted of this sentinel.
    while (s->link.state == REDIS_LINK_OPEN && got == REDIS_READ_REPLY) {
        got = redis_reader_next(&s->reader, &reply, &skipped);
        if (got != REDIS_READ_REPLY)
            break;
        take_reply(s, reply);
        freeReplyObject(reply);
    }
    if (got != REDIS_READ_ERROR)
        return;
    redis_link_close(&s->link);
    on_lost(s, "an answer that makes no sense");
}

static void on_deadline(void *ctx)
{
    struct sentinel *s = ctx;
    switch (s->state) {
    case SENTINEL_TURNING:
        try_sentinel(s);
        break;
    case SENTINEL_ASKING:
        if (deadline_extend(&s->deadline))
            return;
        if (s->link.state == REDIS_LINK_RESOLVING && ++s->timeouts < RESOLVE_TIMEOUTS)
            set_state(s, SENTINEL_ASKING, ANSWER_TIMEOUT_S);
        else
            give_up(s, FAULT_DOWN, ": ", redis_link_late(&s->link));
        break;
    case SENTINEL_RESTING:
    case SENTINEL_WATCHING:
        begin_round(s, s->at + 1);
        break;
    }
}

struct sentinel *sentinel_create(struct ev_loop *loop, const struct redis_url *url,
                                 void (*on_result)(void *ctx, const struct redis_address *address,
                                                   const char *error),
                                 void *ctx)
{
    struct sentinel *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    const struct redis_link_hooks hooks = {
        .on_open = on_open, .on_bytes = on_bytes, .on_lost = on_lost, .ctx = s};
    s->url = url;
    s->on_result = on_result;
    s->ctx = ctx;
    s->random = jitter_seed();
    redis_link_init(&s->link, loop, url->tls_context, &hooks);
    deadline_init(&s->deadline, loop, on_deadline, s);
    // Gateways that start together do not all begin with the same one.
    begin_round(s, jitter_next(&s->random));
    return s;
}

void sentinel_destroy(struct sentinel *s)
{
    if (!s)
        return;
    redis_link_deinit(&s->link);
    redis_reader_deinit(&s->reader);
    deadline_stop(&s->deadline);
    free(s);
}

void sentinel_ask(struct sentinel *s)
{
    if (s->state == SENTINEL_RESTING || s->state == SENTINEL_WATCHING)
        begin_round(s, s->at);
}
