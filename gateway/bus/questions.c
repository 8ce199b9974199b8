#include "gateway/bus/questions.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/container_of.h"
#include "common/log.h"
#include "common/revocation_names.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/commands.h"

// Commands of one node that are not answered. All of them may be in flight, so that none waits for a connection
// that is lost, to be executed when nobody awaits its answer any more.
#define IN_FLIGHT_MAX 4096u
// Of one reply. The keys of a SCAN are the largest: names that are longer than those of any token are left out.
#define TEXT_MAX 512u
#define ELEMENTS_MAX 65536u
#define BYTES_MAX (16u << 20)
#define TELL_MS 60000u
#define NUMBER_LAST "31" // index of the last byte that is read of a number

struct questions {
    const struct node *node;
    struct commands *commands;
    uint64_t told_ms; // of the last error that was logged; 0: none
};

// A command for one text of a question.
struct part {
    struct command command;
    struct inquiry *inquiry;
    unsigned index;
    size_t len;
    char *key;
};

// A question and its commands: one block, with the keys behind them.
struct inquiry {
    struct question *question;
    unsigned worker, open; // commands without an answer
    bool failed, is_sharded;
    struct part parts[QUESTION_TEXTS];
    char room[];
};

static const char *const prefixes[][QUESTION_TEXTS] = {
    [QUESTION_REVOKED] = {REVOKED_KEYS REVOKED_SUBJECT ":", REVOKED_KEYS REVOKED_TOKEN ":"},
    [QUESTION_SPEND] = {"sse:ticket:", NULL},
    [QUESTION_LEASE] = {"sse:lease:", NULL},
    [QUESTION_RENEW] = {"sse:lease:", NULL},
    [QUESTION_RELEASE] = {"sse:lease:", NULL},
    [QUESTION_PUBLISH] = {"", NULL},
};

static struct part *part_of(const struct command *c)
{
    return container_of(c, struct part, command);
}

void questions_tell(const struct bus_env *env, unsigned worker, struct question *q)
{
    const struct mail mail = {.kind = MAIL_ANSWER, .question = q};
    if (!mailbox_post(env->delivery->workers[worker], &mail))
        free(q); // out of memory: what the connection waits for does not come in time
}

// One command less is awaited.
static void part_done(const struct questions *qs, struct part *p, bool answered)
{
    struct inquiry *a = p->inquiry;
    assert(a->open > 0);
    a->failed = a->failed || !answered;
    if (--a->open > 0)
        return;
    a->question->is_answered = !a->failed;
    if (a->question->kind == QUESTION_PUBLISH)
        free(a->question);
    else
        questions_tell(qs->node->env, a->worker, a->question);
    free(a);
}

static bool send_get(const struct command *c, struct redis_conn *conn)
{
    const struct part *p = part_of(c);
    const char *argv[] = {"GETRANGE", p->key, "0", NUMBER_LAST}; // bounded, whatever stands there
    return redis_conn_send(conn, 4, argv, NULL);
}

static bool send_spend(const struct command *c, struct redis_conn *conn)
{
    const struct part *p = part_of(c);
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%u", (unsigned)p->inquiry->question->seconds);
    const char *argv[] = {"SET", p->key, "1", "NX", "EX", seconds};
    return redis_conn_send(conn, 6, argv, NULL);
}

// The clock is Redis', so that those of gateways may differ. ARGV: milliseconds, member, and how many there may be.
#define SCRIPT_NOW                                                                                           \
    "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "                        \
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) "
#define SCRIPT_ADD                                                                                           \
    "redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2]) redis.call('PEXPIRE', KEYS[1], ARGV[1]) return 1"

static bool send_script(const struct command *c, struct redis_conn *conn, const char *script)
{
    const struct part *p = part_of(c);
    const struct question *q = p->inquiry->question;
    char ms[16], most[24];
    snprintf(ms, sizeof ms, "%u", (unsigned)q->seconds * 1000u);
    snprintf(most, sizeof most, "%" PRId64, q->numbers[0]);
    const char *argv[] = {"EVAL", script, "1", p->key, ms, q->texts[1], most};
    return redis_conn_send(conn, 7, argv, NULL);
}

// Where the newest streams have the leases, each has a second member, its name behind '<', whose score is negative and
// grows from lease to lease: scores of leases say when they end, and a renewal changes them.
#define SCRIPT_NEWEST                                                                                        \
    "local k, m = KEYS[1], ARGV[2] "                                                                         \
    "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "                        \
    "for _, gone in ipairs(redis.call('ZRANGEBYSCORE', k, '(0', now)) do "                                   \
    "redis.call('ZREM', k, gone, '<' .. gone) end "                                                          \
    "local all = redis.call('ZCOUNT', k, '(0', '+inf') "                                                     \
    "local function add() "                                                                                  \
    "local last = redis.call('ZREVRANGEBYSCORE', k, '(0', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] "          \
    "redis.call('ZADD', k, 'NX', last and last + 1 or -4503599627370496, '<' .. m) "                         \
    "redis.call('ZADD', k, now + ARGV[1], m) redis.call('PEXPIRE', k, ARGV[1]) end "

static bool send_lease(const struct command *c, struct redis_conn *conn)
{
    static const char script[] =
        SCRIPT_NOW "if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end " SCRIPT_ADD;
    static const char newest[] =
        SCRIPT_NEWEST "add() if all < tonumber(ARGV[3]) then return 1 end "
                      "local oldest = redis.call('ZRANGEBYSCORE', k, '-inf', '(0', 'LIMIT', 0, 1)[1]:sub(2) "
                      "redis.call('ZREM', k, oldest, '<' .. oldest) return oldest";
    return send_script(c, conn, part_of(c)->inquiry->question->replaces ? newest : script);
}

static bool send_renew(const struct command *c, struct redis_conn *conn)
{
    static const char newest[] =
        SCRIPT_NEWEST "if all >= tonumber(ARGV[3]) and not redis.call('ZSCORE', k, m) then return 0 end "
                      "add() return 1";
    return send_script(c, conn, part_of(c)->inquiry->question->replaces ? newest : SCRIPT_NOW SCRIPT_ADD);
}

static bool send_release(const struct command *c, struct redis_conn *conn)
{
    const struct part *p = part_of(c);
    char place[64];
    snprintf(place, sizeof place, "<%s", p->inquiry->question->texts[1]);
    const char *argv[] = {"ZREM", p->key, p->inquiry->question->texts[1], place};
    return redis_conn_send(conn, 4, argv, NULL);
}

static bool send_publish(const struct command *c, struct redis_conn *conn)
{
    const struct part *p = part_of(c);
    const struct inquiry *a = p->inquiry;
    const char *argv[] = {a->is_sharded ? "SPUBLISH" : "PUBLISH", p->key, a->question->texts[1]};
    return redis_conn_send(conn, 3, argv, NULL);
}

static bool is_number(const struct command *c, const redisReply *reply)
{
    (void)c;
    return reply->type == REDIS_REPLY_INTEGER;
}

static bool is_number_or_text(const struct command *c, const redisReply *reply)
{
    (void)c;
    return reply->type == REDIS_REPLY_INTEGER || reply->type == REDIS_REPLY_STRING;
}

static bool is_text(const struct command *c, const redisReply *reply)
{
    (void)c;
    return reply->type == REDIS_REPLY_STRING;
}

static bool is_status(const struct command *c, const redisReply *reply)
{
    (void)c;
    return reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_NIL;
}

// A time that cannot be read revokes whatever was issued.
static int64_t read_time(const char *text)
{
    char *end;
    errno = 0;
    long long time = strtoll(text, &end, 10);
    if (*text == '\0')
        return 0;
    return *end == '\0' && errno == 0 && time >= 0 ? time : INT64_MAX;
}

static void tell_error(struct questions *qs, const char *key, const char *error)
{
    uint64_t now_ms = clock_monotonic_ms();
    counter_add(qs->node->env->counters, COUNTER_REDIS_ERRORS, 1);
    if (qs->told_ms != 0 && now_ms - qs->told_ms < TELL_MS)
        return;
    qs->told_ms = now_ms;
    // The rest of the key names a user or a ticket.
    const char *name = strrchr(key, ':') ? strchr(key + strlen("sse:"), ':') : NULL;
    log_error("redis", "cannot ask for %.*s*: %s; streams that need the answer are refused",
              name ? (int)(name + 1 - key) : 0, key, error);
}

// The lease `name` has ended for a newer one. Where its gateway does not hear of it, it does not get a renewal.
static void tell_replaced(struct questions *qs, unsigned worker, const char *name)
{
    char text[96];
    snprintf(text, sizeof text, REVOCATION_REPLACED "%s", name);
    struct question *q =
        question_create(&(struct question){.kind = QUESTION_PUBLISH, .texts = {REVOCATION_CHANNEL, text}});
    if (q)
        questions_ask(qs, worker, q);
}

static void on_answer(void *ctx, struct command *c, const struct command_answer *answer)
{
    struct questions *qs = ctx;
    struct part *p = part_of(c);
    const redisReply *reply = answer->reply;
    int64_t *number = &p->inquiry->question->numbers[p->index];
    if (reply && reply->type == REDIS_REPLY_ERROR)
        tell_error(qs, p->key, reply->str);
    bool answered = reply && reply->type != REDIS_REPLY_ERROR;
    bool is_replacing =
        answered && p->inquiry->question->kind == QUESTION_LEASE && reply->type == REDIS_REPLY_STRING;
    if (is_replacing) {
        *number = 1;
        tell_replaced(qs, p->inquiry->worker, reply->str);
    } else if (answered) {
        *number = reply->type == REDIS_REPLY_INTEGER  ? reply->integer
                  : reply->type == REDIS_REPLY_STRING ? read_time(reply->str)
                                                      : reply->type == REDIS_REPLY_STATUS;
    }
    part_done(qs, p, answered);
}

static void on_forget(void *ctx, struct command *c)
{
    part_done(ctx, part_of(c), false);
}

// An error about slots says where to ask; after any other one the question is asked anew by the client, if at
// all.
static bool is_final(const struct command *c, const char *error)
{
    (void)c;
    return !cluster_error_passes(error) || strncmp(error, "CLUSTERDOWN", 11) == 0;
}

#define KIND(how, what)                                                                                      \
    {                                                                                                        \
        .once = true, .send = (how), .fits = (what), .is_final = is_final, .answer = on_answer,              \
        .forget = on_forget                                                                                  \
    }
static const struct command_kind kinds[] = {
    [QUESTION_REVOKED] = KIND(send_get, is_text),
    [QUESTION_SPEND] = KIND(send_spend, is_status),
    [QUESTION_LEASE] = KIND(send_lease, is_number_or_text),
    [QUESTION_RENEW] = KIND(send_renew, is_number),
    [QUESTION_RELEASE] = KIND(send_release, is_number),
    [QUESTION_PUBLISH] = KIND(send_publish, is_number),
};
#undef KIND

static struct commands *on_route(void *ctx, const struct command *c)
{
    const struct questions *qs = ctx;
    const struct part *p = part_of(c);
    const struct bus_env *env = qs->node->env;
    const struct node *owner = env->owner(env->cluster, channel_ref(p->key, p->len));
    return owner ? owner->questions->commands : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    const struct questions *qs = ctx;
    qs->node->env->on_topology_changed(qs->node->env->cluster, qs->node, error);
}

struct questions *questions_create(struct node *n)
{
    const struct bus_env *env = n->env;
    struct questions *qs = calloc(1, sizeof *qs);
    if (!qs)
        return NULL;
    qs->node = n;
    const struct commands_settings commands = {
        .url = n->url,
        .purpose = "questions",
        .client_name = env->client_name,
        .counters = env->counters,
        .classes = {{.in_flight_max = IN_FLIGHT_MAX, .max = IN_FLIGHT_MAX}},
        .limits = {.bulk = TEXT_MAX, .elements = ELEMENTS_MAX, .bytes = BYTES_MAX},
        .route = env->owner ? on_route : NULL,
        .on_moved = env->on_topology_changed ? on_moved : NULL,
        .ctx = qs,
    };
    qs->commands = commands_create(env->loop, &commands);
    if (qs->commands)
        return qs;
    free(qs);
    return NULL;
}

void questions_destroy(struct questions *qs)
{
    if (!qs)
        return;
    commands_destroy(qs->commands);
    free(qs);
}

static struct inquiry *inquiry_create(struct question *q)
{
    size_t size = 0;
    for (unsigned i = 0; i < QUESTION_TEXTS; i++)
        size +=
            prefixes[q->kind][i] && q->texts[i] ? strlen(prefixes[q->kind][i]) + strlen(q->texts[i]) + 1 : 0;
    struct inquiry *a = malloc(sizeof *a + size);
    if (!a)
        return NULL;
    *a = (struct inquiry){.question = q};
    char *room = a->room;
    for (unsigned i = 0; i < QUESTION_TEXTS; i++) {
        struct part *p = &a->parts[i];
        *p = (struct part){.command.kind = &kinds[q->kind], .inquiry = a, .index = i};
        if (!prefixes[q->kind][i] || !q->texts[i])
            continue;
        p->key = room;
        room = stpcpy(stpcpy(room, prefixes[q->kind][i]), q->texts[i]) + 1;
        p->len = (size_t)(room - 1 - p->key);
        a->open++;
    }
    return a;
}

void questions_ask(struct questions *qs, unsigned worker, struct question *q)
{
    struct inquiry *a = inquiry_create(q);
    if (!a && q->kind == QUESTION_PUBLISH)
        free(q);
    else if (!a)
        questions_tell(qs->node->env, worker, q);
    if (!a)
        return;
    assert(a->open > 0);
    a->worker = worker;
    a->is_sharded = qs->node->env->sharded;
    // `a` is freed with its last part.
    struct part *parts[QUESTION_TEXTS];
    unsigned count = 0;
    for (unsigned i = 0; i < QUESTION_TEXTS; i++)
        if (a->parts[i].key)
            parts[count++] = &a->parts[i];
    for (unsigned i = 0; i < count; i++) {
        struct commands *to = qs->node->env->owner ? on_route(qs, &parts[i]->command) : qs->commands;
        if (!to || !commands_is_connected(to) || !commands_add(to, &parts[i]->command))
            part_done(qs, parts[i], false);
    }
}

bool questions_add(struct questions *qs, struct command *c)
{
    assert(c->kind->of_connection);
    return commands_add(qs->commands, c);
}

void questions_reconnect(struct questions *qs)
{
    commands_reconnect(qs->commands, "the subscriber's was lost");
}

const struct redis_conn *questions_conn(const struct questions *qs)
{
    return commands_conn(qs->commands);
}

const char *questions_fault(const struct questions *qs)
{
    const char *fault = commands_connect_fault(qs->commands);
    return commands_is_connected(qs->commands) ? ""
           : fault[0]                          ? fault
                                               : "the connection for questions about tokens is not up";
}
