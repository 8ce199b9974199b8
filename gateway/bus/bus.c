#include "gateway/bus/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"
#include "common/thread.h"
#include "gateway/bus/announcer.h"
#include "gateway/bus/bus_env.h"
#include "gateway/bus/cluster.h"
#include "gateway/bus/revocation.h"
#include "gateway/bus/trace_reports.h"

#define TICK_S 1.0
#define LAG_TICK_MS 250u

TAILQ_HEAD(channel_mails, channel_mail);

struct bus {
    struct bus_settings settings;
    struct bus_env env;
    struct channels channels;
    struct delivery delivery;
    struct busy_channels busy;
    struct ev_loop *loop;
    struct mailbox *inbox;
    struct cluster *cluster;
    struct revocation revocation;
    struct announcer announcer;
    struct trace_reports trace_reports;
    struct counters counters;
    struct channel_mails waiting; // mails that wait for memory, in the order of posting
    ev_prepare end_of_turn;
    ev_timer tick;
    ev_timer lag; // of a loop of its own; a worker's loop notes its lag itself
    // Guards the next two: the bus alone writes them, other threads read them for a page.
    pthread_mutex_t look_lock;
    char fault[BUS_FAULT_MAX]; // empty exactly where `proven`
    struct bus_view view;      // as of the last tick, or the last change of `fault`
    _Atomic bool proven;
    _Atomic uint64_t alive_at;
    pthread_t thread;
    bool running;
};

static void note_fault(struct bus *b)
{
    const char *fault = cluster_fault(b->cluster);
    if (strncmp(fault, b->fault, sizeof b->fault - 1) == 0)
        return;
    pthread_mutex_lock(&b->look_lock);
    utf8_copy_ascii(b->fault, sizeof b->fault, fault);
    bus_view_take(&b->view, b->cluster);
    pthread_mutex_unlock(&b->look_lock);
    bool proven = b->fault[0] == '\0';
    if (atomic_exchange(&b->proven, proven) != proven && proven)
        log_info("bus", "delivery is proven: ready");
}

// At the end of a turn: its messages go to the workers, FRESH channels to Redis in few commands, and whether
// delivery is proven to whoever asks.
static void on_end_of_turn(struct ev_loop *loop, ev_prepare *p, int events)
{
    (void)loop, (void)events;
    struct bus *b = p->data;
    delivery_flush(&b->delivery);
    cluster_subscribe_fresh(b->cluster);
    counter_set(&b->counters, COUNTER_SUBSCRIPTIONS, b->channels.active_count);
    note_fault(b);
}

// False when out of memory: `m` is still the caller's.
static bool take_mail(struct bus *b, enum mail_kind kind, unsigned worker, struct channel_mail *m)
{
    const struct channel_ref channel = channel_mail_ref(m);
    bool taken = true;
    if (kind == MAIL_WANTED) {
        b->delivery.subscribe_seq[worker] = m->subscribe_seq;
        taken = cluster_want(b->cluster, worker, channel);
    } else if (kind == MAIL_UNWANTED) {
        cluster_unwant(b->cluster, worker, channel);
    } else {
        taken = cluster_history(b->cluster, worker, channel, &m->query);
    }
    if (taken)
        free(m);
    return taken;
}

static void retry_waiting(struct bus *b)
{
    for (struct channel_mail *m; (m = TAILQ_FIRST(&b->waiting));) {
        TAILQ_REMOVE(&b->waiting, m, in_retry);
        if (!take_mail(b, (enum mail_kind)m->kind, m->from, m)) {
            TAILQ_INSERT_HEAD(&b->waiting, m, in_retry);
            return;
        }
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct bus *b = timer->data;
    counter_set(&b->counters, COUNTER_CONNECTION_BYTES, channels_bytes(&b->channels));
    retry_waiting(b);
    cluster_tick(b->cluster);
    revocation_retry(&b->revocation);
    pthread_mutex_lock(&b->look_lock);
    bus_view_take(&b->view, b->cluster);
    pthread_mutex_unlock(&b->look_lock);
    atomic_store_explicit(&b->alive_at, clock_monotonic_ms(), memory_order_relaxed);
}

static void note_lag(struct bus *b)
{
    loop_lag_tick(&b->counters.lag, LAG_TICK_MS * UINT64_C(1000000), clock_monotonic_ns());
}

static void on_lag(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    note_lag(timer->data);
}

static void on_channel_mail(struct bus *b, const struct mail *mail)
{
    struct channel_mail *m = mail->channel;
    if (TAILQ_EMPTY(&b->waiting) && take_mail(b, (enum mail_kind)mail->kind, mail->from, m))
        return;
    if (TAILQ_EMPTY(&b->waiting))
        log_error("bus", "out of memory: channels wait to be subscribed");
    m->kind = mail->kind;
    m->from = mail->from;
    TAILQ_INSERT_TAIL(&b->waiting, m, in_retry);
}

static void on_mail(void *ctx, const struct mail *mail, bool more)
{
    (void)more;
    struct bus *b = ctx;
    switch ((enum mail_kind)mail->kind) {
    case MAIL_WANTED:
    case MAIL_UNWANTED:
    case MAIL_HISTORY:
        on_channel_mail(b, mail);
        break;
    case MAIL_TRACED:
        trace_reports_send(&b->trace_reports, mail);
        free(mail->channel);
        break;
    case MAIL_ASK:
        cluster_ask(b->cluster, mail->from, mail->question);
        break;
    case MAIL_STOP:
        ev_break(b->loop, EVBREAK_ALL);
        break;
    default:
        break;
    }
}

static void on_batch_end(void *ctx, uint64_t begun_ns)
{
    (void)begun_ns;
    struct bus *b = ctx;
    cluster_subscribe_fresh(b->cluster); // in a worker's loop, on_end_of_turn may have run already
}

static bool bus_open_redis(struct bus *b)
{
    const struct bus_settings *s = &b->settings;
    b->env = (struct bus_env){.loop = b->loop,
                              .channels = &b->channels,
                              .delivery = &b->delivery,
                              .counters = &b->counters,
                              .url = s->redis,
                              .client_name = s->client_name,
                              .max_message = s->max_message,
                              .sharded = s->sharded,
                              .durable = s->durable,
                              .durable_count = s->durable_count,
                              .asks = s->asks,
                              .revocations = s->revocations};
    b->revocation = (struct revocation){.env = &b->env, .lease_owner = s->lease_owner};
    b->cluster = cluster_create(&b->env);
    b->trace_reports =
        (struct trace_reports){.env = &b->env, .cluster = b->cluster, .gateway_id = s->gateway_id};
    trace_reports_start(&b->trace_reports);
    b->revocation.scan = (struct revocation_scan){.env = &b->env, .cluster = b->cluster};
    return b->cluster && announcer_start(&b->announcer, &s->tier, &b->env, b->cluster) &&
           (!s->revokes ||
            cluster_listen(b->cluster, REVOCATION_CHANNEL, &revocation_handler, &b->revocation));
}

static bool bus_open_loop(struct bus *b)
{
    const struct mailbox_hooks hooks = {.on_mail = on_mail, .on_batch_end = on_batch_end, .ctx = b};
    bool shared = b->settings.loop != NULL;
    b->loop = shared ? b->settings.loop : ev_loop_new(EVBACKEND_EPOLL);
    if (!b->loop)
        return false;
    b->inbox = mailbox_create(b->loop, shared, SIZE_MAX, &hooks);
    return b->inbox != NULL;
}

static void bus_start_watchers(struct bus *b)
{
    // Before the connection's own end of turn, which writes what is queued here.
    ev_prepare_init(&b->end_of_turn, on_end_of_turn);
    ev_set_priority(&b->end_of_turn, EV_MAXPRI);
    b->end_of_turn.data = b;
    ev_prepare_start(b->loop, &b->end_of_turn);
    ev_timer_init(&b->tick, on_tick, TICK_S, TICK_S);
    b->tick.data = b;
    ev_timer_start(b->loop, &b->tick);
    ev_timer_init(&b->lag, on_lag, LAG_TICK_MS / 1000.0, LAG_TICK_MS / 1000.0);
    b->lag.data = b;
    if (!b->settings.loop) {
        ev_timer_start(b->loop, &b->lag);
        note_lag(b);
    }
}

struct bus *bus_create(const struct bus_settings *settings)
{
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->settings = *settings;
    if (pthread_mutex_init(&b->look_lock, NULL) != 0) {
        free(b);
        return NULL;
    }
    if (!busy_channels_init(&b->busy)) {
        pthread_mutex_destroy(&b->look_lock);
        free(b);
        return NULL;
    }
    channels_init(&b->channels);
    TAILQ_INIT(&b->waiting);
    b->delivery = (struct delivery){.channels = &b->channels,
                                    .counters = &b->counters,
                                    .payload = &b->settings.payload,
                                    .max_message = b->settings.max_message,
                                    .busy = &b->busy,
                                    .workers = settings->workers,
                                    .worker_count = settings->worker_count};
    if (!bus_open_loop(b) || !bus_open_redis(b)) {
        bus_destroy(b);
        return NULL;
    }
    note_fault(b);
    bus_start_watchers(b);
    atomic_store(&b->alive_at, clock_monotonic_ms());
    return b;
}

static void *bus_run(void *arg)
{
    struct bus *b = arg;
    ev_run(b->loop, 0);
    return NULL;
}

bool bus_start(struct bus *b)
{
    if (b->settings.loop)
        return true;
    b->running = thread_start(&b->thread, "bus", bus_run, b);
    return b->running;
}

struct mailbox *bus_mailbox(struct bus *b)
{
    return b->inbox;
}

void bus_read(struct bus *b)
{
    cluster_read(b->cluster);
    delivery_flush(&b->delivery);
    cluster_subscribe_fresh(b->cluster); // the end of this turn may be past
}

void bus_stop(struct bus *b)
{
    if (b->running)
        mailbox_stop_thread(b->inbox, b->thread);
    b->running = false;
}

void bus_destroy(struct bus *b)
{
    if (!b)
        return;
    announcer_stop(&b->announcer);
    cluster_destroy(b->cluster);
    mailbox_destroy(b->inbox);
    for (struct channel_mail *m; (m = TAILQ_FIRST(&b->waiting));) {
        TAILQ_REMOVE(&b->waiting, m, in_retry);
        free(m);
    }
    delivery_release(&b->delivery);
    channels_deinit(&b->channels);
    if (b->loop) {
        ev_prepare_stop(b->loop, &b->end_of_turn);
        ev_timer_stop(b->loop, &b->tick);
        ev_timer_stop(b->loop, &b->lag);
    }
    if (b->loop && !b->settings.loop)
        ev_loop_destroy(b->loop);
    bus_view_free(&b->view);
    busy_channels_deinit(&b->busy);
    pthread_mutex_destroy(&b->look_lock);
    free(b);
}

bool bus_is_proven(const struct bus *b)
{
    return atomic_load(&b->proven);
}

void bus_fault(struct bus *b, char *out)
{
    pthread_mutex_lock(&b->look_lock);
    memcpy(out, b->fault, sizeof b->fault);
    pthread_mutex_unlock(&b->look_lock);
}

bool bus_look(struct bus *b, struct bus_view *out)
{
    pthread_mutex_lock(&b->look_lock);
    bool ok = bus_view_copy(out, &b->view);
    pthread_mutex_unlock(&b->look_lock);
    return ok;
}

struct busy_channels *bus_busy_channels(struct bus *b)
{
    return &b->busy;
}

const struct counters *bus_counters(const struct bus *b)
{
    return &b->counters;
}

uint64_t bus_alive_at(const struct bus *b)
{
    return atomic_load_explicit(&b->alive_at, memory_order_relaxed);
}
