#include "publisher-cli/socket.h"

#include "publisher-cli/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

// SO_SNDTIMEO bounds connect(2), too (socket(7)).
static bool set_up(int fd, uint64_t timeout_ms)
{
    const struct timeval timeout = {(time_t)(timeout_ms / 1000), (suseconds_t)(timeout_ms % 1000) * 1000};

    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0;
}

static int open_address(int family, const struct sockaddr *address, socklen_t len, uint64_t timeout_ms)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, reason;

    if (fd < 0)
        return -1;
    if (family != AF_UNIX) // without TCP_NODELAY small batches may be delayed; no reason to fail
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (set_up(fd, timeout_ms) && connect(fd, address, len) == 0)
        return fd;
    reason = errno == EINPROGRESS ? ETIMEDOUT : errno;
    (void)close(fd); // never connected: nothing can be lost
    errno = reason;
    return -1;
}

int socket_open_tcp(const char *host, unsigned short port, uint64_t timeout_ms, struct failure *failure)
{
    struct addrinfo *found = resolve(host, port, timeout_ms, failure);
    int fd = -1;
    if (found == NULL)
        return -1;
    for (struct addrinfo *each = found; each && fd < 0; each = each->ai_next)
        fd = open_address(each->ai_family, each->ai_addr, each->ai_addrlen, timeout_ms);
    if (fd < 0)
        (void)failure_set(failure, "%s", strerror(errno));
    freeaddrinfo(found);
    return fd;
}

int socket_open_unix(const char *path, uint64_t timeout_ms, struct failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        (void)failure_set(failure, "the path has more than %zu bytes", sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = open_address(AF_UNIX, (const struct sockaddr *)&address, sizeof address, timeout_ms);
    if (fd < 0)
        (void)failure_set(failure, "%s", strerror(errno));
    return fd;
}
