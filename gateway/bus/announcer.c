#include "gateway/bus/announcer.h"

#include <stdlib.h>
#include <string.h>

#include "common/announcement.h"
#include "common/jitter.h"
#include "common/log.h"

#define FIRST_MS 500u // at most twice that until the first announcement
// After a refusal: the rights may be given meanwhile.
#define DENIED_MS 10000u

static void wait(struct announcer *a, uint32_t ms)
{
    ev_timer_stop(a->env->loop, &a->timer);
    ev_timer_set(&a->timer, (double)ms / 1000.0, 0.);
    ev_timer_start(a->env->loop, &a->timer);
}

static bool say(struct announcer *a, bool is_leaving, uint32_t *next_ms)
{
    char *text = a->tier->announce(a->tier->ctx, is_leaving, next_ms);
    bool ok = text && cluster_publish(a->cluster, PUBLISH_ANNOUNCEMENT, ANNOUNCEMENT_CHANNEL, text);
    if (ok)
        counter_add(a->env->counters, COUNTER_ANNOUNCED, 1);
    free(text);
    return ok;
}

// Intervals differ by a tenth to either side, so that gateways that were started together do not stay together.
static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct announcer *a = w->data;
    uint32_t ms = FIRST_MS;
    (void)say(a, false, &ms); // the next one follows
    wait(a, ms - ms / 10 + jitter_ms(&a->random, ms / 5) - ms / 5);
}

static void on_message(void *ctx, const char *payload, size_t len)
{
    struct announcer *a = ctx;
    bool is_good = a->tier->on_announced(a->tier->ctx, payload, len);
    counter_add(a->env->counters, is_good ? COUNTER_ANNOUNCEMENTS : COUNTER_ANNOUNCEMENTS_DROPPED, 1);
}

static void on_subscribed(void *ctx)
{
    const struct announcer *a = ctx;
    a->tier->on_listening(a->tier->ctx);
}

static void on_unsubscribed(void *ctx)
{
    (void)ctx; // it is subscribed anew
}

static const struct channel_handler handler = {
    .on_message = on_message,
    .on_subscribed = on_subscribed,
    .on_unsubscribed = on_unsubscribed,
    .when_denied = "this gateway does not see the others, and does not rebalance",
};

static void on_published(void *ctx, const char *error)
{
    struct announcer *a = ctx;
    // Other errors pass: the slot has moved, or Redis is busy or loading.
    if (!error || strncmp(error, "NOPERM", 6) != 0)
        return;
    if (!a->told_denied)
        log_warn("redis",
                 "cannot announce this gateway at " ANNOUNCEMENT_CHANNEL ": %s; the others do not see it",
                 error);
    a->told_denied = true;
    wait(a, DENIED_MS);
}

bool announcer_start(struct announcer *a, const struct bus_tier *tier, struct bus_env *env,
                     struct cluster *cluster)
{
    *a = (struct announcer){.tier = tier, .env = env, .cluster = cluster, .random = jitter_seed()};
    if (!tier->announce)
        return true;
    env->published[PUBLISH_ANNOUNCEMENT] = (struct published_hook){.on_published = on_published, .ctx = a};
    ev_init(&a->timer, on_timer);
    a->timer.data = a;
    wait(a, jitter_ms(&a->random, FIRST_MS));
    return cluster_listen(cluster, ANNOUNCEMENT_CHANNEL, &handler, a);
}

void announcer_stop(struct announcer *a)
{
    uint32_t ignored;
    if (!a->tier || !a->tier->announce)
        return;
    ev_timer_stop(a->env->loop, &a->timer);
    if (say(a, true, &ignored))
        cluster_publish_now(a->cluster, ANNOUNCEMENT_CHANNEL);
}
