#include "gateway/redis/commands.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/command_queue.h"

// A command that was in flight at LOSSES_ALONE lost connections is sent again with a delay, and alone, which
// shows whether its answer takes connections down. After LOST_S of that it is given up.
#define LOSSES_ALONE 3u
#define LOST_S 30.0
// Seconds without a byte of the answer that is due: after ANSWER_PING_S a PING is sent, whose answer shows
// whether the other one was lost; after ANSWER_S the connection is replaced, though PING is answered. Both
// are less than a stream waits for its channels.
#define ANSWER_PING_S 1.0
#define ANSWER_S 10.0
#define ANSWER_CHECK_S 0.5

// An ASK redirection sends ASKING before each command, and that is answered, too.
static bool send_asking(struct commands *q)
{
    const char *asking[] = {"ASKING"};
    return !q->settings.redirected_from || redis_conn_send(q->conn, 1, asking, NULL);
}

// Sends `c`, which is in `list`, or hands it to the queue of its slot. False where it cannot be sent now.
static bool send_command(struct commands *q, struct command_list *list, struct command *c)
{
    struct commands *to = q->settings.redirected_from ? q : queue_of(q, c);
    if (to == q && !(send_asking(q) && c->kind->send(c, q->conn))) {
        queue_retry(q); // without memory: the timer tries it again
        return false;
    }
    TAILQ_REMOVE(list, c, in_list);
    if (to != q && to) {
        queue_hand_over(q, to, c);
    } else if (!to) {
        queue_delay(q, c);
    } else {
        if (TAILQ_EMPTY(&q->sent)) {
            q->heard = ev_now(q->loop);
            if (!ev_is_active(&q->answer))
                ev_timer_again(q->loop, &q->answer);
        }
        TAILQ_INSERT_TAIL(&q->sent, c, in_list);
        queue_class(q, c)->in_flight++;
        q->sent_count++;
    }
    return true;
}

static bool is_alone(const struct command *c)
{
    return c && c->losses >= LOSSES_ALONE;
}

void queue_send(struct commands *q)
{
    if (!redis_conn_is_ready(q->conn) || q->refused || is_alone(TAILQ_FIRST(&q->sent)))
        return;
    for (unsigned i = 0; i < COMMAND_CLASSES_MAX; i++) {
        struct command_list_class *class = &q->classes[i];
        struct command *c = TAILQ_FIRST(&class->waiting);
        if (is_alone(c)) {
            if (TAILQ_EMPTY(&q->sent))
                (void)send_command(q, &class->waiting, c); // there is nothing else to send
            return;
        }
    }
    for (unsigned i = 0; i < COMMAND_CLASSES_MAX; i++) {
        struct command_list_class *class = &q->classes[i];
        struct command *c;
        while (class->in_flight < q->settings.classes[i].in_flight_max &&
               (c = TAILQ_FIRST(&class->waiting)) && !is_alone(c))
            if (!send_command(q, &class->waiting, c))
                return;
    }
}

bool commands_add(struct commands *q, struct command *c)
{
    bool added = queue_add(q, c);
    if (added)
        queue_send(q);
    return added;
}

static void on_ready(void *ctx)
{
    struct commands *q = ctx;
    assert(TAILQ_EMPTY(&q->sent));
    if (q->settings.on_ready)
        q->settings.on_ready(q->settings.ctx);
    queue_send(q);
}

// A command that was in flight may have taken the connection down. Commands go back to the front of the
// waiting list in reverse, so that the first one is first again.
static void put_back(struct commands *q, struct command *c)
{
    double now = ev_now(q->loop);
    if (!q->replacing) {
        c->lost_since = c->losses == 0 ? now : c->lost_since;
        c->losses++;
        if (c->kind->lost)
            c->kind->lost(q->settings.ctx, c);
    }
    if (c->kind->once || (is_alone(c) && now - c->lost_since >= LOST_S))
        queue_answer(q, c, NULL);
    else if (is_alone(c) && !q->replacing)
        queue_delay(q, c);
    else
        TAILQ_INSERT_HEAD(&queue_class(q, c)->waiting, c, in_list);
}

static void on_down(void *ctx)
{
    struct commands *q = ctx;
    struct command *c;
    q->granted = false;
    q->pings = 0;
    q->sent_count = q->answered_count = 0;
    ev_timer_stop(q->loop, &q->answer);
    while ((c = TAILQ_LAST(&q->sent, command_list))) {
        TAILQ_REMOVE(&q->sent, c, in_list);
        queue_class(q, c)->in_flight--;
        put_back(q, c);
    }
    if (q->settings.on_down)
        q->settings.on_down(q->settings.ctx);
}

static void on_ping(void *ctx)
{
    struct commands *q = ctx;
    if (q->pings++ == 0)
        q->ping_after = q->sent_count;
}

// Answers come in order: where one does not come, all commands behind it would wait for ever, too.
static void on_answer_late(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct commands *q = w->data;
    const char *ping[] = {"PING"};
    redis_conn_read(q->conn); // the loop may be late, and the answer unread
    if (redis_conn_reply_bytes(q->conn) != q->heard_bytes)
        q->heard = ev_now(loop);
    q->heard_bytes = redis_conn_reply_bytes(q->conn);
    double silent = ev_now(loop) - q->heard;
    if (TAILQ_EMPTY(&q->sent))
        ev_timer_stop(loop, w);
    else if (silent >= ANSWER_S)
        redis_conn_replace(q->conn, "a command was not answered");
    else if (silent >= ANSWER_PING_S && q->pings == 0 && redis_conn_send(q->conn, 1, ping, NULL))
        on_ping(q);
}

bool command_error_is_final(const char *error)
{
    return strncmp(error, "NOPERM", 6) == 0 || strncmp(error, "WRONGTYPE", 9) == 0 ||
           strncmp(error, "ERR", 3) == 0;
}

// Moves the command to the queue that the error names, sends it again, or takes the error as its answer.
static void take_error(struct commands *q, struct command *c, const redisReply *reply)
{
    const struct commands_settings *s = &q->settings;
    if (c->kind->is_final ? c->kind->is_final(c, reply->str) : command_error_is_final(reply->str)) {
        queue_answer(q, c, reply);
        return;
    }
    struct commands *there = s->route && !s->redirected_from ? ask_redirect_at(q, reply->str) : NULL;
    if (there) {
        queue_hand_over(q, there, c);
        return;
    }
    counter_add(s->counters, COUNTER_REDIS_ERRORS, 1);
    if (s->on_refused)
        s->on_refused(s->ctx, c, reply->str);
    queue_delay(q, c);
    if (s->on_moved && cluster_error_passes(reply->str))
        s->on_moved(s->ctx, reply->str);
}

// ASKING is answered "OK" before the command: without that, `reply` is no answer to the command.
static bool is_granted(struct commands *q, const redisReply *reply)
{
    if (!q->settings.redirected_from || q->granted)
        return true;
    q->granted = reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0;
    if (reply->type == REDIS_REPLY_ERROR) {
        struct commands *redirected_from = q->settings.redirected_from;
        if (!redirected_from->told_refused)
            log_warn("redis", "what is in a slot that moves cannot be read until it has moved: %s",
                     reply->str);
        redirected_from->told_refused = q->refused = true;
    }
    return false;
}

// The connection sends PING between the commands. When PING is answered, the commands before it have been
// answered, or never will be.
static bool take_pong(struct commands *q)
{
    q->pings--;
    return q->answered_count >= q->ping_after;
}

static bool take_reply(struct commands *q, const redisReply *reply)
{
    struct command *c = TAILQ_FIRST(&q->sent);
    if (q->pings > 0 && reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "PONG") == 0)
        return take_pong(q);
    if (!is_granted(q, reply))
        return q->granted;
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    if (!c || (!is_error && !(c->kind->fits ? c->kind->fits(c, reply) : reply->type == REDIS_REPLY_ARRAY)))
        return false;
    assert(queue_class(q, c)->in_flight > 0);
    q->granted = false;
    TAILQ_REMOVE(&q->sent, c, in_list);
    queue_class(q, c)->in_flight--;
    q->answered_count++;
    c->losses = 0;
    if (is_error)
        take_error(q, c, reply);
    else
        queue_answer(q, c, reply);
    queue_send(q);
    return true;
}

static bool on_reply(void *ctx, void *object)
{
    struct commands *q = ctx;
    q->heard = ev_now(q->loop);
    bool expected = take_reply(q, object);
    freeReplyObject(object);
    return expected;
}

struct commands *commands_create(struct ev_loop *loop, const struct commands_settings *settings)
{
    struct commands *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->settings = *settings;
    queue_init(q, loop);
    ask_redirect_init(q);
    ev_timer_init(&q->answer, on_answer_late, 0., ANSWER_CHECK_S);
    q->answer.data = q;
    const struct redis_conn_settings conn = {
        .url = settings->url,
        .purpose = settings->purpose,
        .quiet = true,
        .client_name = settings->client_name,
        .limits = settings->limits,
        .on_ready = on_ready,
        .on_ping = on_ping,
        .on_reply = on_reply,
        .on_down = on_down,
        .ctx = q,
    };
    q->conn = redis_conn_create(loop, &conn);
    if (q->conn)
        return q;
    commands_destroy(q);
    return NULL;
}

void commands_destroy(struct commands *q)
{
    if (!q)
        return;
    ask_redirect_close(q);
    redis_conn_destroy(q->conn);
    queue_empty(q);
    ev_timer_stop(q->loop, &q->retry);
    ev_timer_stop(q->loop, &q->answer);
    free(q);
}

void commands_reconnect(struct commands *q, const char *why)
{
    q->replacing = true;
    redis_conn_replace(q->conn, why);
    q->replacing = false;
}

bool commands_is_connected(const struct commands *q)
{
    return redis_conn_is_ready(q->conn);
}

const struct redis_conn *commands_conn(const struct commands *q)
{
    return q->conn;
}

const char *commands_connect_fault(const struct commands *q)
{
    return redis_conn_fault(q->conn);
}

bool commands_is_idle(const struct commands *q)
{
    bool asked = !TAILQ_EMPTY(&q->sent);
    for (unsigned i = 0; i < COMMAND_CLASSES_MAX; i++)
        asked = asked || !TAILQ_EMPTY(&q->classes[i].waiting);
    return !asked || q->refused || !redis_conn_is_ready(q->conn);
}
