// Long random lives of a node's channels against a naive table, and against a Redis that forbids some
// channels.
#include "gateway/bus/channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "tests/unit/lib/unit_main.h"

enum { CHANNELS = 24, WORKERS = 3, BATCH = 8, STEPS = 20000 };

// The model: what is known of each channel, in an array; lists are arrays of channel numbers.
struct model_channel {
    bool there, lingering, was_active, alone;
    enum channel_state state;
    uint64_t workers, until;
    uint32_t batch;
};

struct numbers {
    size_t items[CHANNELS], count;
};

static struct channels all;
static struct node_channels node;
static struct model_channel model[CHANNELS];
static struct numbers fresh, sent, denied, lingering;
static uint32_t batches;
static uint64_t now, random_state;
static char names[CHANNELS][8];

// An assertion of Check writes to a file: only the broken ones may be made here.
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            ck_abort_msg("not so: %s", #condition);                                                          \
    } while (0)

static size_t random_below(size_t n)
{
    return jitter_next(&random_state) % n;
}

static void append(struct numbers *list, size_t c)
{
    list->items[list->count++] = c;
}

static void take_out(struct numbers *list, size_t c)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] != c)
            list->items[kept++] = list->items[i];
    CHECK(kept + 1 == list->count);
    list->count = kept;
}

static void setup(void)
{
    ck_assert(map_seed());
    channels_init(&all);
    node_channels_init(&node, &all);
    for (size_t c = 0; c < CHANNELS; c++)
        snprintf(names[c], sizeof names[c], "c%zu", c);
    memset(model, 0, sizeof model);
    fresh.count = sent.count = denied.count = lingering.count = batches = 0;
    now = 1000;
    random_state = 2024;
}

static void teardown(void)
{
    channels_deinit(&all);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static struct channel_ref ref_of(size_t c)
{
    return channel_ref(names[c], strlen(names[c]));
}

static bool want(unsigned worker, size_t c)
{
    struct bus_channel *wanted = channels_want(&all, worker, ref_of(c), 0);
    if (wanted && !wanted->node)
        channel_move(&all, wanted, &node);
    return wanted != NULL;
}

static size_t number_of(const struct bus_channel *i)
{
    for (size_t c = 0; c < CHANNELS; c++)
        if (strlen(names[c]) == i->entry.len && memcmp(names[c], i->name, i->entry.len) == 0)
            return c;
    ck_abort_msg("an unknown channel");
    return CHANNELS;
}

static void forget(size_t c)
{
    struct numbers *const lists[] = {[CHANNEL_FRESH] = &fresh,
                                     [CHANNEL_SENT] = &sent,
                                     [CHANNEL_DENIED] = &denied,
                                     [CHANNEL_ACTIVE] = NULL};
    if (lists[model[c].state])
        take_out(lists[model[c].state], c);
    if (model[c].lingering && model[c].state != CHANNEL_SENT)
        take_out(&lingering, c);
    model[c] = (struct model_channel){.there = false};
}

static void step_want(void)
{
    size_t c = random_below(CHANNELS);
    unsigned worker = (unsigned)random_below(WORKERS);
    struct model_channel *m = &model[c];
    if (!m->there) {
        m->there = true;
        m->state = CHANNEL_FRESH;
        append(&fresh, c);
    }
    if (m->lingering && m->state != CHANNEL_SENT)
        take_out(&lingering, c);
    m->lingering = false;
    m->workers |= 1u << worker;
    CHECK(want(worker, c));
}

static void step_unwant(void)
{
    size_t c = random_below(CHANNELS);
    unsigned worker = (unsigned)random_below(WORKERS);
    struct model_channel *m = &model[c];
    uint64_t until = now + 500;
    channels_unwant(&all, worker, ref_of(c), until);
    if (!m->there)
        return;
    m->workers &= ~(UINT64_C(1) << worker);
    if (m->workers != 0 || m->lingering)
        return;
    if (m->state == CHANNEL_FRESH || m->state == CHANNEL_DENIED) {
        forget(c);
        return;
    }
    m->lingering = true;
    m->until = until;
    if (m->state != CHANNEL_SENT)
        append(&lingering, c);
}

// As many as fit and may go together; what was refused with others goes alone.
static size_t model_batch(size_t max)
{
    size_t n = 0;
    while (n < fresh.count && n < max && !model[fresh.items[n]].alone)
        n++;
    return n == 0 && fresh.count > 0 ? 1 : n;
}

static void step_take_batch(void)
{
    struct bus_channel *taken[BATCH];
    size_t max = 1 + random_below(BATCH), n = model_batch(max);
    CHECK(node_channels_take_batch(&node, taken, max) == n);
    batches += n > 0;
    for (size_t i = 0; i < n; i++) {
        size_t c = fresh.items[0];
        CHECK(number_of(taken[i]) == c);
        take_out(&fresh, c);
        append(&sent, c);
        if (model[c].lingering)
            take_out(&lingering, c); // it cannot leave before the answer
        model[c].state = CHANNEL_SENT;
        model[c].batch = batches;
    }
}

static void step_confirm(void)
{
    // Mostly the one whose turn it is, at times any.
    size_t c = sent.count > 0 && random_below(10) ? sent.items[0] : random_below(CHANNELS);
    struct model_channel *m = &model[c];
    struct bus_channel *i = node_channels_confirm(&node, ref_of(c));
    CHECK((i != NULL) == (m->there && m->state == CHANNEL_SENT));
    if (!i)
        return;
    CHECK(number_of(i) == c);
    take_out(&sent, c);
    m->state = CHANNEL_ACTIVE;
    m->alone = false;
    if (m->lingering)
        append(&lingering, c);
}

static void step_refuse(void)
{
    if (sent.count == 0) {
        CHECK(node_channels_refuse(&node, batches, 1) == NULL);
        return;
    }
    uint32_t batch = model[sent.items[0]].batch;
    bool single = sent.count == 1 || model[sent.items[1]].batch != batch;
    struct bus_channel *refused = node_channels_refuse(&node, batch, single ? 1 : 2);
    CHECK((refused != NULL) == single);
    while (sent.count > 0 && model[sent.items[0]].batch == batch) {
        size_t c = sent.items[0];
        take_out(&sent, c);
        model[c].state = single ? CHANNEL_DENIED : CHANNEL_FRESH;
        model[c].alone = !single;
        append(single ? &denied : &fresh, c);
        if (model[c].lingering)
            append(&lingering, c);
        CHECK(!single || number_of(refused) == c);
    }
}

static void step_retry_denied(void)
{
    node_channels_retry(&node, CHANNEL_DENIED);
    for (; denied.count > 0; take_out(&denied, denied.items[0])) {
        model[denied.items[0]].state = CHANNEL_FRESH;
        model[denied.items[0]].alone = true;
        append(&fresh, denied.items[0]);
    }
}

static void step_reset(void)
{
    for (size_t c = 0; c < CHANNELS; c++)
        if (model[c].lingering)
            forget(c);
    node_channels_reset(&node);
    size_t there = 0, walked = 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        model[c].was_active |= model[c].there && model[c].state == CHANNEL_ACTIVE;
        model[c].state = CHANNEL_FRESH;
        model[c].alone = false;
        there += model[c].there;
    }
    sent.count = denied.count = fresh.count = 0;
    // In which order they go out is the node's choice: the model takes it over.
    struct bus_channel *i;
    TAILQ_FOREACH(i, &node.in_state[CHANNEL_FRESH], in_state)
    {
        size_t c = number_of(i);
        CHECK(model[c].there && ++walked <= there);
        append(&fresh, c);
    }
    CHECK(walked == there);
}

static void step_expire(void)
{
    struct bus_channel *taken[BATCH];
    now += random_below(400);
    size_t max = 1 + random_below(BATCH), n = node_channels_take_expired(&node, now, taken, max),
           expected = 0;
    while (lingering.count > 0 && expected < max && model[lingering.items[0]].until <= now) {
        size_t c = lingering.items[0];
        CHECK(expected < n && number_of(taken[expected]) == c);
        free(taken[expected++]);
        forget(c);
    }
    CHECK(n == expected);
}

static void check_as_model(void)
{
    size_t there = 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        const struct model_channel *m = &model[c];
        const struct bus_channel *i = channels_find(&all, ref_of(c));
        CHECK((i != NULL) == m->there);
        there += m->there;
        if (!i)
            continue;
        CHECK(i->state == m->state);
        CHECK(i->workers == m->workers);
        CHECK(i->lingering == m->lingering);
        CHECK(i->was_active == m->was_active);
        CHECK(m->workers != 0 || m->lingering);
    }
    CHECK(all.map.count == there);
}

TEST_LOOP(behaves_as_a_table_and_three_lists_do, 0, 4)
{
    static const struct {
        unsigned share;
        void (*run)(void);
    } steps[] = {{30, step_want},  {25, step_unwant}, {15, step_take_batch},  {15, step_confirm},
                 {5, step_refuse}, {8, step_expire},  {1, step_retry_denied}, {1, step_reset}};
    random_state += (uint64_t)_i;
    for (int step = 0; step < STEPS; step++) {
        size_t dice = random_below(100), i = 0;
        for (; dice >= steps[i].share; i++)
            dice -= steps[i].share;
        steps[i].run();
        check_as_model();
    }
}

// A Redis that answers in order, one answer an UNSUBSCRIBE or a batch: the batch is subscribed whole, or
// refused whole where one of its channels is forbidden (as Redis does with ACLs).
struct command {
    size_t channels[BATCH], count;
    uint32_t batch;
};

static struct command queue[STEPS];
static size_t queue_head, queue_tail;
static bool forbidden[CHANNELS], subscribed[CHANNELS];

static void redis_send(void)
{
    struct bus_channel *taken[BATCH];
    struct command *command = &queue[queue_tail];
    command->count = node_channels_take_batch(&node, taken, BATCH);
    for (size_t i = 0; i < command->count; i++)
        command->channels[i] = number_of(taken[i]);
    command->batch = command->count > 0 ? taken[0]->batch : 0;
    queue_tail += command->count > 0;
}

static void redis_answer(void)
{
    if (queue_head == queue_tail)
        return;
    const struct command *command = &queue[queue_head++];
    bool refused = false;
    for (size_t i = 0; i < command->count; i++)
        refused |= forbidden[command->channels[i]];
    if (refused) {
        struct bus_channel *alone = node_channels_refuse(&node, command->batch, command->count);
        CHECK(!alone || forbidden[number_of(alone)]);
        return;
    }
    for (size_t i = 0; i < command->count; i++) {
        size_t c = command->channels[i];
        subscribed[c] = true;
        struct bus_channel *confirmed = node_channels_confirm(&node, ref_of(c));
        CHECK(!confirmed || number_of(confirmed) == c);
    }
}

static void redis_unsubscribe(void)
{
    struct bus_channel *taken[BATCH];
    now += random_below(1000);
    size_t n = node_channels_take_expired(&node, now, taken, BATCH);
    for (size_t i = 0; i < n; i++) {
        subscribed[number_of(taken[i])] = false;
        free(taken[i]);
    }
}

static void want_or_not(void)
{
    size_t c = random_below(CHANNELS);
    struct bus_channel *i = channels_find(&all, ref_of(c));
    if (i && i->workers)
        channels_unwant(&all, 0, ref_of(c), now + 500);
    else
        CHECK(want(0, c));
}

TEST_LOOP(one_forbidden_channel_never_hurts_another, 0, 20)
{
    random_state += (uint64_t)_i;
    queue_head = queue_tail = 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        forbidden[c] = random_below(4) == 0;
        subscribed[c] = false;
    }
    for (int step = 0; step < STEPS; step++) {
        static void (*const steps[])(void) = {want_or_not, redis_send, redis_answer, redis_unsubscribe};
        steps[random_below(4)]();
        if (random_below(200) == 0)
            node_channels_retry(&node, CHANNEL_DENIED);
    }
    // Left alone, it comes to rest with every allowed channel subscribed and every other one denied.
    for (int turn = 0; turn < 100; turn++) {
        redis_send();
        redis_answer();
    }
    ck_assert_uint_eq(queue_head, queue_tail);
    for (size_t c = 0; c < CHANNELS; c++) {
        struct bus_channel *i = channels_find(&all, ref_of(c));
        if (i && i->workers) {
            ck_assert_int_eq(i->state, forbidden[c] ? CHANNEL_DENIED : CHANNEL_ACTIVE);
            ck_assert_int_eq(subscribed[c], !forbidden[c]);
        }
        ck_assert(i || !subscribed[c]); // nothing is left subscribed that nobody knows of
    }
}
