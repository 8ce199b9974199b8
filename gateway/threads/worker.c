#include "gateway/threads/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/thread.h"
#include "gateway/client/listen_address.h"
#include "gateway/client/listener.h"
#include "gateway/fanout/delivery_times.h"
#include "gateway/fanout/gap.h"
#include "gateway/threads/tracing.h"

#define ALIVE_EVERY_S 1.0

struct worker {
    struct worker_settings settings;
    struct ev_loop *loop;
    struct client_loop clients;
    struct counters counters;
    struct delivery_times times; // of the batch of mails that is being handed over
    struct tracing tracing;      // likewise
    struct mailbox *inbox;
    struct mailbox *bus_inbox; // `inbox`, or a local box where the bus shares the loop
    struct mailbox *bus, *main;
    struct listener listeners[LISTEN_MAX];
    ev_timer alive;
    ev_prepare watch_empty;
    _Atomic uint64_t alive_at;
    pthread_t thread;
    bool running, stopped, told_empty;
    bool has_unreleased; // there was no memory to tell the bus that a channel was left
};

// Takes `channel`, which may be NULL: out of memory.
static bool worker_ask(struct worker *w, enum mail_kind kind, struct channel_mail *channel)
{
    const struct mail mail = {
        .kind = (uint16_t)kind, .from = (uint16_t)w->settings.index, .channel = channel};
    if (channel && mailbox_post(w->bus, &mail))
        return true;
    free(channel);
    return false;
}

static bool on_history(void *ctx, struct channel_ref channel, const struct history_query *query)
{
    struct worker *w = ctx;
    struct channel_mail *mail = channel_mail_create(channel);
    counter_add(&w->counters, COUNTER_HISTORY_READS, 1);
    if (mail)
        mail->query = *query;
    return worker_ask(ctx, MAIL_HISTORY, mail);
}

static bool on_interest(void *ctx, struct channel_ref channel, uint64_t subscribe_seq)
{
    struct worker *w = ctx;
    struct channel_mail *mail = channel_mail_create(channel);
    if (mail)
        mail->subscribe_seq = subscribe_seq;
    if (worker_ask(w, subscribe_seq ? MAIL_WANTED : MAIL_UNWANTED, mail))
        return true;
    if (subscribe_seq)
        return false;
    log_error("worker", "out of memory: channel %.*s is released with its next message", (int)channel.len,
              channel.name);
    w->has_unreleased = true;
    return false;
}

static bool on_ask(void *ctx, struct question *q)
{
    const struct worker *w = ctx;
    const struct mail mail = {.kind = MAIL_ASK, .from = (uint16_t)w->settings.index, .question = q};
    return mailbox_post(w->bus, &mail);
}

static void worker_deliver(struct worker *w, struct frame *f, bool more)
{
    // To release a channel twice is harmless: messages may have been on their way when it was left.
    if (w->has_unreleased && !hub_has_channel(client_loop_hub(&w->clients), frame_channel(f)))
        (void)on_interest(w, frame_channel(f), 0);
    if (f->read_at_ns)
        delivery_times_note(&w->times, f->read_at_ns);
    struct frame *traced = f->trace ? frame_retain(f) : NULL;
    size_t streams = client_loop_deliver(&w->clients, f, more);
    if (traced)
        tracing_note(&w->tracing, &w->counters, traced, streams);
}

static void worker_lost(struct worker *w, const struct channel_mail *m, bool is_confirmed_soon)
{
    if (!hub_lost(client_loop_hub(&w->clients), channel_mail_ref(m), is_confirmed_soon))
        return;
    struct frame *f = gap_frame(channel_mail_ref(m));
    if (!f) {
        hub_end_streams(client_loop_hub(&w->clients), channel_mail_ref(m));
        return;
    }
    counter_add(&w->counters, COUNTER_GAPS, 1);
    (void)client_loop_deliver(&w->clients, f, true); // a gap is not traced
}

// `m` is NULL: no channel is confirmed any more.
static void worker_unconfirm(struct worker *w, const struct channel_mail *m)
{
    struct hub *hub = client_loop_hub(&w->clients);
    if (m)
        hub_unconfirm(hub, channel_mail_ref(m));
    else
        hub_unconfirm_all(hub);
}

// Connections that the kernel has let in already are accepted, and refused with a clean answer.
static void worker_drain(struct worker *w, uint64_t begin_ms)
{
    const struct drain_plan plan = {.begin_ms = begin_ms,
                                    .window_ms = w->settings.drain_window_ms,
                                    .part = w->settings.index,
                                    .parts = w->settings.worker_count};
    client_loop_drain(&w->clients, &plan);
    for (size_t i = 0; i < w->settings.listen_count; i++)
        listener_retire(&w->listeners[i], w->settings.drain_window_ms);
}

static bool is_listening(const struct worker *w)
{
    bool listening = false;
    for (size_t i = 0; i < w->settings.listen_count; i++)
        listening = listening || listener_is_open(&w->listeners[i]);
    return listening;
}

static void on_mail(void *ctx, const struct mail *mail, bool more)
{
    struct worker *w = ctx;
    struct hub *hub = client_loop_hub(&w->clients);
    switch ((enum mail_kind)mail->kind) {
    case MAIL_FRAME:
        worker_deliver(w, mail->frame, more);
        break;
    case MAIL_CONFIRMED:
        hub_confirm(hub, channel_mail_ref(mail->channel), &mail->channel->tail);
        free(mail->channel);
        break;
    case MAIL_PAGE:
        hub_page(hub, channel_mail_ref(mail->page->channel), &mail->page->page);
        free(mail->page->channel);
        free(mail->page);
        break;
    case MAIL_PAGE_LOST:
        hub_page_lost(hub, mail->number);
        break;
    case MAIL_GAP:
    case MAIL_RESUBSCRIBED:
        worker_lost(w, mail->channel, mail->kind == MAIL_RESUBSCRIBED);
        free(mail->channel);
        break;
    case MAIL_UNCONFIRMED:
        worker_unconfirm(w, mail->channel);
        free(mail->channel);
        break;
    case MAIL_ANSWER:
        client_loop_answer(&w->clients, mail->question);
        break;
    case MAIL_RECHECK:
        client_loop_recheck(&w->clients);
        break;
    case MAIL_DRAIN:
        worker_drain(w, mail->begin_ms);
        break;
    case MAIL_END:
        client_loop_end_stream(&w->clients, mail->conn, (enum close_reason)mail->reason);
        break;
    case MAIL_END_SOME:
        (void)client_loop_end_some(&w->clients, mail->some.count, mail->some.min_age_ms,
                                   (enum close_reason)mail->reason); // main counts those that have ended
        break;
    case MAIL_STOP:
        ev_break(w->loop, EVBREAK_ALL);
        break;
    default:
        break;
    }
}

static void on_batch_end(void *ctx, uint64_t begun_ns)
{
    struct worker *w = ctx;
    client_loop_flush(&w->clients);
    if (w->times.count > 0)
        delivery_times_observe(&w->times, &w->counters, begun_ns, clock_monotonic_ns());
    if (w->tracing.count > 0)
        tracing_tell(&w->tracing, &w->counters, w->bus, w->settings.index, clock_monotonic_ns());
}

static void on_alive(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct worker *w = timer->data;
    atomic_store_explicit(&w->alive_at, clock_monotonic_ms(), memory_order_relaxed);
}

static void on_watch_empty(struct ev_loop *loop, ev_prepare *p, int events)
{
    (void)loop, (void)events;
    struct worker *w = p->data;
    if (w->told_empty || !client_loop_is_drained(&w->clients) || is_listening(w))
        return;
    struct mail mail = {.kind = MAIL_EMPTY, .from = (uint16_t)w->settings.index};
    w->told_empty = mailbox_post(w->main, &mail);
}

static void worker_destroy_boxes(struct worker *w)
{
    if (w->bus_inbox != w->inbox)
        mailbox_destroy(w->bus_inbox);
    mailbox_destroy(w->inbox);
}

struct worker *worker_create(const struct worker_settings *settings)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->settings = *settings;
    assert(settings->worker_count > 0);
    w->tracing.per_s = TRACING_PER_S > settings->worker_count ? TRACING_PER_S / settings->worker_count : 1;
    w->settings.hooks.ask = on_ask;
    w->settings.hooks.ask_ctx = w;
    w->loop = ev_loop_new(EVBACKEND_EPOLL);
    if (!w->loop)
        goto fail;
    const struct mailbox_hooks hooks = {.on_mail = on_mail, .on_batch_end = on_batch_end, .ctx = w};
    w->inbox = mailbox_create(w->loop, false, settings->backlog_limit, &hooks);
    w->bus_inbox =
        settings->shares_loop ? mailbox_create(w->loop, true, settings->backlog_limit, &hooks) : w->inbox;
    const struct client_loop_setup clients = {.index = settings->index,
                                              .loop = w->loop,
                                              .settings = settings->client,
                                              .hooks = &w->settings.hooks,
                                              .counters = &w->counters,
                                              .limits = settings->limits};
    const struct hub_events bus = {.on_interest = on_interest, .on_history = on_history, .ctx = w};
    if (!w->inbox || !w->bus_inbox || !client_loop_init(&w->clients, &clients) ||
        !client_loop_enable_streams(&w->clients, &bus))
        goto fail;
    // After the one of client_loop: it sees the turn's sweep done.
    ev_prepare_init(&w->watch_empty, on_watch_empty);
    ev_set_priority(&w->watch_empty, EV_MINPRI);
    w->watch_empty.data = w;
    ev_prepare_start(w->loop, &w->watch_empty);
    ev_timer_init(&w->alive, on_alive, 0., ALIVE_EVERY_S);
    w->alive.data = w;
    ev_timer_start(w->loop, &w->alive);
    atomic_store(&w->alive_at, clock_monotonic_ms());
    return w;
fail: // out of memory at the start, which the caller makes fatal
    if (w->clients.context.loop)
        client_loop_deinit(&w->clients);
    worker_destroy_boxes(w);
    if (w->loop)
        ev_loop_destroy(w->loop);
    free(w);
    return NULL;
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    for (size_t i = 0; i < w->settings.listen_count; i++)
        listener_start(&w->listeners[i], &w->clients, &w->settings.listen_sockets[i]);
    ev_run(w->loop, 0);
    for (size_t i = 0; i < w->settings.listen_count; i++)
        listener_close(&w->listeners[i]);
    client_loop_deinit(&w->clients);
    return NULL;
}

void worker_set_read_redis(struct worker *w, void (*read_redis)(void *ctx), void *ctx)
{
    client_loop_set_read_redis(&w->clients, read_redis, ctx);
}

bool worker_start(struct worker *w, struct mailbox *bus, struct mailbox *main)
{
    w->bus = bus;
    w->main = main;
    char name[16];
    snprintf(name, sizeof name, "worker %u", w->settings.index);
    w->running = thread_start(&w->thread, name, worker_run, w);
    return w->running;
}

bool worker_end_stream(struct worker *w, uint64_t id, enum close_reason reason)
{
    const struct mail mail = {.kind = MAIL_END, .reason = (uint16_t)reason, .conn = id};
    return mailbox_post(w->inbox, &mail);
}

bool worker_end_some(struct worker *w, uint32_t count, uint32_t min_age_ms, enum close_reason reason)
{
    const struct mail mail = {.kind = MAIL_END_SOME,
                              .reason = (uint16_t)reason,
                              .some = {.count = count, .min_age_ms = min_age_ms}};
    return mailbox_post(w->inbox, &mail);
}

struct mailbox *worker_mailbox(struct worker *w)
{
    return w->inbox;
}

struct mailbox *worker_bus_mailbox(struct worker *w)
{
    return w->bus_inbox;
}

struct ev_loop *worker_loop(struct worker *w)
{
    return w->loop;
}

void worker_stop(struct worker *w)
{
    if (!w->running)
        return;
    mailbox_stop_thread(w->inbox, w->thread);
    w->running = false;
    w->stopped = true;
}

void worker_destroy(struct worker *w)
{
    if (!w)
        return;
    if (!w->stopped)
        client_loop_deinit(&w->clients);
    worker_destroy_boxes(w);
    ev_loop_destroy(w->loop);
    free(w);
}

const struct counters *worker_counters(const struct worker *w)
{
    return &w->counters;
}

uint64_t worker_closes(const struct worker *w, enum close_reason reason)
{
    return client_loop_closes(&w->clients, reason);
}

uint64_t worker_alive_at(const struct worker *w)
{
    return atomic_load_explicit(&w->alive_at, memory_order_relaxed);
}
