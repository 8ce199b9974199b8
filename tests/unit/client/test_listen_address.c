#include "gateway/client/listen_address.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
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
static struct listen_address at;
static char error[512];

// The C library's own, but for the next call where a test wants that to fail.
static int next_lookup;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    int failure = next_lookup;
    next_lookup = 0;
    if (failure != 0)
        return failure;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, found);
}

// What a process without rights is told, for a test that root may run.
static bool is_no_member;

int chown(const char *path, uid_t owner, gid_t group)
{
    if (!is_no_member)
        return fchownat(AT_FDCWD, path, owner, group, 0);
    errno = EPERM;
    return -1;
}

static bool bind_to(const char *address, size_t count)
{
    error[0] = '\0';
    at = (struct listen_address){.text = address, .access = {.mode = 0600, .group = LISTEN_GROUP_OWN}};
    return listen_address_bind(&at, count, fds, error, sizeof error);
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
    ck_assert_int_eq(listen_address_check(addresses[_i].address, why, sizeof why), addresses[_i].good);
    if (addresses[_i].good)
        return;
    ck_assert_ptr_nonnull(strstr(why, "is no "));
    ck_assert_ptr_null(strchr(why, '\n'));
}

TEST(the_path_of_a_unix_socket_fits_the_kernel)
{
    char address[128] = "unix:", why[256];
    memset(address + 5, 'x', 107);
    ck_assert(listen_address_check(address, why, sizeof why));
    address[5 + 107] = 'x';
    ck_assert(!listen_address_check(address, why, sizeof why));
    ck_assert_str_eq(why, "is no unix socket; its path has 1 to 107 bytes");
}

// ---- TCP

TEST(port_0_takes_a_free_one_and_all_loops_share_it)
{
    char expected[64];
    ck_assert_msg(bind_to("127.0.0.1:0", LOOPS), "%s", error);
    unsigned short port = tcp_port_of(fds[0]);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", port);
    ck_assert_str_eq(at.bound, expected);
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

// The address is a good one: who looks at it again finds nothing wrong, and must not take that for success.
TEST(an_address_that_cannot_be_read_for_want_of_memory_is_an_error)
{
    fds[0] = 0;
    next_lookup = EAI_MEMORY;
    ck_assert(!bind_to("127.0.0.1:0", 1));
    ck_assert_str_eq(error, "cannot listen on 127.0.0.1:0: Memory allocation failure");
    next_lookup = EAI_MEMORY;
    ck_assert(!listen_address_check("127.0.0.1:0", error, sizeof error));
    ck_assert_str_eq(error, "cannot be read: Memory allocation failure");
    ck_assert(bind_to("127.0.0.1:0", 1));
    close_fds(1);
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
    ck_assert_str_eq(at.bound, expected);
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
    ck_assert_str_eq(at.bound, unix_address);
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
    ck_assert_ptr_nonnull(strstr(error, "Address already in use; the file is no socket"));
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

static mode_t mode_of(const char *file)
{
    struct stat st;
    ck_assert_int_eq(stat(file, &st), 0);
    return st.st_mode & 07777;
}

TEST(a_socket_file_has_the_mode_that_is_asked_for_whatever_the_umask_is)
{
    use_unix_file("mode");
    umask(0077);
    at = (struct listen_address){.text = unix_address, .access = {.mode = 0626, .group = getgid()}};
    ck_assert(listen_address_bind(&at, 1, fds, error, sizeof error));
    ck_assert_uint_eq(mode_of(unix_file), 0626);
    listen_address_remove(&at);
    close_fds(1);
}

TEST(only_the_file_that_was_made_is_removed)
{
    use_unix_file("removed");
    ck_assert(bind_to(unix_address, 2));
    struct listen_address first = at, copy = at;
    chmod(unix_file, 0666); // changes nothing of what file it is
    listen_address_remove(&at);
    ck_assert_int_ne(access(unix_file, F_OK), 0);
    close_fds(2);

    // The number of the file may be the same.
    ck_assert(bind_to(unix_address, 1));
    listen_address_remove(&first);
    ck_assert_int_eq(access(unix_file, F_OK), 0);
    copy.file.st_ino = at.file.st_ino;
    listen_address_remove(&copy);
    ck_assert_int_eq(access(unix_file, F_OK), 0);
    listen_address_remove(&at);
    ck_assert_int_ne(access(unix_file, F_OK), 0);
    listen_address_remove(&at); // once more: no effect
    close_fds(1);
}

TEST(a_bind_that_fails_leaves_no_file)
{
    use_unix_file("refused");
    at = (struct listen_address){.text = unix_address, .access = {.mode = 0660, .group = 1}};
    size_t before = open_files();
    is_no_member = true;
    ck_assert(!listen_address_bind(&at, 1, fds, error, sizeof error));
    ck_assert_uint_eq(open_files(), before);
    ck_assert_ptr_nonnull(strstr(error, "Operation not permitted; the gateway's user must be a member"));
    ck_assert_int_ne(access(unix_file, F_OK), 0);
}

static const struct {
    const char *text;
    int mode; // -1: none
} modes[] = {
    {"0660", 0660}, {"660", 0660}, {"0000", 0},   {"777", 0777}, {"", -1},    {"66", -1},   {"1660", -1},
    {"0668", -1},   {"-66", -1},   {"00660", -1}, {"rw-", -1},   {"0x1", -1}, {" 660", -1}, {"660 ", -1},
};

TEST_EACH(a_mode_is_three_octal_digits, modes)
{
    mode_t mode = 0;
    ck_assert_int_eq(listen_access_mode(modes[_i].text, &mode), modes[_i].mode >= 0);
    ck_assert_int_eq(modes[_i].mode < 0 ? 0 : modes[_i].mode, (int)mode);
}

TEST(a_group_is_one_that_the_machine_knows_by_name_or_number)
{
    gid_t group = 77777;
    ck_assert(listen_access_group("root", &group));
    ck_assert_uint_eq(group, 0);
    group = 77777;
    ck_assert(listen_access_group("0", &group));
    ck_assert_uint_eq(group, 0);
    static const char *const none[] = {"", " ", "-1", "no such group", "99999999999", "4294967295", "0x0"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_msg(!listen_access_group(none[i], &group), "\"%s\"", none[i]);
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
