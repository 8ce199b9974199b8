#include "gateway/process/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 // SD_LISTEN_FDS_START
#define SOCKET_UNIT ".socket"

// False where the variable `name` is no number; without it `*value` is 0.
static bool read_number(const char *name, long *value, char *error, size_t error_size)
{
    const char *text = getenv(name);
    char *end;
    *value = 0;
    if (!text)
        return true;
    errno = 0;
    *value = strtol(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value <= INT_MAX)
        return true;
    snprintf(error, error_size, "%s: \"%.64s\" is no number", name, text);
    return false;
}

static bool is_name(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

// What systemd calls a socket without FileDescriptorName= is the name of its unit; "unknown" is that of
// sd_listen_fds(3).
static bool read_role(const char *name, size_t len, enum listener_role *role)
{
    const size_t suffix = strlen(SOCKET_UNIT);
    *role = is_name(name, len, "admin") ? LISTENER_ADMIN : LISTENER_PUBLIC;
    return *role == LISTENER_ADMIN || len == 0 || is_name(name, len, "public") ||
           is_name(name, len, "unknown") ||
           (len > suffix && is_name(name + len - suffix, suffix, SOCKET_UNIT));
}

// Gives each of the `count` sockets its role.
static bool read_names(struct inherited_sockets *s, char *error, size_t error_size)
{
    const char *name = getenv("LISTEN_FDNAMES");
    for (size_t i = 0; i < s->count; i++) {
        size_t len = name ? strcspn(name, ":") : 0;
        bool is_last = !name || name[len] == '\0';
        if (!read_role(name, len, &s->items[i].role)) {
            snprintf(
                error, error_size,
                "LISTEN_FDNAMES: \"%.*s\" is no use of a socket; write FileDescriptorName=public or admin",
                len < 64 ? (int)len : 64, name);
            return false;
        }
        if (name && is_last != (i == s->count - 1)) {
            snprintf(error, error_size, "LISTEN_FDNAMES does not have one name for each of LISTEN_FDS=%zu",
                     s->count);
            return false;
        }
        name = name ? name + len + 1 : NULL;
    }
    return true;
}

static bool get_option(int fd, int name, int *value)
{
    socklen_t len = sizeof *value;
    return getsockopt(fd, SOL_SOCKET, name, value, &len) == 0;
}

// What is wrong with `fd`, as the end of a sentence; NULL for nothing.
static const char *find_fault(int fd)
{
    int type, domain, protocol, listens;
    if (!get_option(fd, SO_TYPE, &type) || !get_option(fd, SO_DOMAIN, &domain) ||
        !get_option(fd, SO_PROTOCOL, &protocol) || !get_option(fd, SO_ACCEPTCONN, &listens))
        return errno == EBADF ? "is not open" : "is no socket";
    bool is_tcp = (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM && protocol == IPPROTO_TCP;
    if (!is_tcp && !(domain == AF_UNIX && type == SOCK_STREAM))
        return "is no TCP or unix stream socket; write ListenStream=";
    if (!listens)
        return "does not listen: a connection is no use here; write Accept=no";
    return is_tcp && !listen_address_tune(fd) ? strerror(errno) : NULL;
}

static void describe_unix(const struct sockaddr_un *at, socklen_t len, char *text, size_t size)
{
    size_t path_len = len - offsetof(struct sockaddr_un, sun_path);
    bool is_abstract = path_len > 0 && at->sun_path[0] == '\0'; // unix(7)
    const char *path = at->sun_path + (is_abstract ? 1 : 0);
    path_len = strnlen(path, path_len - (is_abstract ? 1 : 0));
    snprintf(text, size, "unix:%s%.*s", is_abstract ? "@" : "", (int)path_len, path);
}

static bool describe(int fd, char *text, size_t size)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return false;
    if (at.ss_family == AF_UNIX) {
        describe_unix((struct sockaddr_un *)&at, len, text, size);
        return true;
    }
    if (getnameinfo((struct sockaddr *)&at, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    snprintf(text, size, at.ss_family == AF_INET6 ? "[%.200s]:%s" : "%.200s:%s", host, port);
    return true;
}

// Its flags are shared with the other holder, which does not accept while this process runs.
static bool adopt(struct inherited_socket *socket, char *error, size_t error_size)
{
    const char *fault = find_fault(socket->fd);
    int flags = fcntl(socket->fd, F_GETFL);
    if (!fault && (flags < 0 || fcntl(socket->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
                   fcntl(socket->fd, F_SETFD, FD_CLOEXEC) != 0 ||
                   !describe(socket->fd, socket->bound, sizeof socket->bound)))
        fault = "cannot be used";
    if (fault)
        snprintf(error, error_size, "LISTEN_FDS: descriptor %d %s", socket->fd, fault);
    return !fault;
}

bool inherited_take(struct inherited_sockets *s, char *error, size_t error_size)
{
    long pid, count;
    s->count = 0;
    if (!read_number("LISTEN_PID", &pid, error, error_size) ||
        !read_number("LISTEN_FDS", &count, error, error_size))
        return false;
    if (pid != getpid())
        return true;
    if (count > INHERITED_MAX) {
        snprintf(error, error_size, "LISTEN_FDS: %ld sockets; %d are possible", count, INHERITED_MAX);
        return false;
    }
    s->count = (size_t)count;
    for (size_t i = 0; i < s->count; i++)
        s->items[i].fd = FIRST_FD + (int)i;
    if (!read_names(s, error, error_size))
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (!adopt(&s->items[i], error, error_size))
            return false;
    bool fits = inherited_count(s, LISTENER_ADMIN) <= 1 && inherited_count(s, LISTENER_PUBLIC) <= LISTEN_MAX;
    if (!fits)
        snprintf(error, error_size, "LISTEN_FDNAMES: one socket may be named admin, and %d be public",
                 LISTEN_MAX);
    return fits;
}

size_t inherited_count(const struct inherited_sockets *s, enum listener_role role)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        count += s->items[i].role == role;
    return count;
}
