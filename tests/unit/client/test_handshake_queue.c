// Handshakes that wait for their turn.
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/client/handshake_queue.h"
#include "tests/unit/lib/client_world.h"
#include "tests/unit/lib/unit_main.h"

static struct client_world world;
static int peer_fd;

static void setup(void)
{
    client_world_init(&world);
    client_world_start(&world);
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    peer_fd = fds[0];
    const struct listen_attributes from = {.role = LISTENER_PUBLIC, .tls = true};
    client_loop_add(&world.clients, fds[1], &from, NULL);
}

static void teardown(void)
{
    ck_assert_int_eq(close(peer_fd), 0);
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
