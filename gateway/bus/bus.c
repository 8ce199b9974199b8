#include "gateway/bus/bus.h"

#include <ev.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/bus/delivery.h"
#include "gateway/bus/cluster.h"
#include "gateway/threads/thread.h"

#define LINGER_CHECK_S 0.5
#define RETRY_DENIED_S 5.0
#define ALIVE_EVERY_S 1.0

struct bus {
    struct bus_settings settings;
    struct delivery delivery;
    struct ev_loop *loop;
    struct mailbox *inbox;
    struct cluster *cluster;
    struct counters counters;
    ev_prepare end_of_turn;
    ev_timer linger, retry_denied, alive;
    _Atomic bool proven;
    _Atomic uint64_t alive_at;
    pthread_t thread;
    bool running;
};

static struct interest *on_find(void *ctx, uint64_t hash, const char *name, size_t len)
{
    const struct bus *b = ctx;
    return cluster_find(b->cluster, hash, name, len);
}

static void on_proven(void *ctx, bool proven)
{
    struct bus *b = ctx;
    if (atomic_exchange(&b->proven, proven) != proven && proven)
        log_info("bus", "delivery is proven: ready");
}

// At the end of a turn: its messages go to the workers, and all that was wanted in it goes out in few
// commands.
static void on_end_of_turn(struct ev_loop *loop, ev_prepare *p, int events)
{
    (void)loop, (void)events;
    struct bus *b = p->data;
    delivery_flush(&b->delivery);
    cluster_subscribe_fresh(b->cluster);
}

static void on_linger(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct bus *b = timer->data;
    cluster_unsubscribe_expired(b->cluster);
}

static void on_retry_denied(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct bus *b = timer->data;
    cluster_retry_denied(b->cluster);
}

static void on_alive(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct bus *b = timer->data;
    counter_set(&b->counters, COUNTER_CONNECTION_BYTES, cluster_bytes(b->cluster));
    cluster_look_after(b->cluster);
    atomic_store_explicit(&b->alive_at, clock_monotonic_ms(), memory_order_relaxed);
}

static void on_mail(void *ctx, const struct mail *mail, bool last)
{
    (void)last;
    struct bus *b = ctx;
    switch ((enum mail_kind)mail->kind) {
    case MAIL_WANTED:
        delivery_note_subscribe_seq(&b->delivery, mail->from, mail->name->subscribe_seq);
        cluster_want(b->cluster, mail->from, mail->name);
        free(mail->name);
        break;
    case MAIL_UNWANTED:
        cluster_unwant(b->cluster, mail->from, mail->name);
        free(mail->name);
        break;
    case MAIL_HISTORY:
        cluster_history(b->cluster, mail->from, mail->name);
        free(mail->name);
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
    const struct cluster_settings cluster = {.url = b->settings.redis,
                                             .sharded = b->settings.sharded,
                                             .client_name = b->settings.client_name,
                                             .max_message = b->settings.max_message,
                                             .durable = b->settings.durable,
                                             .durable_count = b->settings.durable_count,
                                             .delivery = &b->delivery,
                                             .counters = &b->counters,
                                             .on_proven = on_proven,
                                             .ctx = b};
    b->cluster = cluster_create(b->loop, &cluster);
    return b->cluster != NULL;
}

struct bus *bus_create(const struct bus_settings *settings)
{
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->settings = *settings;
    b->delivery = (struct delivery){.find = on_find,
                                    .find_ctx = b,
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
    cluster_destroy(b->cluster);
    mailbox_destroy(b->inbox);
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
