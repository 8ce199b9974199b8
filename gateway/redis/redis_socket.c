#include "gateway/redis/redis_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

int redis_socket_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path, strlen(path));
    return connect_to((struct sockaddr *)&sa, sizeof sa);
}

int redis_socket_tcp(const struct addrinfo *found, unsigned attempt)
{
    unsigned count = 1; // there is always one
    for (const struct addrinfo *ai = found->ai_next; ai; ai = ai->ai_next)
        count++;
    for (unsigned skip = attempt % count; skip > 0; skip--)
        found = found->ai_next;
    return connect_to(found->ai_addr, found->ai_addrlen);
}
