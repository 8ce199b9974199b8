#include "gateway/redis/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/container_of.h"
#include "common/log.h"
#include "common/pattern.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/commands.h"
#include "gateway/redis/function_loader.h"
#include "gateway/redis/history_entry.h"
#include "gateway/redis/history_probe.h"

// Answers that may be outstanding: enough to hide the round trip, and a bound on what Redis sends at once.
#define LASTS_MAX 512u
#define PAGES_MAX 4u
// Bounds the pages that wait. Of queries for the last event there is one a channel, which bounds them.
#define PAGES_WAITING_MAX 65536u
// Bytes of one string of an entry, where --max-message is smaller: ids, times and names are not cut.
#define BULK_MIN ((size_t)16 << 10)
// Bytes of an entry beside its data that are kept.
#define ENTRY_REST ((size_t)16 << 10)
// Elements of the reply of a page: entries of up to some 250 fields. Each element takes some 60 bytes.
#define ELEMENTS_MAX (HISTORY_PAGE_ENTRIES_MAX * 512u)
// Divides the entries of a page that was in flight when a connection was lost.
#define PAGE_SHRINK 4u
// Milliseconds between two log lines about pages that take connections down.
#define TELL_MS 60000u

enum class { CLASS_CONNECTION, CLASS_LASTS, CLASS_PAGES };

struct request {
    struct command command;
    union {
        uint64_t number; // of last_kind
        struct {
            unsigned worker;
            struct history_query query;
            bool single; // the one entry behind query.from alone
        } page;          // of page_kind
    };
    size_t len;
    char channel[];
};

struct history {
    struct history_settings settings;
    struct commands *commands;
    struct function_loader loader;
    struct history_probe probe;
    bool single; // the last page was a single one, since two entries take connections down
    bool told_denied, told_foreign;
    uint64_t told_lost_ms;
};

static struct channel_ref channel_of(const struct request *r)
{
    return channel_ref(r->channel, r->len);
}

static struct request *request_of(const struct command *c)
{
    return container_of(c, struct request, command);
}

static bool on_send_last(const struct command *c, struct redis_conn *conn)
{
    return history_send_last(conn, request_of(c)->channel, request_of(c)->len);
}

static bool on_send_page(const struct command *c, struct redis_conn *conn)
{
    const struct request *r = request_of(c);
    const struct history_query *q = &r->page.query;
    char key[CHANNEL_NAME_MAX + 16], from[48], count[16];
    snprintf(key, sizeof key, "sse:{%.*s}", (int)r->len, r->channel);
    snprintf(from, sizeof from, "%s%" PRIu64 "-%" PRIu64, r->page.single ? "(" : "", q->from.ms,
             q->from.offset);
    snprintf(count, sizeof count, "%u", r->page.single ? 1 : q->entries);
    const char *argv[] = {"XRANGE", key, from, "+", "COUNT", count};
    return redis_conn_send(conn, 6, argv, NULL);
}

static void on_forget(void *ctx, struct command *c)
{
    (void)ctx;
    free(request_of(c));
}

static void tell_denied(struct history *h, const struct request *r, const char *error)
{
    counter_add(h->settings.counters, COUNTER_REDIS_ERRORS, 1);
    if (!h->told_denied)
        log_warn("redis",
                 "cannot read sse:{%.*s}: %s; where a history cannot be read, durable events are delivered "
                 "like any others, and nothing is resumed",
                 (int)r->len, r->channel, error);
    h->told_denied = true;
}

// At most one line in a while: many streams that resume would log it for each of their pages.
static void tell_lost(struct history *h, const struct request *r, const char *what)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (h->told_lost_ms != 0 && now_ms - h->told_lost_ms < TELL_MS)
        return;
    h->told_lost_ms = now_ms;
    log_warn(
        "redis",
        "connections are lost while sse:{%.*s} is read: %s; is there a client-output-buffer-limit of Redis "
        "that its events do not fit in?",
        (int)r->len, r->channel, what);
}

static const redisReply *array_of(struct history *h, const struct request *r,
                                  const struct command_answer *answer)
{
    if (answer->reply && answer->reply->type == REDIS_REPLY_ARRAY) {
        history_probe_answered(&h->probe);
        return answer->reply;
    }
    if (answer->reply)
        tell_denied(h, r, answer->reply->str);
    else
        tell_lost(h, r, "it is given up");
    return NULL;
}

static void on_last_answer(void *ctx, struct command *c, const struct command_answer *answer)
{
    struct history *h = ctx;
    struct request *r = request_of(c);
    const redisReply *reply = array_of(h, r, answer);
    struct history_tail tail = {0};
    tail.has_history =
        reply && (reply->elements == 0 || history_entry_event_id(reply->element[0], &tail.last, &tail.epoch));
    tail.has_snapshot = tail.epoch != 0 && history_entry_has_snapshot(reply->element[0]);
    tail.ended = tail.epoch != 0 && history_entry_ends(reply->element[0]);
    h->settings.on_last(h->settings.ctx, r->number, channel_of(r), &tail);
    free(r);
}

static bool on_is_awaited(void *ctx, const struct command *c)
{
    const struct history *h = ctx;
    const struct request *r = request_of(c);
    return h->settings.is_awaited(h->settings.ctx, r->number, channel_of(r));
}

static const struct command_kind last_kind = {
    .class = CLASS_LASTS,
    .send = on_send_last,
    .answer = on_last_answer,
    .forget = on_forget,
    .is_awaited = on_is_awaited,
};

static void count_dropped(struct history *h, const struct request *r, enum counter dropped)
{
    if (dropped == COUNTER_COUNT)
        return;
    if (dropped != COUNTER_FOREIGN_ENTRIES) {
        h->settings.on_dropped(h->settings.ctx, dropped, channel_of(r));
        return;
    }
    counter_add(h->settings.counters, COUNTER_FOREIGN_ENTRIES, 1);
    if (!h->told_foreign)
        log_warn("redis",
                 "sse:{%.*s} holds entries that sse_publish did not write: they are a gateway:gap to streams "
                 "that resume",
                 (int)r->len, r->channel);
    h->told_foreign = true;
}

// Reads up to the first entry that was left out, or for which memory is too short: that one is queried again.
static void read_entries(struct history *h, const struct request *r, const redisReply *reply,
                         struct history_page *page, struct frame **frames)
{
    struct event_id before = {0};
    // A single page does not have the entry at query.from, which may be gone: only a page with that entry
    // shows where the history ends.
    page->at_end = !r->page.single && reply->elements < r->page.query.entries;
    h->single = r->page.single && reply->elements > 0;
    for (size_t i = 0; i < reply->elements && i < HISTORY_PAGE_ENTRIES_MAX; i++) {
        enum counter dropped;
        struct frame *f =
            history_entry_frame(reply->element[i], channel_of(r), h->settings.max_message, before, &dropped);
        if (!f) {
            page->at_end = false;
            return;
        }
        count_dropped(h, r, dropped);
        before = f->at;
        frames[page->count++] = f;
        size_t size = history_entry_size(reply->element[i]);
        page->largest = size > page->largest ? size : page->largest;
    }
}

static void on_page_answer(void *ctx, struct command *c, const struct command_answer *answer)
{
    struct history *h = ctx;
    struct request *r = request_of(c);
    const redisReply *reply = array_of(h, r, answer);
    struct frame *frames[HISTORY_PAGE_ENTRIES_MAX];
    struct history_page page = {.query = r->page.query, .failed = !reply, .frames = frames};
    if (reply)
        read_entries(h, r, reply, &page, frames);
    // Entries that were left out have no size of their own.
    size_t mean = reply && reply->elements > 0 ? answer->bytes / reply->elements : 0;
    page.largest = mean > page.largest ? mean : page.largest;
    h->settings.on_page(h->settings.ctx, r->page.worker, channel_of(r), &page);
    free(r);
}

static void on_page_lost(void *ctx, struct command *c)
{
    struct history *h = ctx;
    struct request *r = request_of(c);
    uint32_t fewer = r->page.query.entries / PAGE_SHRINK;
    r->page.single = r->page.query.entries == HISTORY_PAGE_ENTRIES_MIN;
    r->page.query.entries = fewer < HISTORY_PAGE_ENTRIES_MIN ? HISTORY_PAGE_ENTRIES_MIN : fewer;
    if (c->losses > 1)
        tell_lost(h, r, "pages with fewer of them are asked for");
}

static const struct command_kind page_kind = {
    .class = CLASS_PAGES,
    .send = on_send_page,
    .answer = on_page_answer,
    .forget = on_forget,
    .lost = on_page_lost,
};

static void on_ready(void *ctx)
{
    struct history *h = ctx;
    function_loader_check(&h->loader);
    history_probe_connected(&h->probe);
}

static void on_down(void *ctx)
{
    struct history *h = ctx;
    history_probe_lost(&h->probe);
}

static void on_refused(void *ctx, const struct command *c, const char *error)
{
    struct history *h = ctx;
    if (cluster_error_passes(error))
        return; // the error is about a slot, not about the server
    const struct request *r = c->kind->of_connection ? NULL : request_of(c);
    history_probe_refused(&h->probe, r ? r->channel : NULL, r ? r->len : 0, error);
}

static struct commands *on_route(void *ctx, const struct command *c)
{
    struct history *h = ctx;
    struct history *owner = h->settings.owner(h->settings.ctx, channel_of(request_of(c)));
    return owner ? owner->commands : NULL;
}

static void on_moved(void *ctx, const char *error)
{
    struct history *h = ctx;
    if (h->settings.on_moved)
        h->settings.on_moved(h->settings.ctx, error);
}

static struct commands *open_commands(struct history *h, struct ev_loop *loop)
{
    const struct history_settings *s = &h->settings;
    size_t max_bulk = s->max_message < BULK_MIN ? BULK_MIN : s->max_message;
    const struct commands_settings commands = {
        .url = s->url,
        .purpose = "history",
        .client_name = s->client_name,
        .counters = s->counters,
        .classes = {[CLASS_CONNECTION] = {.in_flight_max = 4},
                    [CLASS_LASTS] = {.in_flight_max = LASTS_MAX},
                    [CLASS_PAGES] = {.in_flight_max = PAGES_MAX, .max = PAGES_WAITING_MAX}},
        .limits = {.bulk = max_bulk,
                   .elements = ELEMENTS_MAX,
                   .bytes = HISTORY_PAGE_ENTRIES_MAX * (max_bulk + ENTRY_REST),
                   .kept = HISTORY_PAGE_BYTES,
                   .kept_element = max_bulk + ENTRY_REST},
        .route = s->owner ? on_route : NULL,
        .on_ready = on_ready,
        .on_down = on_down,
        .on_refused = on_refused,
        .on_moved = on_moved,
        .ctx = h,
    };
    return commands_create(loop, &commands);
}

struct history *history_create(struct ev_loop *loop, const struct history_settings *settings)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->settings = *settings;
    h->commands = open_commands(h, loop);
    if (!h->commands) {
        free(h);
        return NULL;
    }
    h->loader.queue = h->commands;
    history_probe_init(&h->probe, loop, h->commands);
    return h;
}

void history_destroy(struct history *h)
{
    if (!h)
        return;
    commands_destroy(h->commands);
    history_probe_deinit(&h->probe);
    free(h);
}

// `request` is copied, and gets the channel.
static bool ask(struct history *h, const struct request *request, struct channel_ref channel)
{
    assert(channel.len <= CHANNEL_NAME_MAX);
    struct request *r = malloc(sizeof *r + channel.len);
    if (!r)
        return false;
    *r = *request;
    r->len = channel.len;
    memcpy(r->channel, channel.name, channel.len);
    if (commands_add(h->commands, &r->command))
        return true;
    free(r);
    return false;
}

bool history_ask_last(struct history *h, uint64_t query, struct channel_ref channel)
{
    return ask(h, &(struct request){.command.kind = &last_kind, .number = query}, channel);
}

bool history_ask_page(struct history *h, unsigned worker, struct channel_ref channel,
                      const struct history_query *query)
{
    assert(query->entries >= HISTORY_PAGE_ENTRIES_MIN && query->entries <= HISTORY_PAGE_ENTRIES_MAX);
    const struct request r = {.command.kind = &page_kind,
                              .page = {.worker = worker,
                                       .query = *query,
                                       .single = h->single && query->entries == HISTORY_PAGE_ENTRIES_MIN}};
    return ask(h, &r, channel);
}

void history_reconnect(struct history *h)
{
    commands_reconnect(h->commands, "the subscriber's was lost");
}

const struct redis_conn *history_conn(const struct history *h)
{
    return commands_conn(h->commands);
}

const char *history_fault(const struct history *h)
{
    return history_probe_fault(&h->probe);
}
