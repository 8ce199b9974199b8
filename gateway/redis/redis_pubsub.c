#include "gateway/redis/redis_pubsub.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "common/log.h"
#include "common/pattern.h"
#include "gateway/redis/cluster_slots.h"

#define PUSH_ELEMENTS 3u // kind, channel, and a payload or a number

enum push_kind { PUSH_OTHER, PUSH_MESSAGE, PUSH_SUBSCRIBE, PUSH_UNSUBSCRIBE, PUSH_PONG };

struct redis_pubsub {
    struct redis_pubsub_settings settings;
    struct redis_conn *conn;
    // The push that is being read: ["message", channel, payload] or ["subscribe", channel, count], or the
    // same with an s before them where Pub/Sub is sharded.
    enum push_kind kind;
    char name[CHANNEL_NAME_MAX];
    struct channel_ref channel; // `len` 0: longer than any channel of this process
    char error[256];            // of an error reply, else empty
    struct pending_replies pending_replies;
    bool told_refused; // it was logged that Redis refused a command other than SUBSCRIBE
};

static bool text_is(const char *text, size_t len, const char *s)
{
    return len == strlen(s) && memcmp(text, s, len) == 0;
}

static enum push_kind kind_of(const struct redis_pubsub *p, const char *text, size_t len)
{
    size_t prefix = p->settings.sharded && len > 0 && text[0] == 's' ? 1 : 0;
    text += prefix;
    len -= prefix;
    return text_is(text, len, "message")       ? PUSH_MESSAGE
           : text_is(text, len, "subscribe")   ? PUSH_SUBSCRIBE
           : text_is(text, len, "unsubscribe") ? PUSH_UNSUBSCRIBE
           : text_is(text, len, "pong")        ? PUSH_PONG
                                               : PUSH_OTHER;
}

// Of such a message each event is bounded for itself, by the callee.
static bool holds_several(const char *payload, size_t len)
{
    struct envelope e;
    return len <= ENVELOPE_SEVERAL_BYTES && envelope_decode(payload, len, &e) == ENVELOPE_OK &&
           e.earlier_count > 0;
}

static void read_payload(struct redis_pubsub *p, const char *text, size_t len)
{
    if (p->kind != PUSH_MESSAGE || p->channel.len == 0)
        return;
    if (len > p->settings.max_message && !holds_several(text, len))
        p->settings.on_too_large(p->settings.ctx, p->channel, len);
    else
        p->settings.on_message(p->settings.ctx, p->channel, text, len);
}

static void answered(struct redis_pubsub *p, enum asked what)
{
    pending_replies_reply(&p->pending_replies, what);
    if (what != ASKED_UNSUBSCRIBE)
        redis_conn_worked(p->conn);
}

// The functions that hiredis calls for each element, before the whole reply is there. None may return NULL:
// that is out of memory to the reader.
static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    struct redis_pubsub *p = redis_reader_context(task);
    if (!task->parent) {
        if (task->type == REDIS_REPLY_ERROR)
            snprintf(p->error, sizeof p->error, "%.*s", (int)(len < 255 ? len : 255), text);
        else
            answered(p, ASKED_PING); // +PONG, while there is no subscription
        return p;
    }
    switch ((int)task->idx) {
    case 0:
        p->kind = kind_of(p, text, len);
        if (p->kind == PUSH_PONG)
            answered(p, ASKED_PING);
        p->channel.len = 0;
        break;
    case 1:
        if (len <= sizeof p->name) {
            memcpy(p->name, text, len);
            p->channel = channel_ref(p->name, len);
        }
        break;
    case 2:
        read_payload(p, text, len);
        break;
    default:
        break;
    }
    return p;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    (void)value;
    struct redis_pubsub *p = redis_reader_context(task);
    if (!task->parent || task->idx != 2)
        return p;
    if (p->kind == PUSH_UNSUBSCRIBE) {
        answered(p, ASKED_UNSUBSCRIBE);
        if (p->channel.len > 0 && p->settings.on_unsubscribed)
            p->settings.on_unsubscribed(p->settings.ctx, p->channel);
    } else if (p->kind == PUSH_SUBSCRIBE) {
        answered(p, ASKED_SUBSCRIBE);
        if (p->channel.len > 0)
            p->settings.on_subscribed(p->settings.ctx, p->channel);
    }
    return p;
}

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t elements)
#else
static void *create_array(const redisReadTask *task, int elements)
#endif
{
    (void)elements;
    return redis_reader_context(task);
}

static void *create_nil(const redisReadTask *task)
{
    return redis_reader_context(task);
}

static void free_object(void *reply)
{
    (void)reply; // nothing was allocated
}

static const redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_object,
};

// Where UNSUBSCRIBE is refused, messages that no worker wants go on arriving and are dropped; an error to
// PING shows as well as PONG that the server lives. Neither affects a channel.
static void refused(struct redis_pubsub *p)
{
    const struct pending_command command = pending_replies_error(&p->pending_replies);
    if (command.what == ASKED_SUBSCRIBE) {
        p->settings.on_refused(p->settings.ctx, command.batch, command.replies, p->error);
        return;
    }
    // The slot of the channel to be unsubscribed has left the node already.
    if (command.what == ASKED_UNSUBSCRIBE && cluster_error_passes(p->error))
        return;
    if (!p->told_refused)
        log_warn("redis", "Redis refuses %s to the subscriber: %s",
                 command.what == ASKED_UNSUBSCRIBE ? "UNSUBSCRIBE"
                 : command.what == ASKED_PING      ? "PING"
                                                   : "something",
                 p->error);
    p->told_refused = true;
}

static bool on_reply(void *ctx, void *reply)
{
    (void)reply;
    struct redis_pubsub *p = ctx;
    if (p->error[0])
        refused(p);
    p->error[0] = '\0';
    return true;
}

static void on_ping(void *ctx)
{
    struct redis_pubsub *p = ctx;
    if (!pending_replies_add(&p->pending_replies, &(struct pending_command){ASKED_PING, 1, 0}))
        redis_conn_replace(p->conn, "out of memory");
}

static void on_skipped(void *ctx, size_t len)
{
    struct redis_pubsub *p = ctx;
    if (p->kind == PUSH_MESSAGE && p->channel.len > 0)
        p->settings.on_too_large(p->settings.ctx, p->channel, len);
}

static void on_ready(void *ctx)
{
    struct redis_pubsub *p = ctx;
    p->kind = PUSH_OTHER;
    p->error[0] = '\0';
    pending_replies_clear(&p->pending_replies);
    p->settings.on_ready(p->settings.ctx);
}

static void on_down(void *ctx)
{
    struct redis_pubsub *p = ctx;
    p->settings.on_down(p->settings.ctx);
}

struct redis_pubsub *redis_pubsub_create(struct ev_loop *loop, const struct redis_pubsub_settings *settings)
{
    struct redis_pubsub *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->settings = *settings;
    // Names and kinds are bulk strings, too, and far shorter than messages that hold several events.
    size_t bulk =
        settings->max_message > ENVELOPE_SEVERAL_BYTES ? settings->max_message : ENVELOPE_SEVERAL_BYTES;
    struct redis_conn_settings conn = {
        .url = settings->url,
        .purpose = "subscriber",
        .client_name = settings->client_name,
        .limits = {.bulk = bulk, .elements = PUSH_ELEMENTS, .bytes = PUSH_ELEMENTS * bulk},
        .functions = &functions,
        .on_ready = on_ready,
        .on_ping = on_ping,
        .on_reply = on_reply,
        .on_skipped = on_skipped,
        .on_down = on_down,
        .ctx = p,
    };
    p->conn = redis_conn_create(loop, &conn);
    if (!p->conn) {
        free(p);
        return NULL;
    }
    return p;
}

void redis_pubsub_destroy(struct redis_pubsub *p)
{
    if (!p)
        return;
    redis_conn_destroy(p->conn);
    pending_replies_deinit(&p->pending_replies);
    free(p);
}

struct redis_conn *redis_pubsub_conn(const struct redis_pubsub *p)
{
    return p->conn;
}

bool redis_pubsub_command(struct redis_pubsub *p, enum asked what, const char *const *names,
                          const size_t *lens, size_t count, uint32_t batch)
{
    static const char *const verbs[] = {"SUBSCRIBE", "UNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"};
    const char *verb = verbs[(what == ASKED_UNSUBSCRIBE) + 2 * p->settings.sharded];
    const char *argv[REDIS_PUBSUB_BATCH_MAX + 1] = {verb};
    size_t argl[REDIS_PUBSUB_BATCH_MAX + 1] = {strlen(verb)};
    assert(count > 0 && count <= REDIS_PUBSUB_BATCH_MAX);
    memcpy(argv + 1, names, count * sizeof *argv);
    memcpy(argl + 1, lens, count * sizeof *argl);
    return redis_conn_send(p->conn, (int)count + 1, argv, argl) &&
           pending_replies_add(&p->pending_replies, &(struct pending_command){what, (uint32_t)count, batch});
}
