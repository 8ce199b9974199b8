// What a revocation ends and lets be, when Redis is asked, and what a stream gets that waits for the answer. The
// test plays the bus.
#include "gateway/client/revocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth/principal.h"
#include "gateway/client/admission_asks.h"
#include "gateway/client/users.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

enum { MANY = 200 };

static struct client_world world;
static struct client clients[MANY];
static struct question *asked[2 * MANY];
static unsigned count;
static bool deaf; // nothing can be asked

static bool on_ask(void *ctx, struct question *q)
{
    (void)ctx;
    if (!deaf)
        asked[count++] = q;
    return !deaf;
}

static bool on_end(void *ctx, uint64_t id, enum close_reason reason)
{
    (void)ctx, (void)id, (void)reason;
    return true;
}

// The Authorization header is "subject id time", and a nonce where there is a ticket.
static enum admission_verdict identify(struct admission *a)
{
    char text[128], subject[32] = "", id[32] = "", nonce[33] = "";
    long long issued = 0;
    if (!a->req->authorization.at)
        return ADMISSION_GRANTED;
    snprintf(text, sizeof text, "%.*s", (int)a->req->authorization.len, a->req->authorization.at);
    ck_assert_int_ge(sscanf(text, "%31s %31s %lld %32s", subject, id, &issued, nonce), 3);
    memcpy(a->nonce, nonce, sizeof a->nonce);
    a->conn->principal =
        principal_create(&(struct principal){.subject = subject, .token_id = id, .issued_s = issued});
    return ADMISSION_GRANTED;
}

static const struct admission_step steps[] = {
    {.check = identify},
    {.check = admission_limits},
    {.check = admission_user},
    {.check = admission_spend_ticket},
    {.check = admission_revocation},
    {.check = admission_join},
    {0},
};

static void setup(void)
{
    const struct users_hooks hooks = {.end = on_end};
    count = 0;
    deaf = false;
    client_world_init(&world);
    world.settings.admission = steps;
    world.settings.revocation = true;
    world.settings.users = users_create(&hooks);
    ck_assert_ptr_nonnull(world.settings.users);
    client_world_start(&world);
    world.clients.context.hooks.ask = on_ask;
}

static void teardown(void)
{
    for (unsigned i = 0; i < count; i++)
        free(asked[i]);
    client_world_stop(&world);
    users_destroy(world.settings.users);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static void note_id(void *ctx, uint64_t id)
{
    (void)ctx, (void)id; // only their number counts
}

static void request(struct client *c, const char *who)
{
    char headers[128];
    snprintf(headers, sizeof headers, who[0] ? "Authorization: %s\r\n" : "%s", who);
    client_connect(&world, c);
    client_get(c, "/stream?control=1&channel=open", headers);
}

// Has the next question come, and gives it to the test.
static struct question *next_question(void)
{
    unsigned before = count;
    loop_wait_count(world.loop, &count, before ? before : 1);
    struct question *q = asked[0];
    memmove(asked, asked + 1, --count * sizeof(struct question *));
    return q;
}

static void answer(struct question *q, int64_t first, int64_t second)
{
    q->is_answered = true;
    q->numbers[0] = first;
    q->numbers[1] = second;
    client_loop_answer(&world.clients, q);
}

static void open_stream(struct client *c, const char *who)
{
    request(c, who);
    if (who[0]) {
        loop_wait_count(world.loop, &count, 1);
        answer(next_question(), 0, 0);
    } else {
        ev_run(world.loop, EVRUN_NOWAIT);
    }
    client_world_confirm(&world, "open");
    ev_run(world.loop, EVRUN_NOWAIT);
    client_wait_for(&world, c, "gateway:open");
}

static void news(const char *subject, const char *id, int64_t time)
{
    struct question *q = question_create(&(struct question){
        .kind = QUESTION_REVOKED, .is_answered = true, .numbers = {time, time}, .texts = {subject, id}});
    ck_assert_ptr_nonnull(q);
    client_loop_answer(&world.clients, q);
}

static void close_all(size_t all)
{
    for (size_t i = 0; i < all; i++)
        client_close(&clients[i]);
    client_world_wait_empty(&world);
}

static uint64_t revoked(void)
{
    return client_loop_closes(&world.clients, CLOSE_REVOKED);
}

TEST(redis_is_asked_about_the_subject_and_the_id_of_a_token_and_not_about_anonymous_streams)
{
    open_stream(&clients[0], "");
    ck_assert_uint_eq(count, 0);
    request(&clients[1], "ann t1 100");
    loop_wait_count(world.loop, &count, 1);
    struct question *q = next_question();
    ck_assert_str_eq(q->texts[0], "ann");
    ck_assert_str_eq(q->texts[1], "t1");
    answer(q, 0, 0);
    ev_run(world.loop, EVRUN_NOWAIT);
    client_world_confirm(&world, "open");
    client_wait_for(&world, &clients[1], "gateway:open");
    close_all(2);
}

static const struct {
    const char *who;
    int64_t subject_until, id_until;
    const char *head;
} refused[] = {
    {"ann t1 100", 100, 0, "HTTP/1.1 401"}, // issued in the second of the revocation
    {"ann t1 100", 0, 101, "HTTP/1.1 401"},
    {"ann t1 0", 50, 0, "HTTP/1.1 401"}, // does not say when it was issued
    {"ann t1 9999999999", INT64_MAX, 0, "HTTP/1.1 401"},
};

TEST_EACH(a_token_that_was_issued_before_its_revocation_is_refused_for_good, refused)
{
    request(&clients[0], refused[_i].who);
    loop_wait_count(world.loop, &count, 1);
    answer(next_question(), refused[_i].subject_until, refused[_i].id_until);
    client_wait_for(&world, &clients[0], refused[_i].head);
    close_all(1);
}

TEST(a_token_that_was_issued_after_the_revocation_is_let_in)
{
    request(&clients[0], "ann t1 101");
    loop_wait_count(world.loop, &count, 1);
    answer(next_question(), 100, 100);
    ev_run(world.loop, EVRUN_NOWAIT);
    client_world_confirm(&world, "open");
    client_wait_for(&world, &clients[0], "gateway:open");
    close_all(1);
}

TEST_LOOP(where_redis_does_not_answer_the_stream_is_refused_for_a_while, 0, 2)
{
    deaf = _i == 0;
    request(&clients[0], "ann t1 100");
    if (!deaf) {
        loop_wait_count(world.loop, &count, 1);
        client_loop_answer(&world.clients, next_question());
    }
    client_wait_for(&world, &clients[0], "HTTP/1.1 503");
    close_all(1);
}

TEST(a_revocation_ends_the_streams_of_its_user_alone_and_only_those_of_older_tokens)
{
    static const char *const who[] = {"ann t1 100", "ann t2 101", "ann t3 0", "bob t1 100", ""};
    for (size_t i = 0; i < 5; i++)
        open_stream(&clients[i], who[i]);
    news("ann", NULL, 100);
    client_wait_for(&world, &clients[0], "event: gateway:close\ndata: {\"reason\":\"revoked\"}\n\n");
    client_wait_for(&world, &clients[2], "revoked");
    ck_assert_uint_eq(users_each(world.settings.users, "sub:ann", note_id, NULL), 1);
    news(NULL, "t2", 101);
    client_wait_for(&world, &clients[1], "revoked");
    close_all(5);
    ck_assert_uint_eq(revoked(), 3);
}

// The subscriber's connection may bring the revocation before the answer, which is older, comes.
TEST(a_revocation_that_comes_before_an_older_answer_refuses_the_stream_that_waits_for_it)
{
    request(&clients[0], "ann t1 100");
    loop_wait_count(world.loop, &count, 1);
    news("ann", NULL, 100);
    answer(next_question(), 0, 0);
    client_wait_for(&world, &clients[0], "HTTP/1.1 503");
    close_all(1);
}

TEST(a_recheck_asks_about_each_stream_a_bounded_number_at_a_time_and_ends_those_revoked)
{
    open_stream(&clients[0], "");
    for (unsigned i = 1; i < MANY; i++) {
        char who[64];
        snprintf(who, sizeof who, "user%u t%u 100", i, i);
        open_stream(&clients[i], who);
    }
    client_loop_recheck(&world.clients);
    unsigned answered = 0, most = 0;
    while (count > 0) {
        most = count > most ? count : most;
        struct question *q = next_question();
        answer(q, strcmp(q->texts[0], "user150") == 0 ? 100 : 0, 0);
        answered++;
    }
    ck_assert_uint_eq(answered, MANY - 1);
    ck_assert_uint_le(most, 64);
    client_wait_for(&world, &clients[150], "revoked");
    close_all(MANY);
    ck_assert_uint_eq(revoked(), 1);
}

TEST(a_recheck_that_redis_does_not_answer_begins_anew_until_it_does)
{
    open_stream(&clients[0], "ann t1 100");
    client_loop_recheck(&world.clients);
    client_loop_answer(&world.clients, next_question()); // not answered
    loop_wait_count(world.loop, &count, 1);
    deaf = true;
    client_loop_answer(&world.clients, next_question());
    for (int i = 0; i < 10; i++)
        ev_run(world.loop, EVRUN_ONCE);
    deaf = false;
    loop_wait_count(world.loop, &count, 1);
    answer(next_question(), 100, 0);
    client_wait_for(&world, &clients[0], "revoked");
    close_all(1);
}

static const struct {
    bool is_answered;
    int64_t number;
    const char *head;
} spent[] = {{true, 0, "HTTP/1.1 401"}, {false, 0, "HTTP/1.1 503"}};

TEST_EACH(a_ticket_that_was_spent_is_final_and_one_that_redis_does_not_know_of_is_not, spent)
{
    request(&clients[0], "ann t1 100 0123");
    loop_wait_count(world.loop, &count, 1);
    struct question *q = next_question();
    ck_assert_int_eq(q->kind, QUESTION_SPEND);
    ck_assert_str_eq(q->texts[0], "0123");
    ck_assert_uint_gt(q->seconds, TICKET_LIFE_S);
    if (spent[_i].is_answered)
        answer(q, spent[_i].number, 0);
    else
        client_loop_answer(&world.clients, q);
    client_wait_for(&world, &clients[0], spent[_i].head);
    close_all(1);
}

TEST(a_ticket_is_spent_before_redis_is_asked_about_its_token)
{
    request(&clients[0], "ann t1 100 0123");
    loop_wait_count(world.loop, &count, 1);
    answer(next_question(), 1, 0);
    loop_wait_count(world.loop, &count, 1);
    answer(next_question(), 0, 0);
    ev_run(world.loop, EVRUN_NOWAIT);
    client_world_confirm(&world, "open");
    client_wait_for(&world, &clients[0], "gateway:open");
    close_all(1);
}
