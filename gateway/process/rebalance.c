#include "gateway/process/rebalance.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/process/health.h"

// A table that is younger may lack gateways: each has announced itself twice by then.
#define TABLE_AGE_MS 3000u

const char *const rebalance_mode_names[] = {"off", "on", "dry-run", NULL};

static uint64_t draw_run(void)
{
    uint64_t run = 0;
    return getrandom(&run, sizeof run, 0) == (ssize_t)sizeof run ? run : 0;
}

bool rebalance_init(struct rebalance *r, struct status *status, enum rebalance_mode mode,
                    const struct balance_settings *settings)
{
    *r = (struct rebalance){.mode = mode, .run = draw_run(), .balance.settings = *settings};
    if (r->run == 0 || pthread_mutex_init(&r->lock, NULL) != 0)
        return false;
    r->status = status;
    r->balance.settings.dry_run = mode == REBALANCE_DRY_RUN;
    return true;
}

void rebalance_deinit(struct rebalance *r)
{
    if (!r->status)
        return;
    peers_free(&r->peers);
    pthread_mutex_destroy(&r->lock);
    r->status = NULL;
}

static struct announcement describe(const struct rebalance *r)
{
    const struct status *s = r->status;
    struct announcement a = {.run = r->run,
                             .connections = status_count(s, COUNTER_STREAMS_OPEN),
                             .capacity = s->limits.max_streams,
                             .draining = atomic_load(&s->draining),
                             .ready = health_is_ready(s),
                             .rebalancing = atomic_load(&r->is_running)};
    snprintf(a.id, sizeof a.id, "%s", s->id);
    snprintf(a.version, sizeof a.version, "%s", SSE_GATEWAY_VERSION);
    return a;
}

static char *on_announce(void *ctx, bool is_leaving, uint32_t *next_ms)
{
    struct rebalance *r = ctx;
    if (!r->status->bus) // the start has failed
        return NULL;
    struct announcement a = describe(r);
    pthread_mutex_lock(&r->lock);
    peers_expire(&r->peers, clock_monotonic_ms());
    a.every_ms = *next_ms = peers_every_ms(&r->peers);
    pthread_mutex_unlock(&r->lock);
    a.leaving = is_leaving;
    return announcement_text(&a);
}

static bool on_announced(void *ctx, const char *text, size_t len)
{
    struct rebalance *r = ctx;
    struct announcement a;
    pthread_mutex_lock(&r->lock);
    enum peers_news news = peers_hear(&r->peers, text, len, clock_monotonic_ms(), &a);
    size_t count = r->peers.count;
    pthread_mutex_unlock(&r->lock);
    if (news == PEERS_SAME_ID)
        log_warn("tier", "two gateways have the id %s: logs and metrics mix them up; give each its own --id",
                 a.id);
    else if (news == PEERS_JUNK)
        log_warn("tier", "a message at " ANNOUNCEMENT_CHANNEL " was no announcement, and is ignored");
    else if (news == PEERS_FULL)
        log_warn("tier", "there is no room or memory for gateway %s: %zu others are known", a.id, count);
    else if (news == PEERS_NEW && a.run != r->run)
        log_debug("tier", "gateway %s is there", a.id);
    return news != PEERS_JUNK && news != PEERS_FULL;
}

static void on_listening(void *ctx)
{
    struct rebalance *r = ctx;
    pthread_mutex_lock(&r->lock);
    peers_begin(&r->peers, clock_monotonic_ms());
    pthread_mutex_unlock(&r->lock);
}

struct bus_tier rebalance_tier(struct rebalance *r)
{
    return (struct bus_tier){
        .announce = on_announce, .on_announced = on_announced, .on_listening = on_listening, .ctx = r};
}

// What was announced of this gateway came back through Redis: the channel works.
static bool hears_itself(const struct rebalance *r, uint64_t now_ms)
{
    return peers_find(&r->peers, r->run) && r->peers.since_ms + TABLE_AGE_MS <= now_ms;
}

static struct balance_view look(struct rebalance *r)
{
    const struct status *s = r->status;
    pthread_mutex_lock(&r->lock);
    uint64_t now_ms = clock_monotonic_ms(); // after all that the other thread has noted
    peers_expire(&r->peers, now_ms);
    struct peers_sum others = peers_sum_others(&r->peers, r->run);
    bool is_fresh = hears_itself(r, now_ms);
    pthread_mutex_unlock(&r->lock);
    return (struct balance_view){.now_ms = now_ms,
                                 .is_allowed = is_fresh && others.gateways > 0 && !others.any_draining &&
                                               bus_is_proven(s->bus) && !atomic_load(&s->draining),
                                 .own = status_count(s, COUNTER_STREAMS_OPEN),
                                 .own_capacity = s->limits.max_streams,
                                 .others = others.connections,
                                 .all_capacity = others.capacity + s->limits.max_streams,
                                 .lowest = others.lowest_connections,
                                 .lowest_capacity = others.lowest_capacity,
                                 .members = others.members,
                                 .oldest_news_ms = others.oldest_news_ms,
                                 .moved = status_closes(s, CLOSE_REBALANCE)};
}

static uint32_t as_u32(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

// Each worker ends its part of `end` by its part of the streams; what is left over by rounding is the next one's.
static void end_streams(const struct rebalance *r, uint64_t end, uint64_t min_age_ms)
{
    const struct status *s = r->status;
    uint64_t streams = 0, seen = 0, given = 0;
    for (size_t i = 0; i < s->worker_count; i++)
        streams += counter_read(worker_counters(s->workers[i]), COUNTER_STREAMS_OPEN);
    for (size_t i = 0; streams > 0 && i < s->worker_count; i++) {
        // The counters go on while they are read.
        seen += counter_read(worker_counters(s->workers[i]), COUNTER_STREAMS_OPEN);
        uint64_t until = seen < streams ? end * seen / streams : end;
        // One that has no memory for the mail keeps its streams: the next round finds them.
        if (until > given)
            (void)worker_end_some(s->workers[i], as_u32(until - given), as_u32(min_age_ms), CLOSE_REBALANCE);
        given = until;
    }
}

static void tell(const struct rebalance *r, const struct balance_view *v, enum balance_event event)
{
    const struct balance *b = &r->balance;
    uint64_t moved = v->moved - b->begun_moved;
    switch (event) {
    case BALANCE_BEGUN:
        log_info("tier",
                 "rebalance: %" PRIu64 " streams here, %" PRIu64 " elsewhere, and %" PRIu64
                 " would be this gateway's share: %s %" PRIu64 " of them for other gateways",
                 v->own, v->others, b->target,
                 r->mode == REBALANCE_DRY_RUN ? "with --rebalance on it would end" : "ends", b->surplus);
        break;
    case BALANCE_DONE:
        log_info("tier", "rebalance: %" PRIu64 " streams were ended, %" PRIu64 " are left", moved, v->own);
        break;
    case BALANCE_STOPPED:
        log_info("tier",
                 "rebalance: stopped after %" PRIu64
                 " streams: the tier has changed, drains, or Redis is not proven",
                 moved);
        break;
    case BALANCE_IN_VAIN:
        log_warn(
            "tier",
            "rebalance: %" PRIu64
            " streams were ended, and as many are here again: the proxy in front must know all gateways and "
            "choose by connections (least_conn, leastconn); the next try is %s %" PRIu64 " s",
            moved, b->in_vain < BALANCE_IN_VAIN_MAX ? "in" : "when gateways come or go, not before",
            (b->quiet_until_ms - v->now_ms) / 1000);
        break;
    case BALANCE_NONE:
        break;
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct rebalance *r = w->data;
    const struct balance_view view = look(r);
    const struct balance_step step = balance_step(&r->balance, &view);
    atomic_store(&r->is_running, r->balance.is_running);
    tell(r, &view, step.event);
    if (step.end > 0)
        end_streams(r, step.end, step.min_age_ms);
}

void rebalance_start(struct rebalance *r, struct ev_loop *loop)
{
    if (r->mode == REBALANCE_OFF)
        return;
    r->loop = loop;
    ev_timer_init(&r->tick, on_tick, BALANCE_TICK_MS / 1000.0, BALANCE_TICK_MS / 1000.0);
    r->tick.data = r;
    ev_timer_start(loop, &r->tick);
}

void rebalance_stop(struct rebalance *r)
{
    if (r->loop)
        ev_timer_stop(r->loop, &r->tick);
    r->loop = NULL;
}

static json_t *peer_json(const struct peer *p, uint64_t now_ms)
{
    const struct announcement *a = &p->said;
    return json_pack("{s:s, s:I, s:I, s:f, s:b, s:b, s:b, s:s, s:I}", "id", a->id, "connections",
                     (json_int_t)a->connections, "capacity", (json_int_t)a->capacity, "load",
                     (double)a->connections / (double)a->capacity, "draining", a->draining, "ready", a->ready,
                     "rebalancing", a->rebalancing, "version", a->version, "age_ms",
                     (json_int_t)(now_ms - p->heard_ms));
}

// A copy of the tier's table, or NULL when out of memory: the bus waits for the lock, and must not wait for JSON of
// 2,048 gateways.
static struct peer *copy_peers(struct rebalance *r, size_t *count, uint64_t *now_ms)
{
    pthread_mutex_lock(&r->lock);
    *now_ms = clock_monotonic_ms(); // as above
    peers_expire(&r->peers, *now_ms);
    *count = r->peers.count;
    struct peer *copy = malloc((*count + 1) * sizeof *copy); // never of no bytes
    for (size_t i = 0; copy && i < *count; i++)
        copy[i] = r->peers.items[i];
    pthread_mutex_unlock(&r->lock);
    return copy;
}

bool rebalance_add_json(struct rebalance *r, json_t *page)
{
    size_t count;
    uint64_t now_ms;
    struct peer *copy = copy_peers(r, &count, &now_ms);
    json_t *peers = json_array();
    bool ok = peers != NULL && copy != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = json_array_append_new(peers, peer_json(&copy[i], now_ms)) == 0;
    free(copy);
    json_t *state = json_pack("{s:s, s:b}", "mode", rebalance_mode_names[r->mode], "running",
                              atomic_load(&r->is_running));
    // Both are taken, whether they can be added or not.
    ok = json_object_set_new(page, "peers", peers) == 0 && ok;
    return json_object_set_new(page, "rebalance", state) == 0 && ok;
}

struct rebalance_figures rebalance_figures(struct rebalance *r)
{
    const struct balance_view view = look(r);
    uint64_t target = balance_target(&view);
    pthread_mutex_lock(&r->lock);
    size_t gateways = r->peers.count;
    pthread_mutex_unlock(&r->lock);
    return (struct rebalance_figures){.gateways = gateways,
                                      .connections = view.own + view.others,
                                      .target = target,
                                      .surplus = view.own > target ? view.own - target : 0,
                                      .is_running = atomic_load(&r->is_running)};
}
