// What waits in a history that Redis does not answer. Time passes when a test says so.
#include "common/clock.h"

#define clock_monotonic_ms test_clock_ms
static uint64_t test_clock_ms(void);
#include "gateway/redis/command_queue.c"
#include "gateway/redis/history.c"
#undef clock_monotonic_ms

#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

enum { HOUR_MS = 3600 * 1000, EVERY_MS = 100, LATELY = PATIENCE_MS / EVERY_MS, AWAITED = 50 };

static struct ev_loop *loop;
static ev_timer looking;
static struct redis_server server;
static struct counters counters;
static struct history *history;
static uint64_t now_ms = 1000000;
static unsigned lasts, pages; // that were answered
static bool awaited[AWAITED + 1];

static uint64_t test_clock_ms(void)
{
    return now_ms;
}

static bool test_is_awaited(void *ctx, uint64_t query, struct channel_ref channel)
{
    (void)ctx;
    ck_assert_uint_eq(channel.len, 1);
    ck_assert_int_eq(channel.name[0], 'a');
    return query <= AWAITED && awaited[query];
}

static void on_last(void *ctx, uint64_t query, struct channel_ref channel, const struct history_tail *tail)
{
    (void)ctx, (void)channel;
    ck_assert_uint_le(query, AWAITED);
    ck_assert(awaited[query] && tail->has_history);
    awaited[query] = false;
    lasts++;
}

static void on_page(void *ctx, unsigned worker, struct channel_ref channel, const struct history_page *page)
{
    (void)ctx, (void)worker, (void)channel;
    ck_assert(!page->failed);
    pages++;
}

static void on_dropped(void *ctx, enum counter reason, struct channel_ref channel)
{
    (void)ctx, (void)reason, (void)channel;
}

static void test_looking(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l, (void)w, (void)events;
}

// No server runs yet.
static void setup(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    ck_assert(map_seed());
    loop = ev_loop_new(EVFLAG_AUTO);
    ev_timer_init(&looking, test_looking, 0.005, 0.005);
    ev_timer_start(loop, &looking);
    snprintf(server.socket, sizeof server.socket, "%s", scratch_path("redis.sock"));
    server.url = (struct redis_url){.kind = REDIS_URL_UNIX, .unix_path = server.socket};
    const struct history_settings settings = {.url = &server.url,
                                              .client_name = "a-gateway",
                                              .counters = &counters,
                                              .max_message = 1024,
                                              .on_last = on_last,
                                              .on_page = on_page,
                                              .is_awaited = test_is_awaited,
                                              .on_dropped = on_dropped};
    history = history_create(loop, &settings);
    ck_assert_ptr_nonnull(history);
}

static void teardown(void)
{
    history_destroy(history);
    redis_server_kill(&server);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

static void ask_for_last(uint64_t query)
{
    ck_assert(history_ask_last(history, query, channel_ref("a", 1)));
}

static void ask_for_page(uint32_t number)
{
    const struct history_query query = {.number = number, .entries = 16};
    ck_assert(history_ask_page(history, 0, channel_ref("a", 1), &query));
}

static size_t count(enum class class)
{
    return history->commands->classes[class].count;
}

static size_t kept(void)
{
    return count(CLASS_LASTS) + count(CLASS_PAGES);
}

static bool is_settled(void *ctx)
{
    (void)ctx;
    return kept() == 0;
}

static bool are_refused(void *ctx)
{
    return counter_read(&counters, COUNTER_REDIS_ERRORS) >= *(uint64_t *)ctx;
}

static bool are_kept(void *ctx)
{
    return kept() == *(unsigned *)ctx;
}

// Some that are awaited for ever, and others that are soon given up.
static void ask_for_long(uint64_t awaited_count)
{
    for (uint64_t n = 1; n <= awaited_count; n++) {
        awaited[n] = true;
        ask_for_last(n);
    }
}

TEST(while_redis_is_away_no_more_waits_than_is_awaited_or_was_asked_lately)
{
    ask_for_long(AWAITED);
    for (uint32_t n = 0; n < HOUR_MS / EVERY_MS; n++) {
        ask_for_last(AWAITED + 1 + n);
        ask_for_page(n);
        now_ms += EVERY_MS;
        if (n % LATELY == 0) {
            ck_assert_uint_le(count(CLASS_LASTS), AWAITED + LATELY + 1);
            ck_assert_uint_le(count(CLASS_PAGES), LATELY + 1);
        }
    }
}

TEST(what_is_awaited_is_answered_however_long_redis_was_away)
{
    ask_for_long(AWAITED);
    for (int minutes = 0; minutes < 60; minutes++) {
        ask_for_page((uint32_t)minutes);
        now_ms += PATIENCE_MS;
    }
    ask_for_page(60);
    redis_server_start(&server, NULL);
    loop_wait(loop, is_settled, NULL);
    ck_assert_uint_eq(lasts, AWAITED);
    ck_assert_uint_ge(pages, 1);
    ck_assert_uint_le(pages, 2); // and not those that were given up
}

TEST(what_a_redis_that_is_there_does_not_answer_is_given_up_too)
{
    uint64_t all = 60;
    unsigned some = 10;
    redis_server_start(&server, NULL);
    redisContext *admin = redis_server_connect(&server);
    redis_do(admin, "CONFIG SET replica-serve-stale-data no");
    redis_do(admin, "REPLICAOF 127.0.0.1 1"); // from now on the answer is -MASTERDOWN
    ask_for_long(some);
    for (unsigned n = 0; n < 25; n++) {
        ask_for_last(AWAITED + 1 + n);
        ask_for_page(n);
    }
    loop_wait(loop, are_refused, &all);
    now_ms += PATIENCE_MS;
    loop_wait(loop, are_kept, &some);
    redis_do(admin, "REPLICAOF NO ONE");
    loop_wait(loop, is_settled, NULL);
    ck_assert_uint_eq(lasts, some);
    ck_assert_uint_eq(pages, 0);
    redisFree(admin);
}
