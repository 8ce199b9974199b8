// What a plain socket says, in the words that TLS has, too. TLS itself is in
// tests/integration/redis_tls.test.mjs.
#include "common/transport.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/lib/unit_main.h"

static struct transport ours;
static int theirs;

static void setup(void)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    transport_init(&ours, fds[0]);
    theirs = fds[1];
}

static void teardown(void)
{
    transport_close(&ours);
    ck_assert_int_eq(ours.fd, -1);
    transport_close(&ours); // no effect
    close(theirs);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

TEST(a_socket_without_tls_needs_no_handshake)
{
    ck_assert_int_eq(transport_handshake(&ours), 0);
    ck_assert(!transport_has_more(&ours));
}

TEST(bytes_come_and_then_there_are_none_and_then_it_ends)
{
    char bytes[16];
    ck_assert_int_eq(transport_read(&ours, bytes, sizeof bytes), TRANSPORT_WAIT_READ);
    ck_assert_int_eq(write(theirs, "hello", 5), 5);
    ck_assert_int_eq(transport_read(&ours, bytes, sizeof bytes), 5);
    ck_assert_mem_eq(bytes, "hello", 5);
    ck_assert_int_eq(transport_read(&ours, bytes, sizeof bytes), TRANSPORT_WAIT_READ);
    ck_assert_int_eq(shutdown(theirs, SHUT_WR), 0);
    ck_assert_int_eq(transport_read(&ours, bytes, sizeof bytes), TRANSPORT_END);
    ck_assert_str_eq(transport_error(&ours), "closed by the server");
}

TEST(pieces_leave_in_order_and_a_full_socket_takes_a_part)
{
    static char large[1 << 20];
    char bytes[8];
    const struct iovec pieces[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    ck_assert_int_eq(transport_writev(&ours, pieces, 3), 5);
    ck_assert_int_eq(read(theirs, bytes, sizeof bytes), 5);
    ck_assert_mem_eq(bytes, "abcde", 5);
    const struct iovec much[] = {{large, sizeof large}};
    ssize_t taken = transport_writev(&ours, much, 1);
    ck_assert(taken > 0 && taken < (ssize_t)sizeof large);
    ck_assert_int_eq(transport_writev(&ours, much, 1), TRANSPORT_WAIT_WRITE);
}

TEST(what_was_said_before_the_end_can_be_read_after_a_write_that_failed)
{
    char bytes[16];
    const struct iovec pieces[] = {{"x", 1}};
    ck_assert_int_eq(write(theirs, "-ERR full", 9), 9);
    close(theirs);
    theirs = -1;
    ck_assert_int_eq(transport_writev(&ours, pieces, 1), TRANSPORT_LOST);
    ck_assert_str_eq(transport_error(&ours), "Broken pipe");
    ck_assert_int_eq(transport_read(&ours, bytes, sizeof bytes), 9);
    ck_assert_int_eq(transport_read(&ours, bytes, sizeof bytes), TRANSPORT_END);
}

TEST(after_a_shutdown_the_peer_sees_the_end_and_can_still_speak)
{
    char bytes[16];
    ck_assert_int_eq(transport_shutdown(&ours), 0);
    ck_assert_int_eq(read(theirs, bytes, sizeof bytes), 0);
    ck_assert_int_eq(write(theirs, "bye", 3), 3);
    ck_assert_int_eq(transport_read(&ours, bytes, sizeof bytes), 3);
}
