#include "tests/unit/lib/tcp.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

unsigned short tcp_port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                          : ((struct sockaddr_in *)&sa)->sin_port);
}

int tcp_connect(unsigned short port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}
