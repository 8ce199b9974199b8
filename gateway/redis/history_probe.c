#include "gateway/redis/history_probe.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/container_of.h"
#include "common/log.h"
#include "common/utf8.h"
#include "gateway/redis/cluster_slots.h"

// Seconds that the server may be away, since connections are lost and made again.
#define AWAY_S 3.0

bool history_send_last(struct redis_conn *conn, const char *channel, size_t len)
{
    char key[CHANNEL_NAME_MAX + 16];
    snprintf(key, sizeof key, "sse:{%.*s}", (int)len, channel);
    const char *argv[] = {"XREVRANGE", key, "+", "-", "COUNT", "1"};
    return redis_conn_send(conn, 6, argv, NULL);
}

static void set_working(struct history_probe *p, bool working)
{
    ev_timer_stop(p->loop, &p->away);
    p->working = working;
    if (working)
        p->fault[0] = '\0';
    if (working && p->told)
        log_info("redis", "histories can be read again");
    else if (!working && !p->told)
        log_warn("redis", "histories cannot be read: %s", history_probe_fault(p));
    p->told = !working;
}

static void on_away(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    set_working(w->data, false);
}

static struct history_probe *probe_of(const struct command *c)
{
    return container_of(c, struct history_probe, command);
}

static bool on_send(const struct command *c, struct redis_conn *conn)
{
    const struct history_probe *p = probe_of(c);
    return history_send_last(conn, p->channel, p->channel_len);
}

// A node that answers with an error of a cluster that changes, such as MOVED, does answer queries.
static bool is_final(const struct command *c, const char *error)
{
    (void)c;
    return command_error_is_final(error) || cluster_error_passes(error);
}

static void on_answer(void *ctx, struct command *c, const struct command_answer *answer)
{
    (void)ctx;
    struct history_probe *p = probe_of(c);
    p->asked = false;
    if (answer->reply)
        set_working(p, true);
}

static void on_forget(void *ctx, struct command *c)
{
    (void)ctx;
    probe_of(c)->asked = false;
}

static const struct command_kind kind = {
    .of_connection = true,
    .send = on_send,
    .is_final = is_final,
    .answer = on_answer,
    .forget = on_forget,
};

static void ask(struct history_probe *p)
{
    p->command.kind = &kind;
    p->asked = p->asked || commands_add(p->queue, &p->command);
}

void history_probe_init(struct history_probe *p, struct ev_loop *loop, struct commands *queue)
{
    *p = (struct history_probe){.loop = loop, .queue = queue};
    p->channel_len = (size_t)snprintf(p->channel, sizeof p->channel, "sse:probe");
    ev_timer_init(&p->away, on_away, 0., AWAY_S);
    p->away.data = p;
}

void history_probe_deinit(struct history_probe *p)
{
    ev_timer_stop(p->loop, &p->away);
}

void history_probe_lost(struct history_probe *p)
{
    if (p->working && !ev_is_active(&p->away))
        ev_timer_again(p->loop, &p->away);
}

void history_probe_connected(struct history_probe *p)
{
    if (p->fault[0] == '\0')
        snprintf(p->fault, sizeof p->fault, "no question was answered yet");
    history_probe_lost(p); // until it is answered
    ask(p);
}

void history_probe_answered(struct history_probe *p)
{
    set_working(p, true);
}

void history_probe_refused(struct history_probe *p, const char *channel, size_t len, const char *error)
{
    utf8_copy_ascii(p->fault, sizeof p->fault, error);
    if (channel) {
        assert(len <= sizeof p->channel);
        memcpy(p->channel, channel, len);
        p->channel_len = len;
        ask(p);
    }
    set_working(p, false);
}

const char *history_probe_fault(const struct history_probe *p)
{
    if (p->working)
        return "";
    if (commands_is_connected(p->queue))
        return p->fault;
    const char *fault = commands_connect_fault(p->queue);
    return fault[0] ? fault : "the connection for histories is not up";
}
