// A canary and its subscriber against a real redis-server. Time passes when a test says so: its timer is
// stopped, and tick() fires it.
#include "gateway/redis/canary.c"

#include <signal.h>
#include <time.h>

#include "gateway/redis/redis_pubsub.h"
#include "tests/unit/lib/log_capture.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

static struct ev_loop *loop;
static struct redis_server server;
static struct redis_pubsub *pubsub;
static struct canary *canary;
static struct counters counters;
static redisContext *publisher;
static uint64_t heard;
static unsigned deaf, arrived;
static bool cure_deafness, ignore_subscribed;

static void on_deaf(void *ctx)
{
    (void)ctx;
    deaf++;
    if (cure_deafness)
        redis_conn_replace(redis_pubsub_conn(pubsub), "deaf");
}

static void command(enum asked what)
{
    const char *name = canary_channel(canary);
    size_t len = strlen(name);
    ck_assert(redis_pubsub_command(pubsub, what, &name, &len, 1, 0));
}

static void on_pubsub_ready(void *ctx)
{
    (void)ctx;
    command(ASKED_SUBSCRIBE);
}

static void on_pubsub_down(void *ctx)
{
    (void)ctx;
    canary_lost(canary);
}

static void on_message(void *ctx, struct channel_ref channel, const char *payload, size_t len)
{
    (void)ctx, (void)channel;
    arrived++;
    canary_back(canary, payload, len);
}

static void on_subscribed(void *ctx, struct channel_ref channel)
{
    (void)ctx;
    ck_assert_uint_eq(channel.len, strlen(canary_channel(canary)));
    ck_assert_mem_eq(channel.name, canary_channel(canary), channel.len);
    if (!ignore_subscribed)
        canary_listen(canary);
}

static void on_too_large(void *ctx, struct channel_ref channel, size_t len)
{
    (void)ctx, (void)channel, (void)len;
}

static void on_refused(void *ctx, uint32_t batch, size_t count, const char *text)
{
    (void)ctx, (void)batch, (void)count;
    ck_abort_msg("%s", text);
}

static void setup(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    redis_server_start(&server, NULL);
    publisher = redis_server_connect(&server);
    struct canary_settings settings = {.url = &server.url,
                                       .client_name = "a-gateway",
                                       .counters = &counters,
                                       .on_deaf = on_deaf,
                                       .heard = &heard};
    canary = canary_create(loop, &settings);
    ck_assert_ptr_nonnull(canary);
    ev_timer_stop(loop, &canary->timer);
    struct redis_pubsub_settings subscriber = {.url = &server.url,
                                               .client_name = "a-gateway",
                                               .max_message = 1024,
                                               .on_ready = on_pubsub_ready,
                                               .on_down = on_pubsub_down,
                                               .on_message = on_message,
                                               .on_too_large = on_too_large,
                                               .on_subscribed = on_subscribed,
                                               .on_refused = on_refused};
    pubsub = redis_pubsub_create(loop, &subscriber);
    ck_assert_ptr_nonnull(pubsub);
}

static void teardown(void)
{
    redis_pubsub_destroy(pubsub);
    canary_destroy(canary);
    redisFree(publisher);
    redis_server_kill(&server);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

// The verdict on the one before, and the next one.
static void tick(void)
{
    deadline_set(&canary->verdict, 0.); // it is in time
    canary->verdict.on_over(canary);
    ev_invoke(loop, &canary->timer, EV_TIMER);
    deadline_stop(&canary->verdict);
}

TEST(a_subscriber_that_has_just_gone_deaf_is_replaced_within_5_seconds)
{
    double every = canary->timer.repeat;
    ev_invoke(loop, &canary->timer, EV_TIMER);
    double verdict = ev_timer_remaining(loop, &canary->verdict.timer);
    deadline_stop(&canary->verdict);
    ck_assert(every > 0 && 2 * every + verdict < 5); // two have to be lost
}

static bool is_proven(void *ctx)
{
    (void)ctx;
    return canary_is_proven(canary);
}

static bool is_taken(void *ctx)
{
    (void)ctx;
    return canary->taken;
}

static bool is_refused(void *ctx)
{
    return counter_read(&counters, COUNTER_REDIS_ERRORS) >= *(uint64_t *)ctx;
}

// Redis takes what is published, and no longer hands it to the subscriber, who believes itself subscribed.
static void make_deaf(void)
{
    command(ASKED_UNSUBSCRIBE);
    for (char channel[64] = ""; !*channel || redis_do(publisher, "PUBLISH %s x", channel) > 0;) {
        snprintf(channel, sizeof channel, "%s", canary_channel(canary));
        ev_run(loop, EVRUN_NOWAIT);
    }
}

TEST(delivery_is_proven_by_the_first_canary_without_waiting)
{
    loop_wait(loop, is_proven, NULL);
    ck_assert_uint_eq(counter_read(&counters, COUNTER_CANARIES_SENT), 1);
    ck_assert_uint_eq(counter_read(&counters, COUNTER_CANARIES_BACK), 1);
}

TEST(it_stays_proven_while_canaries_come_back)
{
    loop_wait(loop, is_proven, NULL);
    for (unsigned i = 2; i <= 20; i++) {
        tick();
        while (canary->awaited)
            ev_run(loop, EVRUN_ONCE);
        ck_assert_uint_eq(counter_read(&counters, COUNTER_CANARIES_BACK), i);
        ck_assert(canary_is_proven(canary));
    }
    ck_assert_uint_eq(deaf, 0);
}

TEST(only_the_newest_canary_proves_anything)
{
    loop_wait(loop, is_proven, NULL);
    canary_lost(canary);
    ck_assert(!canary_is_proven(canary));
    unsigned before = arrived;
    redis_do(publisher, "PUBLISH %s 0", canary_channel(canary)); // an old one, or none at all
    redis_do(publisher, "PUBLISH %s 2", canary_channel(canary));
    redis_do(publisher, "PUBLISH %s 11", canary_channel(canary));
    redis_do(publisher, "PUBLISH %s %s", canary_channel(canary), "");
    redis_do(publisher, "PUBLISH %s hello", canary_channel(canary));
    while (arrived < before + 5)
        ev_run(loop, EVRUN_ONCE);
    ck_assert(!canary_is_proven(canary));
    ck_assert_uint_eq(counter_read(&counters, COUNTER_CANARIES_BACK), 1);
}

TEST(one_lost_canary_is_forgiven_two_are_not)
{
    loop_wait(loop, is_proven, NULL);
    make_deaf();
    for (unsigned lost = 0; lost <= 2; lost++) {
        ck_assert(canary_is_proven(canary));
        ck_assert_uint_eq(deaf, 0);
        tick(); // sees what became of the one before
        loop_wait(loop, is_taken, NULL);
    }
    ck_assert(!canary_is_proven(canary));
    ck_assert_uint_eq(deaf, 1);
    tick(); // said once for two canaries, not at every tick from now on
    ck_assert_uint_eq(deaf, 1);
}

TEST(a_subscriber_that_hears_others_may_be_late_but_not_for_ever)
{
    loop_wait(loop, is_proven, NULL);
    make_deaf();
    for (unsigned lost = 0; lost <= 8; lost++) {
        ck_assert_uint_eq(deaf, 0);
        heard++;
        tick();
        loop_wait(loop, is_taken, NULL);
    }
    ck_assert(!canary_is_proven(canary));
    ck_assert_uint_eq(deaf, 1);
}

TEST(a_canary_lost_now_and_then_is_forgiven_each_time)
{
    loop_wait(loop, is_proven, NULL);
    ignore_subscribed = true;
    for (int i = 0; i < 5; i++) {
        make_deaf();
        tick();
        loop_wait(loop, is_taken, NULL);
        command(ASKED_SUBSCRIBE);
        while (redis_do(publisher, "PUBLISH %s x", canary_channel(canary)) == 0)
            ev_run(loop, EVRUN_NOWAIT);
        tick();
        while (canary->awaited)
            ev_run(loop, EVRUN_ONCE);
        ck_assert(canary_is_proven(canary));
    }
    ck_assert_uint_eq(deaf, 0);
}

TEST(a_deaf_subscriber_is_replaced_and_delivery_proven_again)
{
    cure_deafness = true;
    loop_wait(loop, is_proven, NULL);
    make_deaf();
    while (deaf == 0) {
        tick();
        if (deaf == 0)
            loop_wait(loop, is_taken, NULL);
    }
    ck_assert(!canary_is_proven(canary));
    loop_wait(loop, is_proven, NULL);
    ck_assert_uint_eq(deaf, 1);
}

TEST(a_canary_that_redis_refuses_says_nothing_of_the_subscriber)
{
    log_capture_start();
    loop_wait(loop, is_proven, NULL);
    redis_do(publisher, "ACL SETUSER default -publish");
    for (uint64_t refusals = 1; refusals <= 5; refusals++) {
        tick();
        loop_wait(loop, is_refused, &refusals);
    }
    ck_assert(!canary_is_proven(canary));
    ck_assert_uint_eq(deaf, 0);
    ck_assert_uint_eq(log_capture_count("cannot publish the canary"), 1); // not every two seconds
    ck_assert_uint_eq(log_capture_count("delivery is not proven"), 1);
    redis_do(publisher, "ACL SETUSER default +publish");
    tick();
    loop_wait(loop, is_proven, NULL);
}

TEST(without_its_own_connection_nothing_is_proven_and_nobody_is_deaf)
{
    loop_wait(loop, is_proven, NULL);
    redis_conn_replace(canary->conn, "a test");
    tick();
    ck_assert(canary_is_proven(canary));
    tick();
    ck_assert(!canary_is_proven(canary));
    tick();
    ck_assert_uint_eq(deaf, 0);
    loop_wait(loop, is_proven, NULL); // as soon as it is back, without a tick
}

// The canaries that could not be sent were not the subscriber's to hear. The one on its way may stand behind
// many messages; a subscriber that was cut off for that would lose them.
TEST(a_subscriber_is_deaf_only_to_what_redis_took)
{
    loop_wait(loop, is_proven, NULL);
    make_deaf();
    redis_conn_replace(canary->conn, "a test");
    canary->taken = false;
    for (int i = 0; i < 5; i++)
        tick();
    loop_wait(loop, is_taken, NULL);
    tick();
    ck_assert_uint_eq(deaf, 0);
    loop_wait(loop, is_taken, NULL);
    tick();
    ck_assert_uint_eq(deaf, 1);
}

TEST(a_new_connection_of_the_subscriber_is_judged_by_its_own_canaries)
{
    loop_wait(loop, is_proven, NULL);
    make_deaf();
    tick();
    loop_wait(loop, is_taken, NULL);
    tick(); // the old connection has lost one
    canary_lost(canary);
    uint64_t sent = counter_read(&counters, COUNTER_CANARIES_SENT);
    for (int i = 0; i < 5; i++)
        tick();
    ck_assert_uint_eq(counter_read(&counters, COUNTER_CANARIES_SENT), sent); // nobody listens
    canary->taken = false;
    canary_listen(canary);
    loop_wait(loop, is_taken, NULL);
    tick();
    ck_assert_uint_eq(deaf, 0);
    loop_wait(loop, is_taken, NULL);
    tick();
    ck_assert_uint_eq(deaf, 1);
}

TEST(when_the_subscriber_is_gone_nothing_is_proven_at_once)
{
    loop_wait(loop, is_proven, NULL);
    redis_conn_replace(redis_pubsub_conn(pubsub), "a test");
    ck_assert(!canary_is_proven(canary));
    loop_wait(loop, is_proven, NULL);
}

TEST(every_canary_has_a_reserved_channel_of_its_own)
{
    struct canary_settings settings = {
        .url = &server.url, .client_name = "b", .counters = &counters, .on_deaf = on_deaf};
    struct canary *other = canary_create(loop, &settings);
    ck_assert_str_ne(canary_channel(canary), canary_channel(other));
    ck_assert_int_eq(strncmp(canary_channel(other), "sse:", 4), 0);
    canary_destroy(other);
}

static bool is_back(void *ctx)
{
    (void)ctx;
    return !canary->awaited;
}

// Test 0: the canary is there when the verdict is due. Test 1: Redis slept, too, and wakes no sooner than
// this.
TEST_LOOP(a_canary_that_came_back_while_the_loop_slept_is_not_called_missed, 0, 2)
{
    const struct timespec time = {.tv_nsec = _i == 0 ? 100000000 : 600000000};
    loop_wait(loop, is_proven, NULL);
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    ev_invoke(loop, &canary->timer, EV_TIMER);
    ev_run(loop, EVRUN_NOWAIT); // it is sent
    deadline_set(&canary->verdict, 0.05);
    canary->missed = canary->unheard = MISSED_MAX - 1;
    if (_i == 0)
        ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    ck_assert_int_eq(nanosleep(&time, NULL), 0);
    ev_run(loop, EVRUN_NOWAIT);
    if (_i == 1)
        ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    loop_wait(loop, is_back, NULL);
    ck_assert_uint_eq(canary->missed, 0);
    ck_assert(canary_is_proven(canary) && deaf == 0);
}
