// Questions of a worker to a real redis-server: what it says, and what comes back where it says nothing.
#include "gateway/bus/questions.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

enum { ANSWERS_MAX = 8192 };

static struct ev_loop *loop;
static ev_timer looking;
static struct redis_server server;
static struct counters counters;
static struct delivery *delivery;
static struct mailbox *box;
static struct bus_env env;
static struct node node;
static struct questions *questions;
static struct question *answers[ANSWERS_MAX];
static unsigned count;

static void on_mail(void *ctx, const struct mail *mail, bool more)
{
    (void)ctx, (void)more;
    ck_assert_uint_eq(mail->kind, MAIL_ANSWER);
    ck_assert_uint_lt(count, ANSWERS_MAX);
    answers[count++] = mail->question;
}

static void on_looking(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l, (void)w, (void)events;
}

static void setup(void)
{
    static struct mailbox *boxes[1];
    log_set_level(LOG_LEVEL_ERROR);
    loop = ev_loop_new(EVFLAG_AUTO);
    ev_timer_init(&looking, on_looking, 0.005, 0.005);
    ev_timer_start(loop, &looking);
    box = boxes[0] = mailbox_create(loop, false, 1 << 20, &(struct mailbox_hooks){.on_mail = on_mail});
    delivery = calloc(1, sizeof *delivery);
    ck_assert(box && delivery);
    delivery->workers = boxes;
    delivery->worker_count = 1;
    count = 0;
    redis_server_start(&server, NULL);
    env = (struct bus_env){
        .loop = loop, .delivery = delivery, .counters = &counters, .client_name = "a-gateway", .asks = true};
    node = (struct node){.env = &env, .url = &server.url};
    questions = questions_create(&node);
    ck_assert_ptr_nonnull(questions);
}

static void teardown(void)
{
    questions_destroy(questions);
    mailbox_destroy(box);
    for (unsigned i = 0; i < count; i++)
        free(answers[i]);
    free(delivery);
    redis_server_kill(&server);
    ev_timer_stop(loop, &looking);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown, .timeout_s = 30);

static void ask(enum question_kind kind, const char *first, const char *second)
{
    struct question *q = question_create(
        &(struct question){.kind = (uint8_t)kind, .connection = 7, .seconds = 30, .texts = {first, second}});
    ck_assert_ptr_nonnull(q);
    questions_ask(questions, 0, q);
}

static const struct question *answer_to(enum question_kind kind, const char *first, const char *second)
{
    unsigned before = count;
    ask(kind, first, second);
    loop_wait_count(loop, &count, before + 1);
    ck_assert_uint_eq(answers[before]->connection, 7);
    return answers[before];
}

static bool is_connected(void *ctx)
{
    (void)ctx;
    return answer_to(QUESTION_REVOKED, "anyone", NULL)->is_answered;
}

static void check_times(const char *subject, const char *id, int64_t of_subject, int64_t of_id)
{
    const struct question *q = answer_to(QUESTION_REVOKED, subject, id);
    ck_assert(q->is_answered);
    ck_assert_int_eq(q->numbers[0], of_subject);
    ck_assert_int_eq(q->numbers[1], of_id);
}

TEST(a_revoked_subject_and_a_revoked_token_are_known_with_their_times)
{
    redisContext *admin = redis_server_connect(&server);
    redis_do(admin, "SET sse:revoked:sub:ann 1700000000 EX 100");
    redis_do(admin, "SET sse:revoked:jti:t1 1700000001 EX 100");
    redis_do(admin, "SET %s soon", "sse:revoked:sub:o dd{x}");
    loop_wait(loop, is_connected, NULL);
    check_times("ann", "t1", 1700000000, 1700000001);
    check_times("ann", NULL, 1700000000, 0);
    check_times(NULL, "t1", 0, 1700000001);
    check_times("bob", "t2", 0, 0);
    check_times("o dd{x}", NULL, INT64_MAX, 0); // not a time: whatever was issued
    redisFree(admin);
}

TEST(a_ticket_is_spent_once_and_remembered_as_long_as_it_is_said)
{
    redisContext *admin = redis_server_connect(&server);
    loop_wait(loop, is_connected, NULL);
    ck_assert_int_eq(answer_to(QUESTION_SPEND, "n1", NULL)->numbers[0], 1);
    const struct question *again = answer_to(QUESTION_SPEND, "n1", NULL);
    ck_assert(again->is_answered);
    ck_assert_int_eq(again->numbers[0], 0);
    ck_assert_int_eq(answer_to(QUESTION_SPEND, "n2", NULL)->numbers[0], 1);
    long long left = redis_do(admin, "TTL sse:ticket:n1");
    ck_assert(left > 0 && left <= 30);
    redisFree(admin);
}

static int64_t lease(enum question_kind kind, const char *name, bool replaces, int64_t most)
{
    unsigned before = count;
    struct question *q = question_create(&(struct question){.kind = (uint8_t)kind,
                                                            .connection = 7,
                                                            .seconds = 30,
                                                            .replaces = replaces,
                                                            .numbers = {most},
                                                            .texts = {"ann", name}});
    ck_assert_ptr_nonnull(q);
    questions_ask(questions, 0, q);
    loop_wait_count(loop, &count, before + 1);
    ck_assert(answers[before]->is_answered);
    return answers[before]->numbers[0];
}

TEST(at_the_cap_a_lease_is_refused_and_a_renewal_that_redis_has_lost_is_not)
{
    loop_wait(loop, is_connected, NULL);
    ck_assert_int_eq(lease(QUESTION_LEASE, "g:1", false, 2), 1);
    ck_assert_int_eq(lease(QUESTION_LEASE, "g:2", false, 2), 1);
    ck_assert_int_eq(lease(QUESTION_LEASE, "g:3", false, 2), 0);
    ck_assert_int_eq(lease(QUESTION_RENEW, "g:3", false, 2), 1);
    ck_assert_int_eq(lease(QUESTION_RELEASE, "g:1", false, 2), 1);
}

TEST(the_oldest_lease_ends_for_a_newer_one_and_its_name_is_published)
{
    redisContext *admin = redis_server_connect(&server), *listener = redis_server_connect(&server);
    loop_wait(loop, is_connected, NULL);
    freeReplyObject(redisCommand(listener, "SUBSCRIBE __sse:revoke"));
    ck_assert_int_eq(lease(QUESTION_LEASE, "g:1", true, 2), 1);
    ck_assert_int_eq(lease(QUESTION_LEASE, "g:2", true, 2), 1);
    ck_assert_int_eq(lease(QUESTION_RENEW, "g:1", true, 2), 1); // stays the oldest
    ck_assert_int_eq(lease(QUESTION_LEASE, "h:1", true, 2), 1);
    ck_assert_int_eq(lease(QUESTION_RENEW, "g:1", true, 2), 0);
    ck_assert_int_eq(lease(QUESTION_RENEW, "g:2", true, 2), 1);
    redisReply *heard;
    ck_assert_int_eq(redisGetReply(listener, (void **)&heard), REDIS_OK);
    ck_assert_str_eq(heard->element[2]->str, "replaced g:1");
    freeReplyObject(heard);
    ck_assert_int_eq(redis_do(admin, "ZCARD sse:lease:ann"), 4);
    (void)lease(QUESTION_RELEASE, "g:2", true, 2);
    ck_assert_int_eq(lease(QUESTION_RENEW, "g:1", true, 2), 1); // there is a place
    redis_do(admin, "ZADD sse:lease:ann 1 h:1");                // as if it had expired
    ck_assert_int_eq(lease(QUESTION_LEASE, "g:4", true, 2), 1);
    ck_assert_int_eq(lease(QUESTION_RENEW, "g:1", true, 2), 1);
    ck_assert_int_eq(redis_do(admin, "ZCARD sse:lease:ann"), 4);
    (void)lease(QUESTION_RELEASE, "g:1", true, 2);
    (void)lease(QUESTION_RELEASE, "g:4", true, 2);
    ck_assert_int_eq(redis_do(admin, "EXISTS sse:lease:ann"), 0);
    redisFree(listener);
    redisFree(admin);
}

TEST(while_redis_is_away_a_question_comes_back_at_once_and_its_command_is_not_executed_later)
{
    loop_wait(loop, is_connected, NULL);
    redis_server_kill(&server);
    bool away = false;
    for (int i = 0; i < 1000 && !away; i++)
        away = !answer_to(QUESTION_SPEND, "n1", NULL)->is_answered;
    ck_assert(away);
    redis_server_start(&server, NULL);
    loop_wait(loop, is_connected, NULL);
    ck_assert_int_eq(answer_to(QUESTION_SPEND, "n1", NULL)->numbers[0], 1);
}

TEST(a_question_in_flight_on_a_connection_that_is_lost_is_not_asked_twice)
{
    loop_wait(loop, is_connected, NULL);
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    unsigned before = count;
    ask(QUESTION_SPEND, "n1", NULL);
    for (int i = 0; i < 20; i++)
        ev_run(loop, EVRUN_ONCE);
    ck_assert_uint_eq(count, before);
    redis_server_kill(&server);
    loop_wait_count(loop, &count, before + 1);
    ck_assert(!answers[before]->is_answered);
}

TEST(an_error_of_redis_is_no_answer)
{
    redisContext *admin = redis_server_connect(&server);
    redis_do(admin, "LPUSH sse:revoked:sub:ann x");
    loop_wait(loop, is_connected, NULL);
    ck_assert(!answer_to(QUESTION_REVOKED, "ann", NULL)->is_answered);
    ck_assert(answer_to(QUESTION_REVOKED, "bob", NULL)->is_answered);
    redisFree(admin);
}

TEST(questions_beyond_the_bound_come_back_at_once)
{
    loop_wait(loop, is_connected, NULL);
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    unsigned before = count, unanswered = 0;
    for (int i = 0; i < 4096 + 10; i++)
        ask(QUESTION_REVOKED, "ann", NULL);
    loop_wait_count(loop, &count, before + 10);
    ck_assert_uint_eq(count, before + 10);
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    loop_wait_count(loop, &count, before + 4096 + 10);
    for (unsigned i = before; i < count; i++)
        unanswered += !answers[i]->is_answered;
    ck_assert_uint_eq(unanswered, 10);
}

TEST(what_is_not_answered_when_the_bus_ends_comes_back)
{
    loop_wait(loop, is_connected, NULL);
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    unsigned before = count;
    ask(QUESTION_REVOKED, "ann", "t1");
    questions_destroy(questions);
    questions = NULL;
    loop_wait_count(loop, &count, before + 1);
    ck_assert(!answers[before]->is_answered);
}
