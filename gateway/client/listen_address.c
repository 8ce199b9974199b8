#include "gateway/client/listen_address.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/client/listen_attributes.h"

// A peer that acknowledges nothing for this long is gone (tcp(7), TCP_USER_TIMEOUT): with a heartbeat at
// least every --heartbeat, a half-open stream is noticed within that and 20 s.
#define UNACKNOWLEDGED_MS 18000
#define UNIX_PREFIX "unix:"

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// "ADDR:PORT" or "[V6]:PORT" -> node and service. False where it is neither.
static bool split_address(const char *address, char *node, size_t node_size, const char **service)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon[1] == '\0')
        return false;
    const char *begin = address;
    const char *end = colon;
    if (*begin == '[') {
        if (end == begin || end[-1] != ']')
            return false;
        begin++;
        end--;
    } else if (memchr(begin, ':', (size_t)(end - begin))) {
        return false; // an IPv6 address without brackets
    }
    size_t len = (size_t)(end - begin);
    if (len == 0 || len >= node_size)
        return false;
    memcpy(node, begin, len);
    node[len] = '\0';
    *service = colon + 1;
    return true;
}

// Numbers only: a name could stand for several addresses, and the name of a service for an unexpected port.
// NULL where there is no address: `*failure` is EAI_NONAME where `address` is none, else what getaddrinfo(3)
// lacked.
static struct addrinfo *parse_address(const char *address, int *failure)
{
    char node[INET6_ADDRSTRLEN + 1];
    const char *service;
    char *end;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *ai;
    *failure = EAI_NONAME;
    if (!split_address(address, node, sizeof node, &service))
        return NULL;
    unsigned long port = strtoul(service, &end, 10); // getaddrinfo takes 65536 for 0
    if (service[0] < '0' || service[0] > '9' || *end != '\0' || port > 65535)
        return NULL;
    *failure = getaddrinfo(node, service, &hints, &ai);
    if (*failure == 0)
        return ai;
    if (*failure != EAI_MEMORY && *failure != EAI_SYSTEM)
        *failure = EAI_NONAME; // several of its errors mean that
    return NULL;
}

static const char *failure_text(int failure)
{
    return failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure);
}

static const char *unix_path(const char *address)
{
    return strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0 ? address + strlen(UNIX_PREFIX) : NULL;
}

bool listen_address_check(const char *address, char *error, size_t error_size)
{
    const char *path = unix_path(address);
    if (path) {
        size_t most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
        snprintf(error, error_size, "is no unix socket; its path has 1 to %zu bytes", most);
        return path[0] != '\0' && strlen(path) <= most;
    }
    int failure;
    struct addrinfo *ai = parse_address(address, &failure);
    if (ai)
        freeaddrinfo(ai);
    else if (failure == EAI_NONAME)
        snprintf(error, error_size,
                 "is no address; write for example 127.0.0.1:8080, [::1]:8080 or unix:/run/sse.sock");
    else
        snprintf(error, error_size, "cannot be read: %s", failure_text(failure));
    return ai != NULL;
}

static int tcp_listen(const struct sockaddr *sa, socklen_t len, bool share)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // Accepted sockets inherit these options: no system call per client.
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS) &&
        (!share || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
        (sa->sa_family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
        bind(fd, sa, len) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
}

static bool bind_tcp(const struct addrinfo *ai, size_t count, int *fds, struct sockaddr_storage *at)
{
    // A first socket that does not share the port: SO_REUSEPORT alone would quietly split it with another
    // gateway.
    int probe = tcp_listen(ai->ai_addr, ai->ai_addrlen, false);
    if (probe < 0)
        return false;
    socklen_t len = sizeof *at;
    bool named = getsockname(probe, (struct sockaddr *)at, &len) == 0;
    (void)close(probe);
    if (!named)
        return false;
    for (size_t i = 0; i < count; i++) {
        fds[i] = tcp_listen((struct sockaddr *)at, len, true);
        if (fds[i] < 0) {
            close_all(fds, i);
            return false;
        }
    }
    return true;
}

static socklen_t reach_unix(const char *path, struct sockaddr_un *to)
{
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path, strnlen(path, sizeof to->sun_path - 1));
    return sizeof *to;
}

socklen_t listen_address_reach(const char *address, struct sockaddr_storage *to)
{
    const char *path = unix_path(address);
    int failure;
    *to = (struct sockaddr_storage){0};
    if (path)
        return reach_unix(path, (struct sockaddr_un *)to);
    struct addrinfo *ai = parse_address(address, &failure);
    if (!ai)
        return 0;
    socklen_t len = ai->ai_addrlen;
    memcpy(to, ai->ai_addr, len);
    freeaddrinfo(ai);
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    if (to->ss_family == AF_INET && four->sin_addr.s_addr == htonl(INADDR_ANY))
        four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (to->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
        six->sin6_addr = in6addr_loopback;
    return (to->ss_family == AF_INET6 ? six->sin6_port : four->sin_port) == 0 ? 0 : len;
}

static bool listen_tcp(struct listen_address *a, size_t count, int *fds, char *error, size_t error_size)
{
    int failure;
    struct addrinfo *ai = parse_address(a->text, &failure);
    if (!ai) {
        snprintf(error, error_size, "cannot listen on %s: %s", a->text, failure_text(failure));
        return false;
    }
    struct sockaddr_storage at = {0};
    bool ok = bind_tcp(ai, count, fds, &at);
    if (!ok) {
        failure = errno;
        snprintf(error, error_size, "cannot listen on %s: %s%s", a->text, strerror(failure),
                 failure == EADDRINUSE ? "; stop what uses the port, or choose another one" : "");
    }
    freeaddrinfo(ai);
    if (ok) {
        // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): getsockname has filled it
        unsigned port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                       : ((struct sockaddr_in *)&at)->sin_port);
        int host = (int)(strrchr(a->text, ':') - a->text);
        snprintf(a->bound, sizeof a->bound, "%.*s:%u", host, a->text, port);
    }
    return ok;
}

enum file_state { FILE_FREE, FILE_LIVE, FILE_FOREIGN };

// Removes a socket file on which no process listens: a gateway that was killed has left it. A file that is no
// socket would refuse a connect, too, and stays. A connect does not wait where the queue of a living process
// is full.
static enum file_state remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) != 0)
        return FILE_FREE; // or bind(2) says what is wrong
    if (!S_ISSOCK(st.st_mode))
        return FILE_FOREIGN;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return FILE_LIVE;
    bool stale = connect(fd, (const struct sockaddr *)sa, sizeof *sa) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return stale && unlink(sa->sun_path) == 0 ? FILE_FREE : FILE_LIVE;
}

// The kernel may give the inode's number to the next file at once, but not st_mtim, which mode and owner do
// not change.
static bool is_made_by(const struct listen_address *a, const struct stat *st)
{
    const struct stat *made = &a->file;
    return a->has_file && st->st_dev == made->st_dev && st->st_ino == made->st_ino &&
           st->st_mtim.tv_sec == made->st_mtim.tv_sec && st->st_mtim.tv_nsec == made->st_mtim.tv_nsec;
}

void listen_address_remove(struct listen_address *a)
{
    struct stat st;
    const char *path = a->has_file ? unix_path(a->text) : NULL;
    if (path && lstat(path, &st) == 0 && is_made_by(a, &st))
        (void)unlink(path); // where that fails, the next gateway replaces the file
    a->has_file = false;
}

bool listen_access_mode(const char *text, mode_t *mode)
{
    size_t digits = strspn(text, "01234567"), len = strlen(text);
    if (digits != len || !(len == 3 || (len == 4 && text[0] == '0')))
        return false;
    *mode = (mode_t)strtoul(text, NULL, 8);
    return true;
}

bool listen_access_group(const char *text, gid_t *group)
{
    const struct group *found = getgrnam(text);
    if (!found && text[0] != '\0' && strspn(text, "0123456789") == strlen(text) && strlen(text) < 10)
        found = getgrgid((gid_t)strtoul(text, NULL, 10));
    if (found)
        *group = found->gr_gid;
    return found != NULL;
}

// Called before listen(2), and so before a process can connect.
static bool give_access(const char *path, const struct listen_access *access, const char **hint)
{
    if (access->group != LISTEN_GROUP_OWN && chown(path, (uid_t)-1, access->group) != 0) {
        *hint = "; the gateway's user must be a member of the group of --listen-group";
        return false;
    }
    return chmod(path, access->mode) == 0;
}

// A socket that listens at `path`; -1 on failure, with errno and a hint of what to do, or "".
static int unix_listen(struct listen_address *a, const char *path, const char **hint)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strnlen(path, sizeof sa.sun_path - 1));
    *hint = "";
    enum file_state state = remove_stale(&sa);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        if (errno == EADDRINUSE)
            *hint = state == FILE_FOREIGN ? "; the file is no socket: remove it, or choose another path"
                                          : "; stop the process that listens there, or choose another path";
    } else if ((a->has_file = lstat(path, &a->file) == 0) && give_access(path, &a->access, hint) &&
               listen(fd, LISTEN_BACKLOG) == 0) {
        return fd;
    }
    int failure = errno;
    listen_address_remove(a);
    (void)close(fd);
    errno = failure;
    return -1;
}

static bool listen_unix(struct listen_address *a, const char *path, size_t count, int *fds, char *error,
                        size_t error_size)
{
    const char *hint;
    for (size_t i = 0; i < count; i++) {
        fds[i] = i == 0 ? unix_listen(a, path, &hint) : fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
        if (fds[i] < 0) {
            snprintf(error, error_size, "cannot listen on unix:%s: %s%s", path, strerror(errno), hint);
            close_all(fds, i);
            listen_address_remove(a);
            return false;
        }
    }
    return true;
}

bool listen_address_bind(struct listen_address *a, size_t count, int *fds, char *error, size_t error_size)
{
    const char *path = unix_path(a->text);
    assert(count > 0);
    a->has_file = false;
    if (!path)
        return listen_tcp(a, count, fds, error, error_size);
    snprintf(a->bound, sizeof a->bound, "%s", a->text);
    return listen_unix(a, path, count, fds, error, error_size);
}
