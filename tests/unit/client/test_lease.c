// Leases of the tier's cap: when one is asked for, renewed and given back, and which stream ends where it is gone.
// The test plays the bus.
#include "gateway/client/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth/principal.h"
#include "gateway/client/admission.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

enum { MANY = 150 };

static struct client_world world;
static struct client clients[MANY];
static struct question *asked[4 * MANY];
static unsigned count;

static bool on_ask(void *ctx, struct question *q)
{
    (void)ctx;
    asked[count++] = q;
    return true;
}

static enum admission_verdict identify(struct admission *a)
{
    a->conn->principal = principal_create(&(struct principal){.subject = "ann"});
    return ADMISSION_GRANTED;
}

static const struct admission_step steps[] = {
    {.check = identify},       {.check = admission_limits},
    {.check = admission_tier}, {.check = admission_tier_newest},
    {.check = admission_join}, {0},
};

static void setup(void)
{
    count = 0;
    client_world_init(&world);
    world.settings.admission = steps;
    world.settings.tier_cap = 3;
    world.settings.tier_replaces = true;
    world.settings.lease_owner = "abcd";
    client_world_start(&world);
    world.clients.context.hooks.ask = on_ask;
}

static void teardown(void)
{
    client_world_stop(&world);
    for (unsigned i = 0; i < count; i++)
        free(asked[i]);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static struct question *take_question(void)
{
    loop_wait_count(world.loop, &count, 1);
    struct question *q = asked[0];
    memmove(asked, asked + 1, --count * sizeof(struct question *));
    return q;
}

static void answer(struct question *q, int64_t number)
{
    q->is_answered = true;
    q->numbers[0] = number;
    client_loop_answer(&world.clients, q);
}

// Has the next question of `kind` come, and gives it to the test. Renewals, which the first tick of the loop begins,
// are granted meanwhile.
static struct question *next_question(enum question_kind kind)
{
    struct question *q;
    while ((q = take_question())->kind == QUESTION_RENEW && kind != QUESTION_RENEW)
        answer(q, 1);
    ck_assert_uint_eq(q->kind, kind);
    return q;
}

static void request(struct client *c)
{
    client_connect(&world, c);
    client_get(c, "/stream?control=1&channel=open", "");
}

// Returns the id of its connection.
static uint64_t open_stream(struct client *c)
{
    request(c);
    struct question *q = next_question(QUESTION_LEASE);
    uint64_t id = q->connection;
    answer(q, 1);
    ev_run(world.loop, EVRUN_NOWAIT);
    client_world_confirm(&world, "open");
    client_wait_for(&world, c, "gateway:open");
    return id;
}

// The bus tells that a newer stream of another gateway has the lease.
static void replaced(uint64_t id)
{
    struct question *q =
        question_create(&(struct question){.kind = QUESTION_RENEW, .connection = id, .is_answered = true});
    ck_assert_ptr_nonnull(q);
    client_loop_answer(&world.clients, q);
}

static void close_all(size_t all)
{
    for (size_t i = 0; i < all; i++)
        client_close(&clients[i]);
    client_world_wait_empty(&world);
}

TEST(a_lease_names_its_stream_and_is_given_back_when_the_stream_ends)
{
    char name[64];
    request(&clients[0]);
    struct question *q = next_question(QUESTION_LEASE);
    snprintf(name, sizeof name, "abcd:%llx", (unsigned long long)q->connection);
    ck_assert_str_eq(q->texts[0], "ann");
    ck_assert_str_eq(q->texts[1], name);
    ck_assert_int_eq(q->numbers[0], 3);
    ck_assert(q->replaces);
    answer(q, 1);
    close_all(1);
    q = next_question(QUESTION_RELEASE);
    ck_assert_str_eq(q->texts[1], name);
    free(q);
}

TEST(a_lease_that_comes_when_its_stream_is_gone_is_given_back)
{
    request(&clients[0]);
    struct question *q = next_question(QUESTION_LEASE);
    close_all(1);
    ck_assert_uint_eq(count, 0);
    answer(q, 1);
    free(next_question(QUESTION_RELEASE));
}

TEST(a_stream_whose_lease_was_given_to_a_newer_one_ends_and_others_stay)
{
    uint64_t first = open_stream(&clients[0]);
    (void)open_stream(&clients[1]);
    replaced(first);
    client_wait_for(&world, &clients[0], "event: gateway:close\ndata: {\"reason\":\"replaced\"}\n\n");
    replaced(first); // told twice
    close_all(2);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_REPLACED), 1);
}

// The subscriber's connection may bring the news before the answer.
TEST(a_stream_that_is_replaced_before_it_hears_of_its_lease_is_refused_and_gives_it_back)
{
    request(&clients[0]);
    struct question *q = next_question(QUESTION_LEASE);
    replaced(q->connection);
    client_wait_for(&world, &clients[0], "HTTP/1.1 503");
    answer(q, 1);
    free(next_question(QUESTION_RELEASE));
    close_all(1);
}

TEST(a_renewal_asks_about_each_stream_a_bounded_number_at_a_time_and_ends_the_one_whose_lease_is_gone)
{
    for (size_t i = 0; i < MANY; i++)
        (void)open_stream(&clients[i]);
    unsigned most = 0, renewed = 0;
    while (count > 0)
        answer(next_question(QUESTION_RENEW), 1);
    client_loop_recheck(&world.clients);
    while (count > 0) {
        most = count > most ? count : most;
        struct question *q = asked[0];
        if (q->kind == QUESTION_RENEW)
            answer(next_question(QUESTION_RENEW), renewed++ != 100);
        else
            free(next_question(QUESTION_RELEASE));
    }
    ck_assert_uint_eq(renewed, MANY);
    ck_assert_uint_le(most, 64 + 1); // and the lease that is given back
    close_all(MANY);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_REPLACED), 1);
}

TEST(where_redis_does_not_answer_a_renewal_no_stream_ends_and_the_walk_begins_anew)
{
    (void)open_stream(&clients[0]);
    client_loop_recheck(&world.clients);
    client_loop_answer(&world.clients, next_question(QUESTION_RENEW));
    answer(next_question(QUESTION_RENEW), 1); // a second later
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_REPLACED), 0);
    close_all(1);
}
