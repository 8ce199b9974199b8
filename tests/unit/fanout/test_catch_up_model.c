// The hub between a Redis and clients that are made up at random: messages are lost on the way, connections
// fail, answers come late and cut, clients come back with their cursors, read slowly, or begin at the
// beginning. Each must see every event once and in order, or a gap or a snapshot that stands for what it does not see; and
// who begins where there is a snapshot sees one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "common/map.h"
#include "gateway/fanout/cursor.h"
#include "gateway/fanout/gap.h"
#include "gateway/fanout/hub.h"
#include "gateway/fanout/hub_cursor.h"
#include "gateway/fanout/message.h"
#include "tests/unit/lib/unit_main.h"
#include "tests/unit/lib/cursor_find.h"

#define NONE SIZE_MAX

enum { CLIENTS = 24, CHANNELS = 4, EVENTS = 4000, QUEUE = 8192, SEEDS = 60, STEPS = 6000 };

static uint64_t random_state;
static bool lossless; // nothing that is in the history ever goes
static bool is_settling;
static bool has_snapshots; // now and then an event stands for all before it, which go
static uint64_t seed;

#define REQUIRE(condition, ...)                                                                              \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "seed %u, %s: ", (unsigned)seed, lossless ? "lossless" : "lossy");               \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            ck_abort_msg("%s", #condition);                                                                  \
        }                                                                                                    \
    } while (0)

static size_t below(size_t n)
{
    return jitter_next(&random_state) % n;
}

// --- Redis and the bus

struct history {
    struct event_place events[EVENTS];
    size_t first, end; // kept
    size_t life_from;  // where this life of the key begins
    size_t base;       // the newest snapshot of this life; NONE
    // Of each snapshot: what was kept before it, and the snapshot before it. A failover may bring them back.
    size_t first_before[EVENTS], base_before[EVENTS];
    unsigned lives, branches;
    struct event_id ended[EVENTS]; // the last event of each life
    bool wanted, asked, subscribed, was_active, gap_told;
    // As bus/resume.c has it, for the only worker:
    uint64_t query; // for the last event, on its way; 0: none
    bool asked_for, ask_next;
    char name[16];
};

static struct history histories[CHANNELS];
static uint64_t wall_ms, now_ms;
static bool redis_up;
static uint64_t queries;
static uint64_t last_seq;

enum kind {
    TO_FRAME,
    TO_CONFIRM,
    TO_UNCONFIRM,
    TO_GAP,
    TO_RESUBSCRIBED,
    TO_PAGE,
    ASK_WANT,
    ASK_UNWANT,
    ASK_LAST,
    ASK_PAGE
};

struct item {
    enum kind kind;
    size_t channel;
    struct event_place event;
    struct history_query asked; // ASK_PAGE, TO_PAGE
    uint64_t query;             // ASK_LAST
    struct history_tail tail;
    uint64_t subscribe_seq;
    bool at_end, failed;
    size_t first, count; // of a page
};

struct queue {
    struct item items[QUEUE];
    size_t head, end;
};

// Of each channel, those that the bus and the hub have heard of.
static unsigned losses[CHANNELS];
static struct queue to_worker, to_bus, messages, lasts, lasts_answered, pages;

static void push(struct queue *q, struct item item)
{
    REQUIRE(q->end - q->head < QUEUE, "a queue is full\n");
    q->items[q->end++ % QUEUE] = item;
}

static bool pop(struct queue *q, struct item *item)
{
    if (q->head == q->end)
        return false;
    *item = q->items[q->head++ % QUEUE];
    return true;
}

static struct event_id last_of(const struct history *h)
{
    return h->end > h->life_from ? h->events[h->end - 1].at : (struct event_id){0};
}

static uint64_t epoch_of(const struct history *h)
{
    return h->end > h->life_from ? h->events[h->end - 1].epoch : 0;
}

static size_t channel_named(const char *name, size_t len)
{
    for (size_t c = 0; c < CHANNELS; c++)
        if (len == strlen(histories[c].name) && memcmp(name, histories[c].name, len) == 0)
            return c;
    ck_abort_msg("no such channel");
    return 0;
}

static void publish(size_t c)
{
    struct history *h = &histories[c];
    if (h->end == EVENTS)
        return;
    wall_ms += below(3);
    struct event_id prev = last_of(h);
    // No two lives share a millisecond, nor what a failover lost and what came instead: a place that is in
    // both means nothing.
    uint64_t clock_ms = wall_ms * 64 + h->branches % 64;
    uint64_t ms = clock_ms > prev.ms ? clock_ms : prev.ms;
    uint64_t epoch = h->end > h->life_from ? epoch_of(h) : ms;
    struct event_place e = {.at = {.ms = ms, .offset = prev.offset + 1}, .prev = prev, .epoch = epoch};
    e.is_snapshot = has_snapshots && below(30) == 0;
    if (e.is_snapshot) {
        h->first_before[h->end] = h->first;
        h->base_before[h->end] = h->base;
        h->first = h->base = h->end;
    }
    h->events[h->end++] = e;
    if (redis_up && h->subscribed)
        push(&messages, (struct item){.kind = TO_FRAME, .channel = c, .event = e});
}

// A message reaches the bus, by another connection than answers do.
static bool take_message(void)
{
    struct item i;
    if (!pop(&messages, &i))
        return false;
    struct history *h = &histories[i.channel];
    if (!h->wanted)
        return true;
    bool is_lost = below(20) == 0;
    if (!is_lost)
        push(&to_worker, i);
    else if (!h->gap_told)
        push(&to_worker, (struct item){.kind = TO_GAP, .channel = i.channel});
    h->gap_told = is_lost;
    losses[i.channel] += is_lost;
    return true;
}

static void redis_goes(void)
{
    redis_up = false;
    messages.head = messages.end;
    for (size_t c = 0; c < CHANNELS; c++) {
        struct history *h = &histories[c];
        h->was_active |= h->subscribed;
        h->subscribed = h->asked = false;
        losses[c]++;
    }
    push(&to_worker, (struct item){.kind = TO_UNCONFIRM});
}

static void ask_last(struct history *h)
{
    h->query = ++queries;
    h->asked_for = h->ask_next;
    h->ask_next = false;
    push(&lasts, (struct item){.kind = ASK_LAST, .channel = (size_t)(h - histories), .query = queries});
}

// A worker waits for a channel that is subscribed.
static void want_last(struct history *h)
{
    h->asked_for = false;
    h->ask_next = true;
    if (h->query == 0)
        ask_last(h);
}

// The subscription of a channel that is wanted, or its confirmation.
static void subscribe_one(void)
{
    struct history *h = &histories[below(CHANNELS)];
    size_t c = (size_t)(h - histories);
    if (!redis_up || h->subscribed || !h->wanted)
        return;
    if (!h->asked) {
        h->asked = true;
        return;
    }
    while (take_message()) // they come before the confirmation
        ;
    h->subscribed = true;
    if (h->was_active)
        push(&to_worker, (struct item){.kind = TO_RESUBSCRIBED, .channel = c});
    h->was_active = h->gap_told = false;
    h->query = 0;
    want_last(h);
}

static void bus_works(void)
{
    struct item i;
    if (!pop(&to_bus, &i))
        return;
    struct history *h = &histories[i.channel];
    if (i.kind == ASK_PAGE) {
        push(&pages, i);
    } else {
        h->wanted = i.kind == ASK_WANT;
        h->gap_told = false;
        last_seq = h->wanted ? i.subscribe_seq : last_seq;
        if (h->wanted && h->subscribed)
            want_last(h);
    }
}

static void answer_last(void)
{
    struct item i;
    if (!redis_up || !pop(&lasts, &i))
        return;
    struct history *h = &histories[i.channel];
    i.tail = (struct history_tail){.has_history = true, .last = last_of(h)};
    i.tail.epoch = epoch_of(h);
    i.tail.has_snapshot = h->base != NONE;
    // Redis does not let it be read, for now.
    if (!lossless && !is_settling && below(seed % 4 == 3 ? 3 : 40) == 0)
        i.tail = (struct history_tail){0};
    push(&lasts_answered, i);
}

// What Redis has answered reaches the bus.
static void take_last(void)
{
    struct item i;
    if (!pop(&lasts_answered, &i))
        return;
    struct history *h = &histories[i.channel];
    if (i.query != h->query)
        return;
    h->query = 0;
    if (!h->subscribed)
        return;
    i.kind = TO_CONFIRM;
    i.tail.subscribe_seq = last_seq;
    if (h->asked_for && h->wanted)
        push(&to_worker, i);
    if (h->ask_next && h->wanted)
        ask_last(h);
}

static void answer_page(void)
{
    struct item i;
    if (!redis_up || !pop(&pages, &i))
        return;
    const struct history *h = &histories[i.channel];
    size_t first = h->first > h->life_from ? h->first : h->life_from, max = i.asked.entries;
    while (first < h->end && event_id_before(h->events[first].at, i.asked.from))
        first++;
    i.kind = TO_PAGE;
    i.first = first;
    i.count = h->end - first < max ? h->end - first : max;
    i.at_end = h->end - first < max;
    i.failed = !lossless && below(30) == 0;
    push(&to_worker, i);
}

// What takes events out of the history: trimming, expiry, a failover.
static void lose_history(void)
{
    struct history *h = &histories[below(CHANNELS)];
    size_t dice = below(10);
    if (dice < 6 && h->end > h->first) {
        h->first += below(h->end - h->first) + 1;
    } else if (dice < 8) {
        h->ended[h->lives++] = last_of(h);
        h->life_from = h->first = h->end;
        h->base = NONE;
        h->branches++;
        wall_ms = wall_ms + 10 - below(20); // the clock may be set back
    } else if (dice >= 8 && h->end > h->life_from) {
        redis_goes();
        size_t lost = 1 + below(3);
        h->end = h->end - h->life_from > lost ? h->end - lost : h->life_from;
        while (h->base != NONE && h->base >= h->end) {
            h->first = h->first_before[h->base];
            h->base = h->base_before[h->base];
        }
        h->first = h->first < h->end ? h->first : h->end;
        h->branches++;
        // That of the new master may be behind what was lost, but not behind what it knows.
        wall_ms = below(2) ? wall_ms + 10 : last_of(h).ms / 64 + 1;
    }
}

// --- Clients

struct told {
    char cursor[CURSOR_MAX];
    size_t cursor_len;
    struct event_id seen[CHANNELS];
    bool knows[CHANNELS];
    bool is_told[CHANNELS];   // of a loss since, by a gap that has no id: it comes back with `seen`
    bool has_begun[CHANNELS]; // its id has spoken of the channel, or was one of another server
};

static struct client {
    struct subscriber subscriber;
    bool joined, open, in[CHANNELS], earliest, full;
    bool to_the_tail;
    struct event_id tail[CHANNELS];  // what had been published when it came
    unsigned losses[CHANNELS];       // .. and had been lost
    bool reads[CHANNELS];            // from a place that it knows up to there, at least
    struct told now, before;         // `before`: what it had when the last bytes were lost on their way
    struct event_id floor[CHANNELS]; // what had been published when it was opened
    uint64_t floor_branch[CHANNELS]; // .. since the last failover, or the end of a life (see publish)
    bool needs_snapshot[CHANNELS];   // there was one when it began, and it has had none yet
    bool needs_gap[CHANNELS];        // its id did not say how far it had got, and it has not been told yet
} clients[CLIENTS];

static struct hub *hub;
static struct replay_budget budget;

static void keep_cursor(struct client *k)
{
    char cursor[CURSOR_MAX];
    size_t len = hub_cursor(&k->subscriber, cursor);
    if (len == 0)
        return; // as client/stream.c has it: the client keeps the id that it has
    memcpy(k->now.cursor, cursor, len);
    k->now.cursor_len = len;
}

static void on_ready(void *ctx, struct subscriber *s)
{
    (void)ctx;
    struct client *k = (struct client *)s;
    if (k->open || !k->joined)
        return;
    k->open = true;
    for (size_t c = 0; c < CHANNELS; c++) {
        k->floor[c] = last_of(&histories[c]);
        k->floor_branch[c] = histories[c].branches % 64;
    }
    if (hub_is_new_to_history(s, seed % 3 == 0))
        keep_cursor(k);
    hub_wake(hub, s);
}

// The id of a stream's only channel comes with the frame. A gap behind which no place is known has none.
static void take_id(struct client *k, const struct frame *f)
{
    if (k->subscriber.count > 1) {
        keep_cursor(k);
        return;
    }
    if (f->id_line_len == 0)
        return;
    k->now.cursor_len = f->id_line_len - strlen("id: \n");
    memcpy(k->now.cursor, f->wire + f->body_at + strlen("id: "), k->now.cursor_len);
}

static void check_first(const struct client *k, size_t c, const struct frame *f)
{
    // An event of a life that is over, or that a failover has lost, may have been on its way when the stream
    // was opened.
    bool is_of_before = !lossless && f->at.ms % 64 != k->floor_branch[c];
    if (f->is_snapshot || k->now.is_told[c] || is_of_before)
        return;
    if (k->earliest)
        REQUIRE(!lossless || event_id_is_zero(f->prev), "earliest begins with %u\n", (unsigned)f->at.offset);
    else
        REQUIRE(!event_id_before(k->floor[c], f->prev), "client %u begins too late with %u-%u\n",
                (unsigned)(k - clients), (unsigned)f->at.ms, (unsigned)f->at.offset);
}

// True where a life of the history ended with `seen`, and nothing was in it since.
static bool is_end_of_a_life(const struct history *h, struct event_id seen)
{
    for (unsigned i = 0; i < h->lives; i++)
        if (event_id_equal(h->ended[i], seen))
            return true;
    return false;
}

static void check_event(const struct client *k, size_t c, const struct frame *f)
{
    const struct told *t = &k->now;
    REQUIRE(!k->needs_gap[c] || f->is_snapshot, "client %u: no gap before %u-%u\n", (unsigned)(k - clients),
            (unsigned)f->at.ms, (unsigned)f->at.offset);
    bool begins = event_id_is_zero(f->prev) && is_end_of_a_life(&histories[c], t->seen[c]);
    if (!t->knows[c])
        check_first(k, c, f);
    else if (!t->is_told[c])
        REQUIRE(event_id_equal(f->prev, t->seen[c]) || begins ||
                    (f->is_snapshot && event_id_before(t->seen[c], f->at)),
                "client %u: %u-%u does not follow %u-%u (prev %u-%u)\n", (unsigned)(k - clients),
                (unsigned)f->at.ms, (unsigned)f->at.offset, (unsigned)t->seen[c].ms,
                (unsigned)t->seen[c].offset, (unsigned)f->prev.ms, (unsigned)f->prev.offset);
}

// It tells of what the history cannot be asked for: where that keeps all, and can be read, nothing may be
// missed all the same.
static void take_gap_without_place(struct client *k, size_t c, const struct frame *f)
{
    k->now.is_told[c] = !lossless;
    if (f->durable)
        take_id(k, f);
}

static void on_frame(void *ctx, struct subscriber *s, struct frame *f)
{
    (void)ctx;
    struct client *k = (struct client *)s;
    if (!k->open)
        return;
    size_t c = channel_named(f->channel, f->channel_len);
    k->needs_gap[c] = k->needs_gap[c] && !f->is_gap;
    if (f->is_gap && f->id_line_len == 0) {
        take_gap_without_place(k, c, f);
        return;
    }
    if (f->is_gap)
        REQUIRE(!lossless || !k->now.knows[c], "a gap where nothing was lost\n");
    else
        check_event(k, c, f);
    k->needs_snapshot[c] = k->needs_snapshot[c] && !f->is_snapshot;
    k->needs_gap[c] = false;
    k->now.knows[c] = true;
    k->now.seen[c] = f->at;
    k->now.is_told[c] = false;
    k->now.has_begun[c] = true;
    take_id(k, f);
    if (below(8) == 0)
        k->before = k->now;
}

static enum subscriber_readiness readiness(void *ctx, struct subscriber *s)
{
    (void)ctx;
    const struct client *k = (struct client *)s;
    return !k->open ? SUBSCRIBER_NOT_OPEN : k->full ? SUBSCRIBER_BLOCKED : SUBSCRIBER_READY;
}

static bool on_interest(void *ctx, struct channel_ref channel, uint64_t subscribe_seq)
{
    (void)ctx;
    push(&to_bus, (struct item){.kind = subscribe_seq ? ASK_WANT : ASK_UNWANT,
                                .channel = channel_named(channel.name, channel.len),
                                .subscribe_seq = subscribe_seq});
    return true;
}

static bool on_history(void *ctx, struct channel_ref channel, const struct history_query *asked)
{
    (void)ctx;
    if (below(50) == 0)
        return false;
    push(&to_bus, (struct item){.kind = ASK_PAGE,
                                .channel = channel_named(channel.name, channel.len),
                                .asked = *asked});
    return true;
}

static void on_no_memory(void *ctx, struct subscriber *s)
{
    (void)ctx, (void)s;
    ck_abort_msg("out of memory");
}

// Where a client begins in a channel: as client/stream.c reads it.
static struct hub_name begin(struct client *k, size_t c)
{
    struct told *t = &k->now;
    struct hub_name name = {.channel = channel_ref(histories[c].name, strlen(histories[c].name))};
    if (k->earliest && t->cursor_len == 0) {
        name.from = FROM_EARLIEST;
        return name;
    }
    if (t->cursor_len == 0)
        return name;
    enum cursor_result r =
        cursor_find(t->cursor, t->cursor_len, name.channel.name, name.channel.len, &name.at);
    // A history that cannot be read may be none, for all that the gateway knows: a client that begins there
    // has no place.
    REQUIRE(r != CURSOR_NEW || (!lossless && !t->has_begun[c]),
            "client %u: channel %u is missing in the cursor\n", (unsigned)(k - clients), (unsigned)c);
    t->is_told[c] = false;
    if (r == CURSOR_NEW)
        return name;
    t->has_begun[c] = true;
    name.from = r == CURSOR_KNOWN ? FROM_EVENT_ID : FROM_UNKNOWN;
    if (r == CURSOR_UNKNOWN) {
        t->knows[c] = false;
        return name;
    }
    if (t->knows[c])
        REQUIRE(event_id_equal(name.at, t->seen[c]), "the cursor says %u, the client has seen %u\n",
                (unsigned)name.at.offset, (unsigned)t->seen[c].offset);
    else
        REQUIRE(!lossless || k->earliest || !event_id_before(k->floor[c], name.at), "a cursor too far\n");
    t->knows[c] = true;
    t->seen[c] = name.at;
    return name;
}

static void start_anew(struct client *k)
{
    memset(&k->now, 0, sizeof k->now);
    k->earliest = below(4) == 0;
    for (size_t c = 0; c < CHANNELS; c++)
        k->in[c] = below(3) == 0;
    k->in[below(CHANNELS)] = true;
    k->before = k->now;
    if (below(10) == 0) { // of another server
        memcpy(k->now.cursor, "42", 2);
        k->now.cursor_len = 2;
    }
}

// Another gateway has served it meanwhile, and was quicker than this one.
static void was_elsewhere(struct client *k)
{
    struct cursor_entry entries[CHANNELS];
    size_t n = 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        const struct history *h = &histories[c];
        if (!k->in[c])
            continue;
        k->now.seen[c] = below(2) ? last_of(h) : h->end > h->first ? h->events[h->end - 1].prev : last_of(h);
        k->now.knows[c] = k->now.has_begun[c] = true;
        entries[n++] =
            (struct cursor_entry){.hash = cursor_hash(h->name, strlen(h->name)), .at = k->now.seen[c]};
    }
    k->now.cursor_len = cursor_encode(entries, n, k->now.cursor);
}

static void join(struct client *k)
{
    struct hub_name names[CHANNELS];
    size_t n = 0;
    k->to_the_tail = below(4) == 0;
    if (below(4) == 0)
        start_anew(k);
    else if (below(2) == 0)
        k->now = k->before;
    else if (below(3) == 0)
        was_elsewhere(k);
    if (k->now.cursor_len == 0) // it has not been told anything: it begins anew
        memset(k->now.knows, 0, sizeof k->now.knows);
    for (size_t c = 0; c < CHANNELS; c++)
        if (k->in[c]) {
            names[n] = begin(k, c);
            names[n].to_the_tail =
                k->to_the_tail && (names[n].from == FROM_EVENT_ID || names[n].from == FROM_EARLIEST);
            k->tail[c] = last_of(&histories[c]);
            k->losses[c] = losses[c];
            k->reads[c] = names[n].to_the_tail && names[n].from == FROM_EVENT_ID && names[n].at.offset > 0;
            bool begins = names[n].from != FROM_EVENT_ID || names[n].at.offset == 0;
            k->needs_gap[c] = names[n].from == FROM_UNKNOWN;
            k->needs_snapshot[c] = begins && histories[c].base != NONE;
            n++;
        }
    k->before = k->now;
    k->joined = true;
    k->full = false;
    if (!hub_join(hub, &k->subscriber, names, n))
        ck_abort_msg("cannot join");
    if (hub_is_ready(&k->subscriber))
        on_ready(NULL, &k->subscriber);
}

static void join_or_leave(void)
{
    struct client *k = &clients[below(CLIENTS)];
    if (!k->joined) {
        join(k);
        return;
    }
    hub_leave(hub, &k->subscriber);
    k->joined = k->open = false;
}

static void eat_or_not(struct client *k, bool full)
{
    bool was = k->full;
    k->full = full;
    if (k->open && was && !full)
        hub_wake(hub, &k->subscriber);
}

// Who reads once ends with that. Not where something is lost meanwhile: what it has missed then it gets the next time.
static void check_read(const struct client *k)
{
    if (!lossless || !k->open || !hub_has_caught_up(&k->subscriber))
        return;
    for (size_t c = 0; c < CHANNELS; c++)
        REQUIRE(!k->in[c] || !k->reads[c] || k->losses[c] != losses[c] ||
                    !event_id_before(k->now.seen[c], k->tail[c]),
                "channel %u is read up to %u, and had %u\n", (unsigned)c, (unsigned)k->now.seen[c].offset,
                (unsigned)k->tail[c].offset);
}

// --- The worker

static struct frame *frame_of(size_t c, const struct event_place *e)
{
    struct sse_event event = {.data = "x", .data_len = 1};
    const struct history *h = &histories[c];
    return message_durable_frame(channel_ref(h->name, strlen(h->name)), e, &event);
}

static void take_page(const struct item *i)
{
    const struct history *h = &histories[i->channel];
    struct frame *frames[HISTORY_PAGE_ENTRIES_MAX];
    const struct history_page page = {.query = i->asked,
                                      .at_end = i->at_end,
                                      .failed = i->failed,
                                      .frames = frames,
                                      .count = i->failed ? 0 : i->count};
    for (size_t n = 0; n < page.count; n++)
        frames[n] = frame_of(i->channel, &h->events[i->first + n]);
    hub_page(hub, channel_ref(h->name, strlen(h->name)), &page);
}

// As threads/worker.c has it.
static void tell_lost(const struct item *i)
{
    const struct history *h = &histories[i->channel];
    struct channel_ref channel = channel_ref(h->name, strlen(h->name));
    if (!hub_lost(hub, channel, i->kind == TO_RESUBSCRIBED))
        return;
    struct frame *gap = gap_frame(channel);
    hub_deliver(hub, gap);
    frame_release(gap);
}

static void worker_works(void)
{
    struct item i;
    if (!pop(&to_worker, &i))
        return;
    const struct history *h = &histories[i.channel];
    struct frame *f;
    losses[i.channel] += i.kind == TO_GAP || i.kind == TO_RESUBSCRIBED;
    for (size_t c = 0; i.kind == TO_UNCONFIRM && c < CHANNELS; c++)
        losses[c]++;
    switch (i.kind) {
    case TO_FRAME:
        f = frame_of(i.channel, &i.event);
        hub_deliver(hub, f);
        frame_release(f);
        break;
    case TO_CONFIRM:
        hub_confirm(hub, channel_ref(h->name, strlen(h->name)), &i.tail);
        break;
    case TO_UNCONFIRM:
        hub_unconfirm_all(hub);
        break;
    case TO_GAP:
    case TO_RESUBSCRIBED:
        tell_lost(&i);
        break;
    case TO_PAGE:
        take_page(&i);
        break;
    default:
        ck_abort_msg("kind %d", i.kind);
    }
}

static void some_step(void)
{
    size_t dice = below(1000);
    if (dice < 250)
        publish(below(CHANNELS));
    else if (dice < 450)
        worker_works();
    else if (dice < 550)
        below(2) ? (void)take_message() : bus_works();
    else if (dice < 620)
        below(2) ? answer_last() : take_last();
    else if (dice < 700)
        answer_page();
    else if (dice < 780)
        (void)hub_feed(hub, 1 + below(100));
    else if (dice < 830)
        subscribe_one();
    else if (dice < 900)
        join_or_leave();
    else if (dice < 960)
        eat_or_not(&clients[below(CLIENTS)], below(2) == 0);
    else if (dice < 985)
        hub_tick(hub, now_ms += below(400));
    else if (dice < 988 && redis_up)
        redis_goes();
    else if (dice < 994)
        redis_up = true;
    else if (!lossless && dice < 996)
        lose_history();
    else if (dice < 998) // nobody has wanted it for some time
        for (size_t c = 0; c < CHANNELS; c++)
            histories[c].subscribed = histories[c].subscribed && histories[c].wanted;
}

// All that is on its way arrives, and all clients take it.
static void settle(void)
{
    if (!lossless)
        redis_goes(); // what could not be read for a while is asked for again
    is_settling = redis_up = true;
    for (size_t i = 0; i < CLIENTS; i++)
        eat_or_not(&clients[i], false);
    for (int round = 0; round < 20000; round++) {
        (void)take_message(), subscribe_one(), bus_works(), answer_last(), take_last(), answer_page(),
            worker_works();
        (void)hub_feed(hub, 64);
        if (round % 100 == 0)
            hub_tick(hub, now_ms += 300);
    }
    // A message that was lost on its way is noticed with the next one, at the latest.
}

static void check_settled(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct client *k = &clients[i];
        REQUIRE(!k->joined || k->open, "client %u waits for ever\n", (unsigned)i);
        for (size_t c = 0; k->joined && c < CHANNELS; c++) {
            struct event_id last = last_of(&histories[c]);
            bool level =
                k->now.knows[c] ? event_id_equal(k->now.seen[c], last) : !event_id_before(k->floor[c], last);
            REQUIRE(!lossless || !k->in[c] || !k->needs_snapshot[c],
                    "client %u has no snapshot of channel %u\n", (unsigned)i, (unsigned)c);
            if (k->in[c] && !event_id_is_zero(last))
                REQUIRE(level, "client %u is at %u-%u (known %d) of channel %u, which is at %u-%u\n",
                        (unsigned)i, (unsigned)k->now.seen[c].ms, (unsigned)k->now.seen[c].offset,
                        k->now.knows[c], (unsigned)c, (unsigned)last.ms, (unsigned)last.offset);
        }
    }
}

static void setup(void)
{
    const struct hub_events events = {.on_interest = on_interest,
                                      .on_history = on_history,
                                      .on_frame = on_frame,
                                      .on_ready = on_ready,
                                      .readiness = readiness,
                                      .on_no_memory = on_no_memory};
    ck_assert(map_seed());
    random_state = 0x5eed + seed;
    wall_ms = 100000;
    now_ms = 1000000;
    redis_up = true;
    has_snapshots = seed % 2;
    memset(histories, 0, sizeof histories);
    memset(clients, 0, sizeof clients);
    to_worker.head = to_worker.end = to_bus.head = to_bus.end = 0;
    messages.head = messages.end = lasts.head = lasts.end = pages.head = pages.end = lasts_answered.head =
        lasts_answered.end = 0;
    queries = last_seq = 0;
    for (size_t c = 0; c < CHANNELS; c++) {
        histories[c].base = NONE;
        snprintf(histories[c].name, sizeof histories[c].name, "channel:%zu", c);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        start_anew(&clients[i]);
    // Every other time a memory that forgets much.
    is_settling = false;
    budget = (struct replay_budget){.limit = seed % 2 ? 1 << 20 : 4000};
    hub = hub_create(&events, &(struct hub_settings){.replay_budget = &budget, .durable_named = true});
    ck_assert_ptr_nonnull(hub);
    hub_tick(hub, now_ms);
}

static void teardown(void)
{
    for (size_t i = 0; i < CLIENTS; i++)
        hub_leave(hub, &clients[i].subscriber);
    ck_assert_uint_eq(hub_channel_count(hub), 0);
    ck_assert_uint_eq(hub_replay_bytes(hub), 0);
    ck_assert_uint_le(hub_bytes(hub), 16 * sizeof(void *));
    hub_destroy(hub);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
}

static void play(uint64_t number, bool keeps_all)
{
    seed = number;
    lossless = keeps_all;
    setup();
    for (int step = 0; step < STEPS; step++) {
        some_step();
        for (size_t i = 0; i < CLIENTS; i++)
            check_read(&clients[i]);
    }
    settle();
    check_settled();
    teardown();
}

static int seeds(void)
{
    const char *more = getenv("CATCH_UP_SEEDS"); // for a long run by hand
    return more ? (int)strtol(more, NULL, 10) : SEEDS;
}

TESTS_WITH(.timeout_s = 60);

TEST_LOOP(every_event_comes_once_and_in_order_where_history_keeps_all, 0, seeds())
{
    play((uint64_t)_i, true);
}

TEST_LOOP(what_history_does_not_keep_is_told_and_nothing_else_is_lost, 0, seeds())
{
    play((uint64_t)_i, false);
}
