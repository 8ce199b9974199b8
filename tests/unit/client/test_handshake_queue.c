// Handshakes that wait for their turn.
#include "gateway/client/handshake_queue.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static struct client client;

static void setup(void)
{
    client_world_init(&world);
    world.from.tls = true;
    client_world_start(&world);
    client_connect(&world, &client);
}

static void teardown(void)
{
    client_close(&client);
    client_world_stop(&world);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 60);

// More of the client comes in the moment in which the rest of the answer to its first message has room.
TEST(a_handshake_that_waits_for_its_turn_is_not_watched_because_its_answer_has_left)
{
    struct conn *c = client_world_conn(&world);
    ck_assert_int_eq(c->state, CONN_HANDSHAKE);
    c->blocked = true;
    handshake_queue_add(c);
    ck_assert(!ev_is_active(&c->io));
    conn_flush(c);
    ck_assert(!c->blocked);
    ck_assert(!ev_is_active(&c->io));
    handshake_queue_begin(&world.clients.context);
    ck_assert_ptr_eq(handshake_queue_next(&world.clients.context), c);
    ck_assert(ev_is_active(&c->io));
    ck_assert_int_eq(c->io.events & (EV_READ | EV_WRITE), EV_READ);
}
