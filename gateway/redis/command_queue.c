#include "gateway/redis/command_queue.h"

#include <assert.h>

#include "common/clock.h"

// Seconds before a command is asked again that was not answered: 0.05, doubled each time up to 0.8.
#define DELAY_FIRST_S 0.05
// Age after which a command that was not sent is checked again: its answer may not be awaited any more, or
// the user has asked anew.
#define PATIENCE_MS 60000u

struct command_list_class *queue_class(struct commands *q, const struct command *c)
{
    assert(c->kind->class < COMMAND_CLASSES_MAX);
    return &q->classes[c->kind->class];
}

static void leave(struct commands *q, const struct command *c)
{
    assert(queue_class(q, c)->count > 0);
    queue_class(q, c)->count--;
}

static void retry_in(struct commands *q, double s)
{
    if (ev_is_active(&q->retry) && ev_timer_remaining(q->loop, &q->retry) <= s)
        return;
    ev_timer_stop(q->loop, &q->retry);
    ev_timer_set(&q->retry, s, 0.);
    ev_timer_start(q->loop, &q->retry);
}

static void move_count(struct commands *q, struct commands *to, const struct command *c)
{
    leave(q, c);
    queue_class(to, c)->count++;
}

void queue_retry(struct commands *q)
{
    retry_in(q, DELAY_FIRST_S);
}

void queue_delay(struct commands *q, struct command *c)
{
    struct commands *to = q->settings.redirected_from ? q->settings.redirected_from : q;
    unsigned i = c->delays < COMMAND_DELAYS ? c->delays++ : COMMAND_DELAYS - 1;
    double s = DELAY_FIRST_S * (1u << i);
    move_count(q, to, c);
    c->due = ev_now(q->loop) + s;
    TAILQ_INSERT_TAIL(&to->delayed[i], c, in_list);
    retry_in(to, s);
}

struct commands *queue_of(struct commands *q, const struct command *c)
{
    if (q->settings.redirected_from)
        return q->settings.redirected_from;
    return q->settings.route && !c->kind->of_connection ? q->settings.route(q->settings.ctx, c) : q;
}

// `to` sends in a turn of its own, and may exceed its bound: a command that was accepted once is not refused.
void queue_hand_over(struct commands *q, struct commands *to, struct command *c)
{
    assert(q != to);
    move_count(q, to, c);
    c->losses = c->delays = 0;
    TAILQ_INSERT_TAIL(&queue_class(to, c)->waiting, c, in_list);
    retry_in(to, 0.);
}

static void forget(struct commands *q, struct command *c)
{
    leave(q, c);
    c->kind->forget(q->settings.ctx, c);
}

void queue_answer(struct commands *q, struct command *c, const redisReply *reply)
{
    const struct command_answer a = {.reply = reply, .bytes = reply ? redis_conn_reply_bytes(q->conn) : 0};
    leave(q, c);
    c->kind->answer(q->settings.ctx, c, &a);
}

static bool is_awaited(const struct commands *q, const struct command *c)
{
    return c->kind->of_connection || (c->kind->is_awaited && c->kind->is_awaited(q->settings.ctx, c));
}

static bool is_given_up(const struct commands *q, const struct command *c, uint64_t now_ms)
{
    return now_ms - c->asked_ms >= PATIENCE_MS && !is_awaited(q, c);
}

// However long Redis is away, only commands wait here that are awaited or were added lately: each addition
// checks the oldest two.
static void forget_given_up(struct commands *q, struct command_list *list, uint64_t now_ms)
{
    for (int i = 0; i < 2; i++) {
        struct command *c = TAILQ_FIRST(list);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in no list any more
        if (!c || now_ms - c->asked_ms < PATIENCE_MS)
            return;
        TAILQ_REMOVE(list, c, in_list);
        if (is_awaited(q, c)) {
            c->asked_ms = now_ms;
            TAILQ_INSERT_TAIL(list, c, in_list);
        } else {
            forget(q, c);
        }
    }
}

// Redis may also be connected for long and answer none of them.
static void on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct commands *q = w->data;
    uint64_t now_ms = clock_monotonic_ms();
    double now = ev_now(loop);
    for (unsigned i = 0; i < COMMAND_DELAYS; i++) {
        struct command *c;
        while ((c = TAILQ_FIRST(&q->delayed[i])) && c->due <= now) {
            TAILQ_REMOVE(&q->delayed[i], c, in_list);
            if (is_given_up(q, c, now_ms))
                forget(q, c);
            else
                TAILQ_INSERT_TAIL(&queue_class(q, c)->waiting, c, in_list);
        }
        if (c)
            retry_in(q, c->due - now);
    }
    queue_send(q);
}

bool queue_add(struct commands *q, struct command *c)
{
    struct command_list_class *class = queue_class(q, c);
    size_t max = q->settings.classes[c->kind->class].max;
    assert(c->kind->send && c->kind->answer && c->kind->forget);
    if (max > 0 && class->count >= max)
        return false;
    *c = (struct command){.kind = c->kind, .asked_ms = clock_monotonic_ms()};
    class->count++;
    TAILQ_INSERT_TAIL(&class->waiting, c, in_list);
    forget_given_up(q, &class->waiting, c->asked_ms);
    return true;
}

void queue_init(struct commands *q, struct ev_loop *loop)
{
    q->loop = loop;
    TAILQ_INIT(&q->sent);
    for (unsigned i = 0; i < COMMAND_DELAYS; i++)
        TAILQ_INIT(&q->delayed[i]);
    for (unsigned i = 0; i < COMMAND_CLASSES_MAX; i++)
        TAILQ_INIT(&q->classes[i].waiting);
    ev_timer_init(&q->retry, on_retry, 0., 0.);
    q->retry.data = q;
}

void queue_stop(struct commands *q)
{
    ev_timer_stop(q->loop, &q->retry);
}

static void empty_list(struct commands *q, struct command_list *list)
{
    struct command *c;
    while ((c = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, c, in_list);
        struct commands *to = queue_of(q, c);
        if (to && to != q)
            queue_hand_over(q, to, c);
        else
            forget(q, c);
    }
}

void queue_empty(struct commands *q)
{
    empty_list(q, &q->sent);
    for (unsigned i = 0; i < COMMAND_CLASSES_MAX; i++)
        empty_list(q, &q->classes[i].waiting);
    for (unsigned i = 0; i < COMMAND_DELAYS; i++)
        empty_list(q, &q->delayed[i]);
    for (unsigned i = 0; i < COMMAND_CLASSES_MAX; i++)
        assert(q->classes[i].count == 0);
}
