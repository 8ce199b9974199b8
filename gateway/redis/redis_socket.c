#include "gateway/redis/redis_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const struct sockaddr *sa, socklen_t len)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (sa->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // slower without, not wrong
    if (connect(fd, sa, len) == 0 || errno == EINPROGRESS)
        return fd;
    int failure = errno;
    (void)close(fd);
    errno = failure;
    return -1;
}

static int connect_unix(const char *path, char *error, size_t error_size)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path) {
        snprintf(error, error_size, "the path of a unix socket has at most %zu bytes",
                 sizeof sa.sun_path - 1);
        return -1;
    }
    memcpy(sa.sun_path, path, strlen(path));
    int fd = connect_to((struct sockaddr *)&sa, sizeof sa);
    if (fd < 0)
        snprintf(error, error_size, "%s", strerror(errno));
    return fd;
}

int redis_socket_connect(const struct redis_url *url, unsigned attempt, char *error, size_t error_size)
{
    if (url->kind == REDIS_URL_UNIX)
        return connect_unix(url->unix_path, error, error_size);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof port, "%u", url->endpoints[0].port);
    int rc = getaddrinfo(url->endpoints[0].host, port, &hints, &found);
    if (rc != 0) {
        snprintf(error, error_size, "cannot resolve the name: %s", gai_strerror(rc));
        return -1;
    }
    unsigned count = 0;
    for (struct addrinfo *ai = found; ai; ai = ai->ai_next)
        count++;
    struct addrinfo *chosen = found;
    for (unsigned skip = attempt % count; skip > 0; skip--)
        chosen = chosen->ai_next;
    int fd = connect_to(chosen->ai_addr, chosen->ai_addrlen);
    if (fd < 0)
        snprintf(error, error_size, "%s", strerror(errno));
    freeaddrinfo(found);
    return fd;
}
