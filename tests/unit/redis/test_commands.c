// A queue of commands before a real Redis: what is in flight, what is asked again, and what one bad command
// costs the others.
#include "gateway/redis/commands.h"

#include <stdio.h>
#include <string.h>

#include "common/container_of.h"
#include "common/log.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

enum {
    FEW,
    MANY,
    FEW_MAX = 2,
    MANY_MAX = 5,
    ALL = 16,
    NO_ANSWER = -1,
    OPEN = 0,
    ANSWERED = 1,
    FORGOTTEN = 2
};

struct question {
    struct command command;
    const char *text; // words with blanks between them
    int state;
    unsigned sent, lost;
};

static struct ev_loop *loop;
static ev_timer looking;
static struct redis_server server;
static struct counters counters;
static struct commands *queue;
static struct question questions[ALL];
static unsigned in_flight, most_in_flight;

static bool send_words(const struct command *c, struct redis_conn *conn)
{
    const struct question *q = container_of(c, struct question, command);
    char words[128], *rest = words, *word;
    const char *argv[8];
    int argc = 0;
    snprintf(words, sizeof words, "%s", q->text);
    while ((word = strsep(&rest, " ")))
        argv[argc++] = word;
    if (!redis_conn_send(conn, argc, argv, NULL))
        return false;
    questions[q - questions].sent++;
    in_flight++;
    most_in_flight = in_flight > most_in_flight ? in_flight : most_in_flight;
    return true;
}

static bool fits(const struct command *c, const redisReply *reply)
{
    (void)c;
    return reply->type != REDIS_REPLY_STATUS;
}

static void on_answer(void *ctx, struct command *c, const struct command_answer *answer)
{
    struct question *q = container_of(c, struct question, command);
    ck_assert_ptr_eq(ctx, &counters);
    ck_assert_int_eq(q->state, OPEN);
    q->state = answer->reply ? ANSWERED : NO_ANSWER;
    if (answer->reply)
        in_flight--;
}

static void on_forget(void *ctx, struct command *c)
{
    (void)ctx;
    container_of(c, struct question, command)->state = FORGOTTEN;
}

static void on_lost(void *ctx, struct command *c)
{
    (void)ctx;
    container_of(c, struct question, command)->lost++;
    in_flight--;
}

#define KIND(of_class, is_once)                                                                              \
    {                                                                                                        \
        .class = of_class, .once = is_once, .send = send_words, .fits = fits, .answer = on_answer,           \
        .forget = on_forget, .lost = on_lost                                                                 \
    }
static const struct command_kind few = KIND(FEW, false), many = KIND(MANY, false), once = KIND(MANY, true);

static void test_looking(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l, (void)w, (void)events;
}

static void setup(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    loop = ev_loop_new(EVFLAG_AUTO);
    ev_timer_init(&looking, test_looking, 0.005, 0.005);
    ev_timer_start(loop, &looking);
    snprintf(server.socket, sizeof server.socket, "%s", scratch_path("redis.sock"));
    server.url = (struct redis_url){.kind = REDIS_URL_UNIX, .unix_path = server.socket};
    const struct commands_settings settings = {
        .url = &server.url,
        .purpose = "test",
        .client_name = "a-gateway",
        .counters = &counters,
        .classes = {[FEW] = {.in_flight_max = FEW_MAX}, [MANY] = {.in_flight_max = 100, .max = MANY_MAX}},
        .limits = {.bulk = 8 << 20, .elements = 1000, .bytes = 8 << 20},
        .ctx = &counters,
    };
    queue = commands_create(loop, &settings);
    ck_assert_ptr_nonnull(queue);
}

static void teardown(void)
{
    commands_destroy(queue);
    redis_server_kill(&server);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown, .timeout_s = 30);

static bool add(unsigned i, const struct command_kind *kind, const char *text)
{
    questions[i] = (struct question){.command.kind = kind, .text = text};
    return commands_add(queue, &questions[i].command);
}

static bool are_answered(void *ctx)
{
    bool answered = true;
    for (unsigned i = 0; i < *(unsigned *)ctx; i++)
        answered = answered && questions[i].state != OPEN;
    return answered;
}

static bool others_are_answered(void *ctx)
{
    bool answered = true;
    for (unsigned i = 1; i < *(unsigned *)ctx; i++)
        answered = answered && questions[i].state == ANSWERED;
    return answered;
}

static bool is_sent(void *ctx)
{
    return questions[0].sent >= *(unsigned *)ctx;
}

static bool is_lost(void *ctx)
{
    return questions[0].lost >= *(unsigned *)ctx;
}

TEST(no_more_of_a_class_is_in_flight_than_it_may)
{
    unsigned all = ALL;
    for (unsigned i = 0; i < all; i++)
        ck_assert(add(i, &few, "GET k"));
    redis_server_start(&server, NULL);
    loop_wait(loop, are_answered, &all);
    ck_assert_uint_eq(most_in_flight, FEW_MAX);
}

TEST(a_full_class_takes_no_more_until_one_was_answered)
{
    unsigned all = MANY_MAX;
    for (unsigned i = 0; i < all; i++)
        ck_assert(add(i, &many, "GET k"));
    ck_assert(!add(all, &many, "GET k"));
    ck_assert(add(all + 1, &few, "GET k"));
    redis_server_start(&server, NULL);
    loop_wait(loop, are_answered, &all);
    ck_assert(add(all, &many, "GET k"));
}

TEST(what_waits_when_the_queue_goes_is_forgotten)
{
    for (unsigned i = 0; i < 4; i++)
        ck_assert(add(i, i % 2 ? &few : &once, "GET k"));
    commands_destroy(queue);
    queue = NULL;
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(questions[i].state, FORGOTTEN);
}

TEST(what_a_lost_connection_had_in_flight_is_asked_again_but_not_what_may_be_done_once)
{
    unsigned one = 1, two = 2;
    redis_server_start(&server, NULL);
    redisContext *admin = redis_server_connect(&server);
    ck_assert(add(0, &few, "BLPOP list 0"));
    ck_assert(add(1, &once, "GET k"));
    loop_wait(loop, is_sent, &one);
    redis_do(admin, "CLIENT KILL TYPE normal");
    loop_wait(loop, is_sent, &two);
    ck_assert_int_eq(questions[1].state, NO_ANSWER);
    redis_do(admin, "LPUSH list x");
    loop_wait(loop, are_answered, &two);
    ck_assert_int_eq(questions[0].state, ANSWERED);
    redisFree(admin);
}

TEST(a_command_whose_answer_takes_connections_down_costs_the_others_little)
{
    unsigned all = ALL, some = 6;
    const char *const limits[] = {"--client-output-buffer-limit", "normal", "1mb", "0", "0", NULL};
    redis_server_start(&server, limits);
    redisContext *admin = redis_server_connect(&server);
    redis_do(admin, "SETRANGE big 4194304 x");
    ck_assert(add(0, &few, "GET big"));
    for (unsigned i = 1; i < all; i++)
        ck_assert(add(i, &few, "GET k"));
    loop_wait(loop, others_are_answered, &all);
    for (unsigned i = 1; i < all; i++)
        ck_assert_uint_le(questions[i].lost, 3);
    loop_wait(loop, is_lost, &some);
    ck_assert_int_eq(questions[0].state, OPEN);
    ck_assert(add(1, &few, "GET k"));
    loop_wait(loop, others_are_answered, &all);
    ck_assert_uint_eq(questions[1].lost, 0);
    redis_do(admin, "CONFIG SET client-output-buffer-limit %s", "normal 0 0 0");
    loop_wait(loop, are_answered, &all);
    ck_assert_int_eq(questions[0].state, ANSWERED);
    redisFree(admin);
}

TEST(an_error_that_passes_is_no_answer_and_one_that_stays_is)
{
    unsigned one = 1, three = 3;
    const char *const stale[] = {"--replica-serve-stale-data", "no", NULL};
    redis_server_start(&server, stale);
    redisContext *admin = redis_server_connect(&server);
    redis_do(admin, "REPLICAOF 127.0.0.1 1"); // from now on the answer is -MASTERDOWN
    ck_assert(add(0, &few, "GET k"));
    loop_wait(loop, is_sent, &three);
    ck_assert_int_eq(questions[0].state, OPEN);
    ck_assert_uint_ge(counter_read(&counters, COUNTER_REDIS_ERRORS), 2);
    redis_do(admin, "REPLICAOF NO ONE");
    loop_wait(loop, are_answered, &one);
    ck_assert(add(0, &few, "GET too many words"));
    loop_wait(loop, are_answered, &one);
    ck_assert_int_eq(questions[0].state, ANSWERED);
    ck_assert_uint_eq(questions[0].sent, 1);
    redisFree(admin);
}
