#include "gateway/redis/history.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/function_library.h"
#include "common/log.h"
#include "common/map.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/history_entry.h"
#include "gateway/redis/history_ask_redirect.h"
#include "gateway/redis/history_request.h"
#include "gateway/redis/redis_conn.h"

// Answers that may be outstanding: enough to hide the round trip, and a bound on what Redis sends at once.
#define LASTS_MAX 512u
#define PAGES_MAX 4u
// Redis takes no larger string.
#define BULK_MAX ((size_t)512 << 20)
// Of a page: entries of up to some 250 fields. Each takes some 60 bytes.
#define ELEMENTS_MAX (HISTORY_PAGE_ENTRIES_MAX * 512u)
// One that may have taken the connection down so often is not asked again.
#define TRIES_MAX 8u
#define RETRY_S 0.2
// What could not be asked for so long is looked at again: who wanted it may have given up, or asked anew.
#define PATIENCE_MS 60000u

struct history {
    struct history_settings settings;
    struct ev_loop *loop;
    struct redis_conn *conn;
    struct history_ask_redirect *ask_redirect; // NULL: this is one itself, or there is no cluster
    // Pages wait beside all others, which pass them: nobody looks through thousands that may not be sent yet.
    struct request_list waiting, waiting_pages;
    struct request_list sent;    // in the order of the answers
    struct request_list delayed; // asked again by `retry`
    size_t lasts_sent, pages_sent;
    bool told_denied;
    bool asked_library; // an answer is on its way
    bool replacing;     // the connection goes down because we want it to
    // Of an ASK redirection: the last ASKING was answered, its command was not; ASKING is denied.
    bool granted, refused, told_refused;
    ev_timer retry;
};

static struct request_list *waiting_for(struct history *h, const struct request *r)
{
    return r->kind == ASK_PAGE ? &h->waiting_pages : &h->waiting;
}

static void count_sent(struct history *h, const struct request *r, int n)
{
    if (r->kind == ASK_PAGE)
        h->pages_sent += (size_t)n;
    else
        h->lasts_sent += (size_t)n;
}

static void retry_in(struct history *h, double s)
{
    ev_timer_stop(h->loop, &h->retry);
    ev_timer_set(&h->retry, s, 0.);
    ev_timer_start(h->loop, &h->retry);
}

// The answer may be another one a little later.
static void delay(struct history *h, struct request *r)
{
    TAILQ_INSERT_TAIL(&h->delayed, r, in_list);
    if (!ev_is_active(&h->retry))
        retry_in(h, RETRY_S);
}

// The library is a matter of this connection.
static struct history *home_of(struct history *h, const struct request *r)
{
    if (h->settings.redirected_from)
        return h->settings.redirected_from;
    bool of_channel = r->kind == ASK_LAST || r->kind == ASK_PAGE;
    return of_channel && h->settings.home ? h->settings.home(h->settings.ctx, r->channel, r->len) : h;
}

// It sends in a turn of its own.
static void hand_over(struct history *to, struct request *r)
{
    r->tries = 0;
    TAILQ_INSERT_TAIL(waiting_for(to, r), r, in_list);
    retry_in(to, 0.);
}

// An ASK redirection sends ASKING before each command, and that is answered, too.
static bool send_asking(struct history *h)
{
    const char *asking[] = {"ASKING"};
    return !h->settings.redirected_from || (!h->refused && redis_conn_send(h->conn, 1, asking, NULL));
}

static void send_list(struct history *h, struct request_list *list, const size_t *sent, size_t max)
{
    struct request *r;
    while (*sent < max && (r = TAILQ_FIRST(list))) {
        struct history *home = h->settings.redirected_from ? h : home_of(h, r);
        if (home == h && !(send_asking(h) && request_send(r, h->conn)))
            return;
        TAILQ_REMOVE(list, r, in_list);
        if (home == h) {
            TAILQ_INSERT_TAIL(&h->sent, r, in_list);
            count_sent(h, r, 1);
        } else if (home) {
            hand_over(home, r);
        } else {
            delay(h, r);
        }
    }
}

static void send_waiting(struct history *h)
{
    send_list(h, &h->waiting, &h->lasts_sent, LASTS_MAX);
    send_list(h, &h->waiting_pages, &h->pages_sent, PAGES_MAX);
}

static void answer_failed(struct history *h, struct request *r)
{
    if (r->kind == ASK_PAGE) {
        const struct history_page page = {.query = r->page.query, .failed = true};
        h->settings.on_page(h->settings.ctx, r->page.worker, r->channel, r->len, &page);
    } else if (r->kind == ASK_LAST) {
        h->settings.on_last(h->settings.ctx, r->number, r->channel, r->len, &(struct history_tail){0});
    } else if (r->kind == ASK_LIBRARY) {
        h->asked_library = false;
    }
    free(r);
}

static void put_back(struct history *h, struct request *r)
{
    if (r->tries >= TRIES_MAX)
        answer_failed(h, r);
    else
        TAILQ_INSERT_HEAD(waiting_for(h, r), r, in_list);
}

// A worker asks for its page again after so long.
static bool is_awaited(const struct history *h, const struct request *r)
{
    return r->kind != ASK_PAGE &&
           (r->kind != ASK_LAST || h->settings.is_awaited(h->settings.ctx, r->number, r->channel, r->len));
}

// However long Redis is away, no more waits here than is awaited, or was asked lately: each addition looks at
// the oldest two.
static void drop_given_up(const struct history *h, struct request_list *list, uint64_t now_ms)
{
    for (int i = 0; i < 2; i++) {
        struct request *r = TAILQ_FIRST(list);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in no list any more
        if (!r || now_ms - r->asked_ms < PATIENCE_MS)
            return;
        TAILQ_REMOVE(list, r, in_list);
        r->asked_ms = now_ms;
        if (is_awaited(h, r))
            TAILQ_INSERT_TAIL(list, r, in_list);
        else
            free(r);
    }
}

// A Redis that is there and answers none of them may do so for long, too.
static void on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct history *h = w->data;
    uint64_t now_ms = clock_monotonic_ms();
    struct request *r;
    while ((r = TAILQ_FIRST(&h->delayed))) {
        TAILQ_REMOVE(&h->delayed, r, in_list);
        if (now_ms - r->asked_ms < PATIENCE_MS || is_awaited(h, r))
            TAILQ_INSERT_TAIL(waiting_for(h, r), r, in_list);
        else
            free(r);
    }
    send_waiting(h);
}

// `request` is copied, and gets the channel.
static bool add_request(struct history *h, const struct request *request, const char *channel, size_t len)
{
    struct request *r = malloc(sizeof *r + len);
    if (!r)
        return false;
    *r = *request;
    r->asked_ms = clock_monotonic_ms();
    r->len = len;
    memcpy(r->channel, channel, len);
    TAILQ_INSERT_TAIL(waiting_for(h, r), r, in_list);
    drop_given_up(h, waiting_for(h, r), r->asked_ms);
    send_waiting(h);
    return true;
}

static bool ask_about_library(struct history *h, enum request_kind kind)
{
    return add_request(h, &(struct request){.kind = kind}, "", 0);
}

// So that publishers find the function. Where it must not be loaded, somebody else has to: sse-publish
// --install.
static void on_library(struct history *h, const struct request *r, const redisReply *reply)
{
    if (r->kind == ASK_LIBRARY) {
        h->asked_library = false;
        bool current = reply->type == REDIS_REPLY_INTEGER && reply->integer >= function_library_version;
        bool denied = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;
        if (!current && !denied && !ask_about_library(h, LOAD_LIBRARY))
            log_error("redis", "out of memory: the function library sse is not loaded");
    } else if (reply->type == REDIS_REPLY_ERROR) {
        log_info("redis",
                 "the function library sse could not be loaded: %s; sse-publish --install does it, too",
                 reply->str);
    } else {
        log_info("redis", "loaded the function library sse, version %d: FCALL sse_publish is there",
                 function_library_version);
    }
}

static void on_ready(void *ctx)
{
    struct history *h = ctx;
    if (!h->asked_library) // without memory: at the next connection
        h->asked_library = ask_about_library(h, ASK_LIBRARY);
    send_waiting(h);
}

static void on_down(void *ctx)
{
    struct history *h = ctx;
    // The first one may be what took the connection down.
    struct request *r = TAILQ_FIRST(&h->sent);
    if (r && !h->replacing)
        r->tries++;
    h->lasts_sent = h->pages_sent = 0;
    h->granted = false;
    while ((r = TAILQ_LAST(&h->sent, request_list))) {
        TAILQ_REMOVE(&h->sent, r, in_list);
        put_back(h, r);
    }
}

static void on_skipped(void *ctx, size_t len)
{
    (void)ctx, (void)len; // nothing is that large
}

// Those say that it will never be answered; all others, that it may be a little later.
static bool is_final(const char *error)
{
    return strncmp(error, "NOPERM", 6) == 0 || strncmp(error, "WRONGTYPE", 9) == 0 ||
           strncmp(error, "ERR", 3) == 0;
}

static void on_error(struct history *h, struct request *r, const char *error)
{
    struct history *there = h->ask_redirect ? history_ask_redirect_at(h->ask_redirect, error) : NULL;
    if (there) {
        hand_over(there, r);
        return;
    }
    counter_add(h->settings.counters, COUNTER_REDIS_ERRORS, 1);
    if (h->settings.on_moved && cluster_error_passes(error))
        h->settings.on_moved(h->settings.ctx, error);
    if (!is_final(error)) {
        delay(h->settings.redirected_from ? h->settings.redirected_from : h, r);
        return;
    }
    if (!h->told_denied)
        log_warn("redis",
                 "cannot read sse:{%.*s}: %s; where a history cannot be read, durable events are delivered "
                 "like any "
                 "others, and nothing is resumed",
                 (int)r->len, r->channel, error);
    h->told_denied = true;
    answer_failed(h, r);
}

static void answer_last(struct history *h, const struct request *r, const redisReply *reply)
{
    struct history_tail tail = {0};
    tail.has_history =
        reply->elements == 0 || history_entry_event_id(reply->element[0], &tail.last, &tail.epoch);
    h->settings.on_last(h->settings.ctx, r->number, r->channel, r->len, &tail);
}

static void answer_page(struct history *h, const struct request *r, const redisReply *reply)
{
    const struct history_query *q = &r->page.query;
    struct frame *frames[HISTORY_PAGE_ENTRIES_MAX];
    struct history_page page = {.query = *q, .at_end = reply->elements < q->entries, .frames = frames};
    struct event_id prev = q->from;
    struct channel_ref channel = channel_ref(r->channel, r->len);
    for (size_t i = 0; i < reply->elements && i < HISTORY_PAGE_ENTRIES_MAX; i++) {
        enum counter dropped;
        struct frame *f =
            history_entry_frame(reply->element[i], channel, h->settings.max_message, prev, &dropped);
        if (dropped != COUNTER_COUNT)
            h->settings.on_dropped(h->settings.ctx, dropped, r->channel, r->len);
        if (!f) {
            page.at_end = false; // what is missing will be read again
            break;
        }
        prev = f->at;
        frames[page.count++] = f;
        size_t size = history_entry_size(reply->element[i]);
        page.largest = size > page.largest ? size : page.largest;
    }
    h->settings.on_page(h->settings.ctx, r->page.worker, r->channel, r->len, &page);
}

// Takes the request.
static void take_answer(struct history *h, struct request *r, const redisReply *reply)
{
    if (r->kind == ASK_LIBRARY || r->kind == LOAD_LIBRARY) {
        on_library(h, r, reply);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        on_error(h, r, reply->str);
        return;
    } else if (r->kind == ASK_PAGE) {
        answer_page(h, r, reply);
    } else {
        answer_last(h, r, reply);
    }
    free(r);
}

// ASKING is answered "OK" before the command: without that, `reply` is no answer to the command.
static bool is_granted(struct history *h, const redisReply *reply)
{
    if (!h->settings.redirected_from || h->granted)
        return true;
    h->granted = reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0;
    if (reply->type == REDIS_REPLY_ERROR) {
        struct history *redirected_from = h->settings.redirected_from;
        if (!redirected_from->told_refused)
            log_warn("redis", "what is in a slot that moves cannot be read until it has moved: %s",
                     reply->str);
        redirected_from->told_refused = h->refused = true;
    }
    return h->granted;
}

static bool on_reply(void *ctx, void *object)
{
    struct history *h = ctx;
    redisReply *reply = object;
    struct request *r = TAILQ_FIRST(&h->sent);
    // redis_conn asks PING when nothing else was said; ASKING is answered "OK".
    bool is_status = reply->type == REDIS_REPLY_STATUS;
    bool expected = is_granted(h, reply) && r && !is_status && request_is_answered_by(r, reply);
    if (expected) {
        h->granted = false;
        TAILQ_REMOVE(&h->sent, r, in_list);
        count_sent(h, r, -1);
        take_answer(h, r, reply);
        send_waiting(h);
    }
    freeReplyObject(reply);
    return expected || is_status;
}

struct history *history_create(struct ev_loop *loop, const struct history_settings *settings)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->settings = *settings;
    h->loop = loop;
    TAILQ_INIT(&h->waiting);
    TAILQ_INIT(&h->waiting_pages);
    TAILQ_INIT(&h->sent);
    TAILQ_INIT(&h->delayed);
    ev_timer_init(&h->retry, on_retry, 0., 0.);
    h->retry.data = h;
    struct redis_conn_settings conn = {
        .url = settings->url,
        .purpose = "history",
        .quiet = true,
        .client_name = settings->client_name,
        .limits = {.bulk = BULK_MAX, .elements = ELEMENTS_MAX, .bytes = BULK_MAX},
        .on_ready = on_ready,
        .on_reply = on_reply,
        .on_skipped = on_skipped,
        .on_down = on_down,
        .ctx = h,
    };
    h->conn = redis_conn_create(loop, &conn);
    if (settings->home && !settings->redirected_from)
        h->ask_redirect = history_ask_redirect_create(loop, settings, h);
    if (h->conn && (h->ask_redirect || !settings->home || settings->redirected_from))
        return h;
    history_destroy(h);
    return NULL;
}

static void requests_leave(struct history *h, struct request_list *list)
{
    struct request *r;
    while ((r = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, r, in_list);
        struct history *home = home_of(h, r);
        if (home && home != h)
            hand_over(home, r);
        else
            free(r);
    }
}

void history_destroy(struct history *h)
{
    if (!h)
        return;
    history_ask_redirect_destroy(h->ask_redirect);
    redis_conn_destroy(h->conn);
    ev_timer_stop(h->loop, &h->retry);
    requests_leave(h, &h->sent);
    requests_leave(h, &h->waiting);
    requests_leave(h, &h->waiting_pages);
    requests_leave(h, &h->delayed);
    free(h);
}

bool history_ask_last(struct history *h, uint64_t query, const char *channel, size_t len)
{
    return add_request(h, &(struct request){.kind = ASK_LAST, .number = query}, channel, len);
}

bool history_ask_page(struct history *h, unsigned worker, const char *channel, size_t len,
                      const struct history_query *query)
{
    const struct request r = {.kind = ASK_PAGE, .page = {.worker = worker, .query = *query}};
    return add_request(h, &r, channel, len);
}

void history_reconnect(struct history *h)
{
    h->replacing = true;
    redis_conn_replace(h->conn, "the subscriber's was lost");
    h->replacing = false;
}

bool history_is_idle(const struct history *h)
{
    bool asked = !TAILQ_EMPTY(&h->sent) || !TAILQ_EMPTY(&h->waiting) || !TAILQ_EMPTY(&h->waiting_pages);
    return !asked || h->refused || !redis_conn_is_ready(h->conn);
}
