// Who is let in: steps that answer at once, and one whose answer is pending, given by the settings.
#include "gateway/client/admission.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static struct client client;

// What the pending steps were asked.
static uint64_t pending_id;
static unsigned pending_count;
static char seen_origin[64], seen_authorization[64], seen_channels[128];

static enum admission_verdict ask_elsewhere(struct admission *a)
{
    pending_id = conn_id(a->conn);
    pending_count++;
    return ADMISSION_PENDING;
}

static void note(char *out, size_t size, struct http_text text)
{
    snprintf(out, size, "%.*s", (int)text.len, text.at ? text.at : "");
}

static enum admission_verdict look_at_request(struct admission *a)
{
    note(seen_origin, sizeof seen_origin, a->req->origin);
    note(seen_authorization, sizeof seen_authorization, a->req->authorization);
    seen_channels[0] = '\0';
    for (size_t i = 0; i < a->want->channel_count; i++) {
        strcat(seen_channels, a->want->channels[i].name);
        strcat(seen_channels, " ");
    }
    return ADMISSION_GRANTED;
}

// As with a token that another server knows of, and a place that the tier gives.
static const struct admission_step with_pending[] = {
    {.check = admission_auth, .of_head = true},
    {.check = ask_elsewhere, .of_head = true},
    {.check = look_at_request},
    {.check = admission_readiness},
    {.check = admission_limits},
    {.check = ask_elsewhere},
    {.check = admission_join},
    {0},
};

static void setup(void)
{
    pending_id = 0;
    pending_count = 0;
    client_world_init(&world);
    world.settings.admission = with_pending;
    client_world_start(&world);
}

static void teardown(void)
{
    client_world_stop(&world);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static bool is_pending(void *ctx)
{
    return pending_count == *(unsigned *)ctx;
}

static void wait_pending(unsigned count)
{
    loop_wait(world.loop, is_pending, &count);
    ck_assert_int_eq(client_world_conn(&world)->state, CONN_ADMITTING);
    ck_assert_uint_eq(pending_id, conn_id(client_world_conn(&world)));
}

static void begin(void)
{
    client_connect(&world, &client);
    client_get(&client, "/stream?channel=open1&channel=open2",
               "Origin: https://a.example\r\nAuthorization: Bearer t0\r\n");
    wait_pending(1);
}

static void grant(void)
{
    admission_continue(&world.clients.context, pending_id, ADMISSION_GRANTED, 0, NULL);
}

static void deny(int status, const char *detail)
{
    admission_continue(&world.clients.context, pending_id, ADMISSION_DENIED, status, detail);
}

// Other requests use the memory that this one was read into.
static void read_something_else(void)
{
    struct client other;
    client_connect(&world, &other);
    client_get(&other, "/stream?channel=closed&last_event_id=zzzzzzzzzzzzzzzzzzz",
               "Origin: https://zzzzzzzzz\r\nAuthorization: Bearer zz\r\nConnection: close\r\n");
    client_wait_for(&world, &other, "HTTP/1.1 403");
    client_close(&other);
}

TEST(a_stream_opens_once_all_pending_steps_have_granted_it)
{
    begin();
    grant();
    wait_pending(2);
    grant();
    ck_assert_int_eq(client_world_conn(&world)->state, CONN_WAITING);
    client_world_confirm(&world, "open1");
    client_world_confirm(&world, "open2");
    client_wait_for(&world, &client, "retry: 2000\n");
    ck_assert_int_eq(strncmp(client.answer, "HTTP/1.1 200 OK\r\n", 17), 0);
    ck_assert_uint_eq(atomic_load(&world.limits.streams), 1);
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(later_steps_see_the_request_as_it_came)
{
    begin();
    read_something_else();
    grant();
    ck_assert_str_eq(seen_origin, "https://a.example");
    ck_assert_str_eq(seen_authorization, ""); // it was read, and is not kept
    ck_assert_str_eq(seen_channels, "open1 open2 ");
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST_LOOP(a_denial_that_comes_later_is_a_problem_or_a_refusal, 0, 2)
{
    static const struct {
        int status;
        const char *detail, *answer;
    } cases[] = {{401, "This token is not known.", "HTTP/1.1 401"},
                 {0, "This user has too many streams.", "HTTP/1.1 503"}};
    begin();
    deny(cases[_i].status, cases[_i].detail);
    client_wait_for(&world, &client, cases[_i].answer);
    client_wait_for(&world, &client, cases[_i].detail);
    client_wait_for_end(&world, &client);
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(a_step_behind_a_pending_one_may_deny)
{
    world.refusal = "This gateway has no proof that Redis delivers; try again.";
    begin();
    grant();
    client_wait_for(&world, &client, "HTTP/1.1 503");
    client_wait_for(&world, &client, "no proof");
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(an_answer_for_a_client_that_has_left_has_no_effect)
{
    begin();
    grant();
    wait_pending(2); // it has its place
    ck_assert_uint_eq(atomic_load(&world.limits.streams), 1);
    client_close(&client);
    client_world_wait_empty(&world);
    ck_assert_uint_eq(atomic_load(&world.limits.streams), 0);
    grant();
    deny(403, "No.");
    // Nor for the connection that came in its place.
    uint64_t gone = pending_id;
    pending_count = 0;
    begin();
    admission_continue(&world.clients.context, gone, ADMISSION_GRANTED, 0, NULL);
    wait_pending(1);
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(an_answer_in_the_turn_in_which_the_client_left_has_no_effect)
{
    begin();
    client_close(&client);
    conn_close(client_world_conn(&world), CLOSE_CLIENT_GONE); // marked, and freed at the end of the turn
    grant();
    ck_assert_uint_eq(pending_count, 1);
    client_world_wait_empty(&world);
}

TEST(an_answer_for_a_connection_of_another_loop_has_no_effect)
{
    begin();
    admission_continue(&world.clients.context, pending_id ^ (UINT64_C(1) << CONN_SERIAL_BITS),
                       ADMISSION_GRANTED, 0, NULL);
    wait_pending(1);
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(a_drain_refuses_what_is_pending)
{
    begin();
    client_loop_drain(&world.clients, &at_once);
    client_wait_for(&world, &client, "HTTP/1.1 503");
    client_wait_for(&world, &client, "draining");
    grant(); // too late
    client_close(&client);
    client_world_wait_empty(&world);
    ck_assert(client_loop_is_drained(&world.clients));
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_REFUSED), 1);
}

TEST(what_is_pending_for_too_long_is_refused)
{
    begin();
    client_wait_for(&world, &client, "HTTP/1.1 503"); // after 5 s
    client_wait_for(&world, &client, "not decided in time");
    grant();
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST_LOOP(a_refusal_by_retry_of_a_pending_head_request_is_a_head_alone, 0, 2)
{
    world.settings.refuse_with_status = _i == 0;
    client_connect(&world, &client);
    static const char head[] = "HEAD /stream?channel=open1 HTTP/1.1\r\nHost: x\r\n\r\n";
    client_send(&client, head, sizeof head - 1);
    wait_pending(1);
    client_loop_drain(&world.clients, &at_once);
    client_wait_for(&world, &client, _i == 0 ? "HTTP/1.1 503" : "HTTP/1.1 200");
    client_wait_for_end(&world, &client);
    ck_assert_str_eq(strstr(client.answer, "\r\n\r\n"), "\r\n\r\n"); // and nothing behind it
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(head_asks_the_steps_that_are_of_it_alone)
{
    world.refusal = "No streams.";
    client_connect(&world, &client);
    static const char head[] = "HEAD /stream?channel=open1 HTTP/1.1\r\nHost: x\r\n\r\n";
    client_send(&client, head, sizeof head - 1);
    wait_pending(1);
    grant();
    client_wait_for(&world, &client, "HTTP/1.1 200");
    client_wait_for_end(&world, &client);
    ck_assert_uint_eq(pending_count, 1);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_ANSWERED), 0);
    client_close(&client);
    client_world_wait_empty(&world);
    ck_assert_uint_eq(client_loop_closes(&world.clients, CLOSE_ANSWERED), 1);
}

TEST(bytes_that_come_while_an_answer_is_pending_are_no_request)
{
    begin();
    client_get(&client, "/page", "");
    grant();
    wait_pending(2);
    grant();
    client_world_confirm(&world, "open1");
    client_world_confirm(&world, "open2");
    client_wait_for(&world, &client, "retry: 2000\n");
    ck_assert_ptr_null(strstr(client.answer, "a page"));
    client_close(&client);
    client_world_wait_empty(&world);
}

TEST(an_exit_frees_what_is_pending)
{
    begin(); // client_world_stop ends it
    client_close(&client);
}

TEST(a_connection_takes_no_more_memory_for_what_may_be_pending)
{
    ck_assert_uint_le(sizeof(struct conn), 152); // what a block of malloc of 160 bytes has room for
}
