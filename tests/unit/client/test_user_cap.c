// Streams of one subject: how many are admitted, which one ends for a new one, and how a stream of another loop
// is ended.
#include <stdio.h>
#include <string.h>

#include "gateway/auth/principal.h"
#include "gateway/client/admission.h"
#include "gateway/client/users.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static struct client clients[4];
static uint64_t to_end[8]; // as mail to the loop would be
static size_t to_end_count;

static bool on_end(void *ctx, uint64_t id, enum close_reason reason)
{
    (void)ctx;
    ck_assert_int_eq(reason, CLOSE_REPLACED);
    to_end[to_end_count++] = id;
    return true;
}

// The Authorization header is the subject.
static enum admission_verdict identify(struct admission *a)
{
    char subject[400];
    struct http_text text = a->req->authorization;
    if (!text.at)
        return ADMISSION_GRANTED;
    snprintf(subject, sizeof subject, "%.*s", (int)text.len, text.at);
    a->conn->principal = principal_create(&(struct principal){.subject = subject, .token_id = "t1"});
    return ADMISSION_GRANTED;
}

static enum admission_verdict deny_who_wants_closed(struct admission *a)
{
    a->status = 0;
    return strcmp(a->want->channels[0].name, "closed") == 0 ? ADMISSION_DENIED : ADMISSION_GRANTED;
}

static const struct admission_step steps[] = {
    {.check = identify},
    {.check = admission_limits},
    {.check = admission_user},
    {.check = deny_who_wants_closed},
    {.check = admission_replace},
    {.check = admission_join},
    {0},
};

static void setup(void)
{
    const struct users_hooks hooks = {.end = on_end};
    to_end_count = 0;
    client_world_init(&world);
    world.settings.admission = steps;
    world.settings.users = users_create(&hooks);
    ck_assert_ptr_nonnull(world.settings.users);
    world.settings.user_cap.max = 2;
    client_world_start(&world);
}

static void teardown(void)
{
    client_world_stop(&world);
    users_destroy(world.settings.users); // asserts that every stream has left
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static void ask(struct client *c, const char *channel, const char *subject)
{
    char target[64], headers[512] = "";
    snprintf(target, sizeof target, "/stream?control=1&channel=%s", channel);
    if (subject)
        snprintf(headers, sizeof headers, "Authorization: %s\r\n", subject);
    client_connect(&world, c);
    client_get(c, target, headers);
}

static void open_stream(struct client *c, const char *subject)
{
    ask(c, "open", subject);
    ev_run(world.loop, EVRUN_NOWAIT);
    client_world_confirm(&world, "open");
    client_wait_for(&world, c, "gateway:open");
}

static bool streams_are(void *ctx)
{
    return world.clients.context.conns.count == *(size_t *)ctx;
}

static void close_all(size_t count)
{
    size_t none = 0;
    for (size_t i = 0; i < count; i++)
        client_close(&clients[i]);
    loop_wait(world.loop, streams_are, &none);
}

static void note_end(void *ctx, uint64_t id)
{
    (void)ctx;
    to_end[to_end_count++] = id;
}

static size_t streams_of(const char *key)
{
    return users_each(world.settings.users, key, note_end, NULL);
}

TEST_LOOP(a_stream_above_the_cap_is_refused_and_others_are_let_in, 0, 2)
{
    world.settings.refuse_with_status = _i == 0;
    open_stream(&clients[0], "ann");
    open_stream(&clients[1], "ann");
    ask(&clients[2], "open", "ann");
    client_wait_for_end(&world, &clients[2]);
    if (_i == 0) {
        ck_assert_ptr_nonnull(strstr(clients[2].answer, "HTTP/1.1 429 Too Many Requests\r\n"));
        ck_assert_ptr_nonnull(strstr(clients[2].answer, "\r\nRetry-After: 2\r\n"));
        ck_assert_ptr_nonnull(strstr(clients[2].answer, "This user has too many streams."));
    } else {
        ck_assert_ptr_nonnull(strstr(clients[2].answer, "HTTP/1.1 200 OK\r\n"));
        ck_assert_ptr_nonnull(strstr(clients[2].answer, "retry: "));
        ck_assert_ptr_null(strstr(clients[2].answer, "gateway:open"));
    }
    open_stream(&clients[3], "ben");
    close_all(4);
}

TEST(anonymous_streams_do_not_count)
{
    for (size_t i = 0; i < 4; i++)
        open_stream(&clients[i], NULL);
    close_all(4);
}

TEST(a_stream_that_ended_makes_room_before_its_last_bytes_are_taken)
{
    open_stream(&clients[0], "ann");
    open_stream(&clients[1], "ann");
    ck_assert_uint_eq(streams_of("sub:ann"), 2);
    client_loop_end_stream(&world.clients, to_end[0], CLOSE_EXPIRED);
    ck_assert_uint_eq(streams_of("sub:ann"), 1);
    client_wait_for(&world, &clients[0], "data: {\"reason\":\"expired\"}");
    open_stream(&clients[2], "ann"); // while the first has not closed its side
    close_all(3);
}

static const struct {
    uint64_t user_cap;
    bool revocation;
    size_t subjects, tokens; // streams that can be found by them
} needs[] = {{0, false, 0, 0}, {2, false, 1, 0}, {0, true, 1, 1}, {2, true, 1, 1}};

TEST_EACH(a_stream_stands_in_the_table_under_what_somebody_asks_for_alone, needs)
{
    world.settings.user_cap.max = needs[_i].user_cap;
    world.settings.revocation = needs[_i].revocation;
    open_stream(&clients[0], "ann");
    ck_assert_uint_eq(streams_of("sub:ann"), needs[_i].subjects);
    ck_assert_uint_eq(streams_of("jti:t1"), needs[_i].tokens);
    close_all(1);
}

TEST(a_stream_that_a_later_step_denies_does_not_count)
{
    for (size_t i = 0; i < 3; i++) {
        ask(&clients[i], "closed", "ann");
        client_wait_for(&world, &clients[i], "HTTP/1.1 503");
    }
    ck_assert_uint_eq(streams_of("sub:ann"), 0);
    close_all(3);
}

TEST(a_new_stream_replaces_the_oldest_one_which_comes_back_much_later)
{
    world.settings.user_cap.replace_oldest = true;
    for (size_t i = 0; i < 3; i++)
        open_stream(&clients[i], "ann");
    ck_assert_uint_eq(to_end_count, 1);
    client_loop_end_stream(&world.clients, to_end[0], CLOSE_REPLACED);
    client_wait_for(&world, &clients[0], "event: gateway:close\ndata: {\"reason\":\"replaced\"}\n\n");
    client_wait_for_end(&world, &clients[0]);
    unsigned retry = 0;
    const char *last = strstr(strstr(clients[0].answer, "replaced"), "retry: ");
    ck_assert_int_eq(sscanf(last, "retry: %u\n", &retry), 1);
    ck_assert_uint_ge(retry, 60000);
    ck_assert_uint_le(retry, 120000);
    ck_assert(!clients[1].is_over && !clients[2].is_over);
    close_all(3);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_REPLACED), 1);
}

TEST(a_stream_that_waits_is_refused_and_one_that_is_gone_is_left_alone)
{
    ask(&clients[0], "open", "ann"); // not confirmed
    ev_run(world.loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(streams_of("sub:ann"), 1);
    client_loop_end_stream(&world.clients, to_end[0], CLOSE_REVOKED);
    client_wait_for(&world, &clients[0], "HTTP/1.1 503");
    close_all(1);
    client_loop_end_stream(&world.clients, to_end[0], CLOSE_REVOKED);
    client_loop_end_stream(&world.clients, to_end[0] ^ (UINT64_C(1) << CONN_SERIAL_BITS), CLOSE_REVOKED);
}

TEST(a_subject_that_is_too_long_is_told_so)
{
    char subject[350] = {0};
    memset(subject, 'a', sizeof subject - 1);
    ask(&clients[0], "open", subject);
    client_wait_for(&world, &clients[0], "HTTP/1.1 403");
    close_all(1);
}
