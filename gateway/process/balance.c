#include "gateway/process/balance.h"

#include <math.h>

// Streams of so many settling times are old enough to be moved even where the imbalance is older than they are.
#define AGE_SETTLES 6u
#define STEP_MAX_MS 250u    // a late step does not make up for the time before
#define COUNT_LATE_MS 3000u // until a stream that came back is announced
#define DRY_RUN_MS 60000u   // between two decisions that are only logged

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// The most streams that all gateways had together in the last one to two windows. Those that were ended, by any
// gateway, and have not come back yet are counted by none.
static uint64_t all_streams(struct balance *b, const struct balance_view *v)
{
    uint64_t all = v->own + v->others, window = b->settings.return_ms + COUNT_LATE_MS;
    if (v->now_ms - b->window_ms >= window) {
        b->most_before = v->now_ms - b->window_ms >= 2 * window ? 0 : b->most;
        b->most = 0;
        b->window_ms = v->now_ms;
    }
    b->most = max_u64(b->most, all);
    return max_u64(b->most, b->most_before);
}

// Rounded up: what is left over belongs to nobody.
static uint64_t share_of(uint64_t all, uint64_t capacity, uint64_t all_capacity)
{
    double part = all_capacity ? (double)capacity / (double)all_capacity : 1.0;
    return (uint64_t)ceil((double)all * part - 1e-6);
}

static bool is_imbalance(const struct balance *b, const struct balance_view *v, uint64_t all)
{
    uint64_t lowest = share_of(all, v->lowest_capacity, v->all_capacity);
    double tolerance = b->settings.tolerance;
    return b->surplus >= BALANCE_SURPLUS_MIN && ((double)v->own > (double)b->target * (1.0 + tolerance) ||
                                                 (v->lowest + BALANCE_SURPLUS_MIN <= lowest &&
                                                  (double)v->lowest < (double)lowest * (1.0 - tolerance)));
}

uint64_t balance_target(const struct balance_view *v)
{
    return share_of(v->own + v->others, v->own_capacity, v->all_capacity);
}

static void weigh(struct balance *b, const struct balance_view *v)
{
    uint64_t all = all_streams(b, v);
    b->target = share_of(all, v->own_capacity, v->all_capacity);
    b->surplus = v->own > b->target ? v->own - b->target : 0;
    if (b->is_running)
        return;
    if (!is_imbalance(b, v, all))
        b->imbalance_ms = 0;
    else if (b->imbalance_ms == 0)
        b->imbalance_ms = v->now_ms;
}

static void be_quiet(struct balance *b, const struct balance_view *v, uint64_t ms)
{
    b->quiet_until_ms = max_u64(b->quiet_until_ms, v->now_ms + ms);
}

static struct balance_step end_round(struct balance *b, const struct balance_view *v,
                                     enum balance_event event)
{
    b->is_running = false;
    be_quiet(b, v, b->settings.settle_ms + b->settings.return_ms);
    return (struct balance_step){.event = event};
}

// Streams that were moved since the imbalance began are not moved again, nor those that are just there.
static uint64_t min_age(const struct balance *b, uint64_t now_ms)
{
    uint64_t settle = b->settings.settle_ms;
    uint64_t imbalance = b->imbalance_ms ? now_ms - b->imbalance_ms : 0;
    return max_u64(settle, min_u64(imbalance, AGE_SETTLES * settle));
}

static struct balance_step go_on(struct balance *b, const struct balance_view *v)
{
    b->keep = max_u64(b->keep, b->target);
    if (b->left == 0 || v->own <= b->keep)
        return end_round(b, v, BALANCE_DONE);
    uint64_t passed = min_u64(v->now_ms - b->last_ms, STEP_MAX_MS);
    b->last_ms = v->now_ms;
    b->credit += (double)b->settings.rate * (double)passed / 1000.0;
    struct balance_step step = {.min_age_ms = min_age(b, v->now_ms)};
    step.end = min_u64((uint64_t)b->credit, min_u64(b->left, v->own - b->keep));
    b->credit -= floor(b->credit);
    b->left -= step.end;
    b->is_unproved |= step.end > 0;
    return step;
}

static struct balance_step begin(struct balance *b, const struct balance_view *v)
{
    const struct balance_step begun = {.event = BALANCE_BEGUN};
    if (b->settings.dry_run) {
        be_quiet(b, v, max_u64(DRY_RUN_MS, b->settings.settle_ms));
        return begun;
    }
    b->is_running = true;
    b->left = b->surplus;
    b->keep = b->target;
    b->credit = 0.0;
    b->last_ms = v->now_ms;
    b->begun_with = v->own;
    b->begun_moved = v->moved;
    return begun;
}

// Judges the last round, once. In vain: more than seven eighths of the streams that it ended are here again, or as many
// others. With half of them, a small tier behind a proxy that draws gateways at random would wait although it gets
// level.
static bool was_in_vain(struct balance *b, const struct balance_view *v)
{
    if (!b->is_unproved)
        return false;
    b->is_unproved = false;
    bool in_vain = v->own + (v->moved - b->begun_moved) / 8 > b->begun_with;
    if (!in_vain)
        b->in_vain = 0;
    else if (b->in_vain < BALANCE_IN_VAIN_MAX)
        b->in_vain++;
    return in_vain;
}

static struct balance_step rest(struct balance *b, const struct balance_view *v)
{
    const struct balance_step none = {0};
    // Each of the others has spoken since the quiet time was over.
    if (v->now_ms < b->quiet_until_ms || v->oldest_news_ms < b->quiet_until_ms)
        return none;
    if (b->imbalance_ms == 0) {
        b->in_vain = 0;
        b->is_unproved = false;
    }
    if (b->imbalance_ms == 0 || v->now_ms - b->imbalance_ms < b->settings.settle_ms)
        return none;
    if (was_in_vain(b, v)) {
        be_quiet(b, v, b->settings.settle_ms << b->in_vain);
        return (struct balance_step){.event = BALANCE_IN_VAIN};
    }
    return b->in_vain < BALANCE_IN_VAIN_MAX ? begin(b, v) : none;
}

struct balance_step balance_step(struct balance *b, const struct balance_view *v)
{
    bool is_other_tier = v->members != b->members;
    if (!v->is_allowed || is_other_tier)
        b->most = b->most_before = 0;
    weigh(b, v);
    if (v->is_allowed && !is_other_tier)
        return b->is_running ? go_on(b, v) : rest(b, v);
    if (is_other_tier) {
        b->members = v->members;
        b->in_vain = 0;
        b->quiet_until_ms = v->now_ms;
    }
    be_quiet(b, v, b->settings.settle_ms);
    if (b->is_running)
        return end_round(b, v, BALANCE_STOPPED);
    return (struct balance_step){0};
}
