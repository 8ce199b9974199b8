#include "gateway/client/listener.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/tcp.h"
#include "tests/unit/lib/unit_main.h"

#define LOOPS 4

static int fds[LOOPS];
static char bound[300], error[512];

static bool bind_to(const char *address, size_t count)
{
    error[0] = bound[0] = '\0';
    return listener_bind(address, count, fds, bound, sizeof bound, error, sizeof error);
}

static void close_fds(size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

// ---- addresses

static const struct {
    const char *address;
    bool good;
} addresses[] = {
    {"127.0.0.1:8080", true},
    {"0.0.0.0:0", true},
    {"127.0.0.1:65535", true},
    {"[::1]:8080", true},
    {"[::]:8080", true},
    {"unix:/run/sse.sock", true},
    {"unix:relative", true},
    {"", false},
    {":", false},
    {":8080", false},
    {"8080", false},
    {"127.0.0.1", false},
    {"127.0.0.1:", false},
    {"127.0.0.1:65536", false},
    {"127.0.0.1:-1", false},
    {"127.0.0.1:+1", false},
    {"127.0.0.1: 80", false},
    {"127.0.0.1:80 ", false},
    {"127.0.0.1:http", false},
    {"127.0.0.1:0x50", false},
    {"127.0.0.1:99999999999999999999", false},
    {"localhost:8080", false},
    {"256.0.0.1:80", false},
    {"::1:8080", false},
    {"[::1]", false},
    {"[::1:8080", false},
    {"::1]:8080", false},
    {"[]:8080", false},
    {"[127.0.0.1:8080", false},
    {"unix:", false},
};

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown);

TEST_EACH(an_address_is_checked_before_anything_is_bound, addresses)
{
    char why[256];
    ck_assert_int_eq(listener_check(addresses[_i].address, why, sizeof why), addresses[_i].good);
    if (addresses[_i].good)
        return;
    ck_assert_ptr_nonnull(strstr(why, "is no "));
    ck_assert_ptr_null(strchr(why, '\n'));
}

TEST(the_path_of_a_unix_socket_fits_the_kernel)
{
    char address[128] = "unix:", why[256];
    memset(address + 5, 'x', 107);
    ck_assert(listener_check(address, why, sizeof why));
    address[5 + 107] = 'x';
    ck_assert(!listener_check(address, why, sizeof why));
    ck_assert_str_eq(why, "is no unix socket; its path has 1 to 107 bytes");
}

// ---- TCP

TEST(port_0_takes_a_free_one_and_all_loops_share_it)
{
    char expected[64];
    ck_assert_msg(bind_to("127.0.0.1:0", LOOPS), "%s", error);
    unsigned short port = tcp_port_of(fds[0]);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", port);
    ck_assert_str_eq(bound, expected);
    for (int i = 0; i < LOOPS; i++) {
        ck_assert_uint_eq(tcp_port_of(fds[i]), port);
        ck_assert(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        ck_assert(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
    }
    close_fds(LOOPS);
}

TEST(each_loop_gets_its_part_of_the_connections_and_none_is_lost)
{
    enum { CLIENTS = 200 };
    int clients[CLIENTS], accepted, sum = 0;
    ck_assert(bind_to("127.0.0.1:0", LOOPS));
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_ge(clients[i] = tcp_connect(tcp_port_of(fds[0])), 0);
    for (int i = 0; i < LOOPS; i++) {
        int part = 0;
        for (; (accepted = accept(fds[i], NULL, NULL)) >= 0; part++)
            close(accepted);
        ck_assert_int_gt(part, 0);
        sum += part;
    }
    ck_assert_int_eq(sum, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close_fds(LOOPS);
}

// Another gateway shares its ports among its own loops; sharing with it would split the clients between the
// two in silence.
TEST_LOOP(a_port_in_use_is_an_error_even_where_its_user_would_share, 0, 2)
{
    char address[64], expected[256];
    int on = 1, user = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (_i == 1)
        ck_assert_int_eq(setsockopt(user, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    ck_assert_int_eq(setsockopt(user, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    ck_assert_int_eq(bind(user, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(listen(user, 1), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", tcp_port_of(user));
    size_t before = open_files();
    ck_assert(!bind_to(address, LOOPS));
    ck_assert_uint_eq(open_files(), before);
    snprintf(expected, sizeof expected,
             "cannot listen on %s: Address already in use; stop what uses the port, or choose another one",
             address);
    ck_assert_str_eq(error, expected);
    close(user);
}

TEST(an_address_of_another_machine_is_an_error)
{
    ck_assert(!bind_to("192.0.2.1:8080", LOOPS)); // for documentation (RFC 5737)
    ck_assert_str_eq(error, "cannot listen on 192.0.2.1:8080: Cannot assign requested address");
}

static bool machine_has_ipv6(void)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

TEST(ipv6_is_bound_alone)
{
    char expected[64];
    if (!machine_has_ipv6())
        return;
    ck_assert_msg(bind_to("[::1]:0", 1), "%s", error);
    snprintf(expected, sizeof expected, "[::1]:%u",
             tcp_port_of(fds[0])); // at the same place for both families
    ck_assert_str_eq(bound, expected);
    close_fds(1);
    // [::] takes no IPv4, which --listen 0.0.0.0 may want on the same port.
    int alone;
    socklen_t len = sizeof alone;
    ck_assert(bind_to("[::]:0", 1));
    ck_assert_int_eq(getsockopt(fds[0], IPPROTO_IPV6, IPV6_V6ONLY, &alone, &len), 0);
    ck_assert_int_eq(alone, 1);
    close_fds(1);
}

// ---- unix sockets

static char unix_address[160];
static const char *unix_file;

static void use_unix_file(const char *name)
{
    unix_file = scratch_path(name);
    snprintf(unix_address, sizeof unix_address, "unix:%s", unix_file);
}

static int connect_unix(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(sa.sun_path, unix_file);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    close(fd);
    return -1;
}

TEST(all_loops_take_from_one_unix_socket)
{
    use_unix_file("shared");
    ck_assert_msg(bind_to(unix_address, LOOPS), "%s", error);
    ck_assert_str_eq(bound, unix_address);
    for (int i = 0; i < LOOPS; i++) {
        int client = connect_unix(), accepted = accept(fds[i], NULL, NULL);
        ck_assert_int_ge(client, 0);
        ck_assert_int_ge(accepted, 0);
        ck_assert(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        close(client);
        close(accepted);
    }
    close_fds(LOOPS);
}

TEST(a_socket_file_that_a_killed_gateway_left_is_replaced)
{
    use_unix_file("stale");
    ck_assert(bind_to(unix_address, 1));
    close_fds(1); // the file stays, as after kill -9
    ck_assert_int_eq(access(unix_file, F_OK), 0);
    ck_assert_msg(bind_to(unix_address, 1), "%s", error);
    int client = connect_unix();
    ck_assert_int_ge(client, 0);
    close(client);
    close_fds(1);
}

TEST(a_socket_that_another_process_listens_on_is_left_alone)
{
    use_unix_file("live");
    ck_assert(bind_to(unix_address, 1));
    int live = fds[0];
    size_t before = open_files();
    ck_assert(!bind_to(unix_address, LOOPS));
    ck_assert_ptr_nonnull(strstr(error, "Address already in use"));
    ck_assert_uint_eq(open_files(), before);
    int client = connect_unix();
    ck_assert_int_ge(client, 0);
    close(client);
    close(live);
}

// connect(2) answers "refused" for any file that is no socket.
TEST(a_file_that_is_no_socket_is_left_alone)
{
    use_unix_file("precious");
    int file = open(unix_file, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(write(file, "data", 4), 4);
    close(file);
    ck_assert(!bind_to(unix_address, 1));
    ck_assert_ptr_nonnull(strstr(error, "Address already in use"));
    struct stat st;
    ck_assert_int_eq(stat(unix_file, &st), 0);
    ck_assert_int_eq(st.st_size, 4);
}

// One that hangs must not make the next one hang before it says a word.
TEST(a_live_socket_with_a_full_queue_does_not_block)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int clients[8], hung = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    use_unix_file("hung");
    strcpy(sa.sun_path, unix_file);
    ck_assert_int_eq(bind(hung, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(listen(hung, 1), 0);
    for (int i = 0; i < 8; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&sa, sizeof sa);
    }
    ck_assert_int_eq(errno, EAGAIN); // it is full
    ck_assert(!bind_to(unix_address, 1));
    ck_assert_ptr_nonnull(strstr(error, "Address already in use"));
    ck_assert_int_eq(access(unix_file, F_OK), 0);
}

TEST_LOOP(without_descriptors_nothing_stays_open, 0, 2)
{
    struct rlimit old, low;
    use_unix_file("starved");
    size_t before = open_files();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0); // the lowest free one
    ck_assert_int_ge(next, 0);
    close(next);
    low = (struct rlimit){.rlim_cur = (rlim_t)next + 2, .rlim_max = old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    bool ok = bind_to(_i == 0 ? "127.0.0.1:0" : unix_address, LOOPS);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    ck_assert(!ok);
    ck_assert_ptr_nonnull(strstr(error, "Too many open files"));
    ck_assert_uint_eq(open_files(), before);
}

TEST(a_folder_that_is_not_there_is_an_error)
{
    ck_assert(!bind_to("unix:/nonexistent/sse.sock", 1));
    ck_assert_str_eq(error, "cannot listen on unix:/nonexistent/sse.sock: No such file or directory");
}
