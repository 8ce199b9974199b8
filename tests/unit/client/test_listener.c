// Who is let in, and when: a listener at work on a loop. test_listen_address.c is about what it binds to.
#include "gateway/client/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/client/listen_address.h"
#include "tests/unit/lib/log_capture.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/tcp.h"
#include "tests/unit/lib/unit_main.h"

// The kernel's, but for descriptors that a test wants it to fail for.
static int unwatched_from = -1, unwatched_to = -1, unwatched_failure;

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (fd >= unwatched_from && fd < unwatched_to) {
        errno = unwatched_failure;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

static void fail_to_watch(int from, int to, int failure)
{
    unwatched_from = from;
    unwatched_to = to;
    unwatched_failure = failure;
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .timeout_s = 20);

static int bind_one(void)
{
    int fd;
    char error[512];
    struct listen_address at = {.text = "127.0.0.1:0"};
    ck_assert_msg(listen_address_bind(&at, 1, &fd, error, sizeof error), "%s", error);
    return fd;
}

static struct ev_loop *loop;
static struct client_loop clients;
static struct counters counters;
static struct listener listener;
static struct limits limits = {.max_sockets = 1000};
static const struct client_settings settings = {
    .stream_path = "/stream", .max_channels = 1, .heartbeat_ms = 15000, .head_timeout_ms = 10000};

static unsigned short start(void)
{
    const struct client_hooks hooks = {0};
    loop = ev_loop_new(EVFLAG_AUTO);
    const struct client_loop_setup setup = {
        .loop = loop, .settings = &settings, .hooks = &hooks, .counters = &counters, .limits = &limits};
    ck_assert(client_loop_init(&clients, &setup));
    int fd = bind_one();
    unsigned short port = tcp_port_of(fd);
    listener_start(&listener, &clients,
                   &(struct listen_socket){.fd = fd, .attributes = {.role = LISTENER_PUBLIC}});
    return port;
}

static void stop(void)
{
    listener_close(&listener);
    client_loop_deinit(&clients);
    ev_loop_destroy(loop);
}

static bool has_accepted(void *ctx)
{
    return clients.context.conns.count >= *(size_t *)ctx;
}

TEST(a_crowd_is_let_in_over_several_turns)
{
    size_t crowd = 400, most = 0;
    unsigned short port = start();
    for (size_t i = 0; i < crowd; i++)
        ck_assert_int_ge(tcp_connect(port), 0);
    while (clients.context.conns.count < crowd) {
        size_t before = clients.context.conns.count;
        ev_run(loop, EVRUN_ONCE);
        most = clients.context.conns.count - before > most ? clients.context.conns.count - before : most;
    }
    ck_assert_uint_eq(most, 64); // more and more in a turn, but those inside have theirs meanwhile
    ck_assert_uint_eq(clients.context.conns.count, crowd);
    stop();
}

// accept4() that finds nobody is dear: nobody is looked for behind clients who come one at a time.
TEST(clients_who_come_one_by_one_are_accepted_without_a_look_for_a_second)
{
    unsigned short port = start();
    for (size_t i = 1; i <= 100; i++) {
        ck_assert_int_ge(tcp_connect(port), 0);
        loop_wait(loop, has_accepted, &i);
        ck_assert_uint_le(listener.per_turn, i % 17 == 16 ? 2 : 1); // but now and then
    }
    stop();
}

TEST(closing_lets_in_who_stands_in_the_queue_and_then_nobody)
{
    unsigned short port = start();
    for (int i = 0; i < 100; i++)
        ck_assert_int_ge(tcp_connect(port), 0);
    listener_close(&listener);
    ck_assert_uint_eq(clients.context.conns.count, 100);
    ck_assert_int_eq(tcp_connect(port), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC); // gets the number of the socket
    listener_close(&listener);                           // once more: no effect
    ck_assert_int_ge(fcntl(other, F_GETFD), 0);
    close(other);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(clients.context.conns.count, 100);
    stop();
}

static bool is_closed(void *ctx)
{
    (void)ctx;
    return !listener_is_open(&listener);
}

// connect(2) that has not come to an end: a descriptor that is not ready to be written.
static int begin_to_connect(unsigned short port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), -1);
    ck_assert_int_eq(errno, EINPROGRESS);
    return fd;
}

TEST(a_retiring_listener_accepts_those_that_wait_and_lets_no_new_one_begin)
{
    unsigned short port = start();
    for (int i = 0; i < 100; i++)
        ck_assert_int_ge(tcp_connect(port), 0);
    listener_retire(&listener, 10000);
    int late = begin_to_connect(port);
    ck_assert_int_eq(poll(&(struct pollfd){.fd = late, .events = POLLOUT}, 1, 20), 0);
    loop_wait(loop, is_closed, NULL); // a fraction of a second, far less than it was given
    ck_assert_uint_eq(clients.context.conns.count, 100);
    ck_assert_int_eq(poll(&(struct pollfd){.fd = late, .events = POLLOUT}, 1, 5000), 1); // its next SYN
    int failure = 0;
    socklen_t len = sizeof failure;
    ck_assert_int_eq(getsockopt(late, SOL_SOCKET, SO_ERROR, &failure, &len), 0);
    ck_assert_int_eq(failure, ECONNREFUSED);
    ck_assert_int_eq(close(late), 0);
    stop();
}

static int connect_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    return connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

// Two workers share the socket: what one does to it must not end the other.
TEST(a_retiring_unix_listener_accepts_those_that_wait_and_refuses_all_others)
{
    char text[300], error[512];
    int fds[2], accepted = 0;
    (void)start();
    snprintf(text, sizeof text, "unix:%s", scratch_path("retire.sock"));
    struct listen_address at = {.text = text, .access = {.mode = 0600, .group = LISTEN_GROUP_OWN}};
    ck_assert_msg(listen_address_bind(&at, 2, fds, error, sizeof error), "%s", error);
    static struct listener shared[2];
    for (int i = 0; i < 2; i++)
        listener_start(&shared[i], &clients,
                       &(struct listen_socket){.fd = fds[i], .attributes = {.role = LISTENER_PUBLIC}});
    for (int i = 0; i < 100; i++)
        accepted += connect_unix(scratch_path("retire.sock")) >= 0;
    ck_assert_int_eq(accepted, 100);
    listener_retire(&shared[0], 10000);
    ck_assert(!listener_is_open(&shared[0]));
    ck_assert_uint_eq(clients.context.conns.count, 100);
    ck_assert_int_eq(connect_unix(scratch_path("retire.sock")), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ev_run(loop, EVRUN_NOWAIT); // the other one is told that there is something, and finds nothing
    listener_retire(&shared[1], 10000);
    ck_assert(!listener_is_open(&shared[1]));
    listen_address_remove(&at);
    stop();
}

TEST(closing_a_listener_that_was_not_started_has_no_effect)
{
    struct listener none = {0};
    listener_close(&none);
}

// A half-open client is noticed by what is set here, once for all (tcp(7)).
TEST(accepted_sockets_inherit_what_was_set_on_the_listener)
{
    int value, fd = bind_one(), client = tcp_connect(tcp_port_of(fd)), accepted = accept(fd, NULL, NULL);
    socklen_t len = sizeof value;
    ck_assert_int_ge(accepted, 0);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    ck_assert_int_eq(value, 1);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &len), 0);
    ck_assert_int_gt(value, 0);
    close(client);
    close(accepted);
    close(fd);
}

static bool has_paused(void *ctx)
{
    (void)ctx;
    return counter_read(&counters, COUNTER_ACCEPT_PAUSES) > 0;
}

// Takes all descriptors that there are; returns how many it took.
static int take_descriptors(int *taken, int room)
{
    struct rlimit limit = {.rlim_cur = 80, .rlim_max = 4096};
    struct rlimit old;
    int count = 0;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit.rlim_max = old.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count < room && (taken[count] = open("/dev/null", O_RDONLY)) >= 0)
        count++;
    return count;
}

TEST(without_descriptors_a_client_is_sent_away_and_the_door_opens_again)
{
    int taken[100];
    char byte;
    size_t one = 1;
    log_capture_start();
    unsigned short port = start();
    int client = tcp_connect(port), second = tcp_connect(port);
    ev_io_stop(loop, &listener.io); // nobody is let in yet
    int count = take_descriptors(taken, 100);
    ev_io_start(loop, &listener.io);
    loop_wait(loop, has_paused, NULL);
    ck_assert_uint_eq(clients.context.conns.count, 0);
    struct pollfd gone = {.fd = client, .events = POLLIN};
    ck_assert_int_eq(poll(&gone, 1, 5000), 1);
    ck_assert_int_eq(recv(client, &byte, 1, 0), 0); // an end, and no hang
    ck_assert_uint_eq(log_capture_count("cannot accept: Too many open files; raise the limit"), 1);
    while (count > 0)
        close(taken[--count]);
    loop_wait(loop, has_accepted, &one);
    ck_assert_uint_eq(clients.context.conns.count, 1); // the second one waited
    close(client);
    close(second);
    stop();
}

// What epoll_ctl(2) has no memory for, or no watch left.
static const int failures[] = {ENOMEM, ENOSPC};

static bool has_closed_one(void *ctx)
{
    return atomic_load(&clients.context.closes[CLOSE_OUT_OF_MEMORY]) == *(unsigned *)ctx;
}

TEST_LOOP(a_connection_that_cannot_be_watched_is_closed_and_counted, 0, 2)
{
    char byte;
    unsigned one = 1;
    size_t none = 0;
    unsigned short port = start();
    ev_run(loop, EVRUN_NOWAIT); // the listener is watched
    int client = tcp_connect(port), next = dup(0);
    close(next);
    fail_to_watch(next, next + 1, failures[_i]);
    loop_wait(loop, has_closed_one, &one);
    ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
    ck_assert_uint_eq(clients.context.conns.count, none);
    fail_to_watch(-1, -1, 0);
    close(client);
    client = tcp_connect(port);
    size_t first = 1;
    loop_wait(loop, has_accepted, &first);
    close(client);
    stop();
}

TEST_LOOP(a_listener_that_cannot_be_watched_is_tried_again, 0, 2)
{
    size_t one = 1;
    log_capture_start();
    unsigned short port = start();
    fail_to_watch(listener.io.fd, listener.io.fd + 1, failures[_i]);
    int client = tcp_connect(port);
    loop_wait(loop, has_paused, NULL);
    ck_assert_uint_eq(clients.context.conns.count, 0);
    ck_assert_uint_eq(log_capture_count("cannot watch a listening socket"), 1);
    fail_to_watch(-1, -1, 0);
    loop_wait(loop, has_accepted, &one);
    close(client);
    stop();
}

static size_t filter_length(int fd)
{
    socklen_t len = 0;
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len), 0);
    return len;
}

// systemd keeps the socket for the next process: what this one did to it would stay.
TEST(an_inherited_socket_is_retired_as_it_was_and_keeps_its_queue)
{
    start();
    listener.attributes.is_inherited = true;
    int other = dup(listener.io.fd);
    unsigned short port = tcp_port_of(other);
    listener_retire(&listener, 1000);
    ck_assert(!listener_is_open(&listener));
    ck_assert_uint_eq(filter_length(other), 0);
    int client = tcp_connect(port);
    ck_assert_int_ge(client, 0);
    ev_run(loop, EVRUN_NOWAIT);
    listener_retire(&listener, 1000);
    listener_close(&listener);
    listener_close(&listener);
    ck_assert_uint_eq(clients.context.conns.count, 0);
    int accepted = accept(other, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    close(accepted);
    close(client);
    close(other);
    stop();
}
