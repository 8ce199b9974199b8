#include "gateway/threads/bus.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "gateway/redis/canary.h"
#include "gateway/redis/interest.h"
#include "gateway/redis/redis_pubsub.h"
#include "gateway/threads/delivery.h"
#include "gateway/threads/thread.h"

// The canary is one more that wants a channel, beside the workers: it is resubscribed as they are.
#define CANARY_BIT 63u
#define LINGER_MS 5000u
#define LINGER_CHECK_S 0.5
#define LINGERING_MAX 16384u // channels; beyond it the oldest goes at once
#define RETRY_DENIED_S 5.0
#define ALIVE_EVERY_S 1.0
#define BATCH 256

struct bus {
    struct bus_settings settings;
    struct delivery delivery;
    struct ev_loop *loop;
    struct mailbox *inbox;
    struct redis_pubsub *pubsub;
    struct canary *canary;
    struct interest_set interest;
    struct counters counters;
    ev_prepare end_of_turn;
    ev_timer linger, retry_denied, alive;
    _Atomic bool proven;
    _Atomic uint64_t alive_at;
    pthread_t thread;
    bool running;
};

static void on_message(void *ctx, const char *channel, size_t channel_len, const char *payload, size_t len)
{
    struct bus *b = ctx;
    uint64_t hash = map_hash(channel, channel_len);
    struct interest *i = interest_find(&b->interest, hash, channel, channel_len);
    if (i && i->workers & UINT64_C(1) << CANARY_BIT) {
        canary_back(b->canary, payload, len);
        return;
    }
    counter_add(&b->counters, COUNTER_MESSAGES_RECEIVED, 1);
    counter_add(&b->counters, COUNTER_MESSAGE_BYTES, (int64_t)len);
    if (!i || i->workers == 0) {
        counter_add(&b->counters, COUNTER_DROPPED_UNWANTED, 1);
        return;
    }
    delivery_message(&b->delivery, i, payload, len);
}

static void on_too_large(void *ctx, const char *channel, size_t channel_len, size_t len)
{
    struct bus *b = ctx;
    counter_add(&b->counters, COUNTER_MESSAGES_RECEIVED, 1);
    delivery_drop(&b->delivery, COUNTER_DROPPED_TOO_LARGE, channel, channel_len, len);
}

static void on_subscribed(void *ctx, const char *channel, size_t channel_len)
{
    struct bus *b = ctx;
    struct interest *i = interest_confirm(&b->interest, map_hash(channel, channel_len), channel, channel_len);
    if (!i)
        return;
    if (i->workers & UINT64_C(1) << CANARY_BIT) {
        canary_listen(b->canary);
        return;
    }
    counter_add(&b->counters, COUNTER_SUBSCRIPTIONS, 1);
    for (size_t w = 0; w < b->settings.worker_count; w++) {
        if (!(i->workers & UINT64_C(1) << w))
            continue;
        if (i->was_active)
            delivery_gap(&b->delivery, i, w); // what was published while the connection was lost
        delivery_tell(&b->delivery, w, MAIL_CONFIRMED, i);
    }
    i->was_active = false;
}

static void on_redis_error(void *ctx, const char *text)
{
    struct bus *b = ctx;
    counter_add(&b->counters, COUNTER_REDIS_ERRORS, 1);
    struct interest *denied = interest_refuse_oldest(&b->interest);
    if (!denied)
        return;
    if (denied->was_active)
        for (size_t w = 0; w < b->settings.worker_count; w++)
            if (denied->workers & UINT64_C(1) << w)
                delivery_gap(&b->delivery, denied, w);
    if (!denied->told_denied)
        log_warn("redis", "cannot subscribe to %.*s: %s; its new streams are refused until Redis allows it",
                 (int)denied->entry.len, denied->name, text);
    denied->told_denied = true;
}

static void on_redis_ready(void *ctx)
{
    struct bus *b = ctx;
    counter_add(&b->counters, COUNTER_REDIS_CONNECTS, 1);
    counter_set(&b->counters, COUNTER_REDIS_CONNECTED, 1);
}

static void on_redis_down(void *ctx)
{
    struct bus *b = ctx;
    counter_set(&b->counters, COUNTER_REDIS_CONNECTED, 0);
    counter_set(&b->counters, COUNTER_SUBSCRIPTIONS, 0);
    canary_lost(b->canary);
    const char *name = canary_channel(b->canary);
    // The canary's channel behind all others: when it is heard again, they are heard, too.
    interest_reset(&b->interest,
                   interest_find(&b->interest, map_hash(name, strlen(name)), name, strlen(name)));
    delivery_unconfirm(&b->delivery);
}

static void on_proven(void *ctx, bool proven)
{
    struct bus *b = ctx;
    atomic_store(&b->proven, proven);
    if (proven)
        log_info("bus", "delivery is proven: ready");
}

static void on_deaf(void *ctx)
{
    struct bus *b = ctx;
    redis_pubsub_replace(b->pubsub, "connected, but what is published does not arrive");
}

static bool bus_command(struct bus *b, const char *command, struct interest *const *batch, size_t count)
{
    const char *names[BATCH];
    size_t lens[BATCH];
    for (size_t i = 0; i < count; i++) {
        names[i] = batch[i]->name;
        lens[i] = batch[i]->entry.len;
    }
    return redis_pubsub_command(b->pubsub, command, names, lens, count);
}

// At the end of a turn: its messages go to the workers, and all that was wanted in it goes out in few
// commands.
static void on_end_of_turn(struct ev_loop *loop, ev_prepare *p, int events)
{
    (void)loop, (void)events;
    struct bus *b = p->data;
    delivery_flush(&b->delivery);
    struct interest *batch[BATCH];
    size_t n;
    while (redis_pubsub_is_ready(b->pubsub) && (n = interest_take_batch(&b->interest, batch, BATCH)) > 0)
        if (!bus_command(b, "SUBSCRIBE", batch, n))
            redis_pubsub_replace(b->pubsub, "out of memory");
}

static void bus_unsubscribe_expired(struct bus *b, uint64_t now_ms, size_t max)
{
    struct interest *batch[BATCH];
    size_t n;
    while (max > 0 &&
           (n = interest_take_expired(&b->interest, now_ms, batch, max < BATCH ? max : BATCH)) > 0) {
        max -= n;
        for (size_t i = 0; i < n; i++)
            if (batch[i]->state == INTEREST_ACTIVE)
                counter_add(&b->counters, COUNTER_SUBSCRIPTIONS, -1);
        if (!bus_command(b, "UNSUBSCRIBE", batch, n) && redis_pubsub_is_ready(b->pubsub))
            redis_pubsub_replace(b->pubsub, "out of memory");
        for (size_t i = 0; i < n; i++)
            free(batch[i]);
    }
}

static void on_linger(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct bus *b = timer->data;
    bus_unsubscribe_expired(b, clock_monotonic_ms(), SIZE_MAX);
}

static void on_retry_denied(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct bus *b = timer->data;
    interest_retry_denied(&b->interest);
}

static void on_alive(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct bus *b = timer->data;
    atomic_store_explicit(&b->alive_at, clock_monotonic_ms(), memory_order_relaxed);
    counter_set(&b->counters, COUNTER_CONNECTION_BYTES, interest_bytes(&b->interest));
}

static void bus_wanted(struct bus *b, unsigned worker, const struct channel_name *name)
{
    struct interest *i = interest_want(&b->interest, worker, name->hash, name->text, name->len);
    if (!i)
        log_error("bus", "out of memory: channel %.*s is not subscribed", (int)name->len, name->text);
    else if (i->state == INTEREST_ACTIVE)
        delivery_tell(&b->delivery, worker, MAIL_CONFIRMED, i);
}

static void on_mail(void *ctx, const struct mail *mail, bool last)
{
    (void)last;
    struct bus *b = ctx;
    switch ((enum mail_kind)mail->kind) {
    case MAIL_WANTED:
        bus_wanted(b, mail->from, mail->name);
        free(mail->name);
        break;
    case MAIL_UNWANTED:
        interest_unwant(&b->interest, mail->from, mail->name->hash, mail->name->text, mail->name->len,
                        clock_monotonic_ms() + LINGER_MS);
        free(mail->name);
        if (b->interest.lingering_count > LINGERING_MAX)
            bus_unsubscribe_expired(b, UINT64_MAX, b->interest.lingering_count - LINGERING_MAX);
        break;
    case MAIL_STOP:
        ev_break(b->loop, EVBREAK_ALL);
        break;
    default:
        break;
    }
}

static void start_timer(struct bus *b, ev_timer *timer, void (*on_fire)(struct ev_loop *, ev_timer *, int),
                        double every_s)
{
    ev_timer_init(timer, on_fire, every_s, every_s);
    timer->data = b;
    ev_timer_start(b->loop, timer);
}

static bool bus_open_redis(struct bus *b)
{
    struct redis_pubsub_settings pubsub = {
        .url = b->settings.redis,
        .client_name = b->settings.client_name,
        .max_message = b->settings.max_message,
        .on_ready = on_redis_ready,
        .on_down = on_redis_down,
        .on_message = on_message,
        .on_too_large = on_too_large,
        .on_subscribed = on_subscribed,
        .on_error = on_redis_error,
        .ctx = b,
    };
    struct canary_settings canary = {.url = b->settings.redis,
                                     .client_name = b->settings.client_name,
                                     .counters = &b->counters,
                                     .on_proven = on_proven,
                                     .on_deaf = on_deaf,
                                     .ctx = b};
    b->pubsub = redis_pubsub_create(b->loop, &pubsub);
    b->canary = canary_create(b->loop, &canary);
    if (!b->pubsub || !b->canary)
        return false;
    const char *name = canary_channel(b->canary);
    return interest_want(&b->interest, CANARY_BIT, map_hash(name, strlen(name)), name, strlen(name)) != NULL;
}

struct bus *bus_create(const struct bus_settings *settings)
{
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->settings = *settings;
    interest_init(&b->interest);
    b->delivery = (struct delivery){.interest = &b->interest,
                                    .counters = &b->counters,
                                    .payload = &b->settings.payload,
                                    .workers = settings->workers,
                                    .worker_count = settings->worker_count};
    b->loop = ev_loop_new(EVBACKEND_EPOLL);
    if (!b->loop)
        goto fail;
    b->inbox = mailbox_create(b->loop, SIZE_MAX, on_mail, b);
    if (!b->inbox || !bus_open_redis(b))
        goto fail;
    // Before the connection's own end of turn, which writes what is queued here.
    ev_prepare_init(&b->end_of_turn, on_end_of_turn);
    ev_set_priority(&b->end_of_turn, EV_MAXPRI);
    b->end_of_turn.data = b;
    ev_prepare_start(b->loop, &b->end_of_turn);
    start_timer(b, &b->linger, on_linger, LINGER_CHECK_S);
    start_timer(b, &b->retry_denied, on_retry_denied, RETRY_DENIED_S);
    start_timer(b, &b->alive, on_alive, ALIVE_EVERY_S);
    atomic_store(&b->alive_at, clock_monotonic_ms());
    return b;
fail:
    bus_destroy(b);
    return NULL;
}

static void *bus_run(void *arg)
{
    struct bus *b = arg;
    ev_run(b->loop, 0);
    return NULL;
}

bool bus_start(struct bus *b)
{
    b->running = thread_start(&b->thread, "bus", bus_run, b);
    return b->running;
}

struct mailbox *bus_mailbox(struct bus *b)
{
    return b->inbox;
}

void bus_stop(struct bus *b)
{
    if (b->running)
        thread_stop(b->thread, b->inbox);
    b->running = false;
}

void bus_destroy(struct bus *b)
{
    if (!b)
        return;
    redis_pubsub_destroy(b->pubsub);
    canary_destroy(b->canary);
    mailbox_destroy(b->inbox);
    interest_deinit(&b->interest);
    if (b->loop)
        ev_loop_destroy(b->loop);
    free(b);
}

bool bus_is_proven(const struct bus *b)
{
    return atomic_load(&b->proven);
}

const struct counters *bus_counters(const struct bus *b)
{
    return &b->counters;
}

uint64_t bus_alive_at(const struct bus *b)
{
    return atomic_load_explicit(&b->alive_at, memory_order_relaxed);
}
