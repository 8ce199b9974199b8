#include "gateway/process/healthcheck.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "gateway/client/proxy_protocol.h"

#define TIME_LIMIT_MS 3000u
#define ANSWER_MAX 2048u

struct check {
    const char *address; // of the listener, as configured
    uint64_t until_ms;
    int fd;
};

static enum healthcheck_status say(const struct check *c, enum healthcheck_status status, const char *why)
{
    fprintf(stderr, "sse-gateway: --healthcheck: %s: %s\n", c->address, why);
    return status;
}

// The listener that speaks plain HTTP without a PROXY header; else the reason why none does.
static const char *find_listener(const struct config *config, const char **address)
{
    bool has_admin = strcmp(config->admin_listen, "off") != 0;
    *address = has_admin ? config->admin_listen : config->listen.items[0];
    if (has_admin)
        return NULL;
    if (config->tls_cert.count > 0)
        return "with --tls-cert it speaks TLS alone; give --admin-listen an address, which may be a unix "
               "socket";
    if (config->proxy_protocol != PROXY_OFF)
        return "with --proxy-protocol it wants a header of a proxy; give --admin-listen an address, which "
               "may be a unix socket";
    return NULL;
}

// Waits for the socket until the time limit. False where that is over.
static bool await(const struct check *c, short events)
{
    for (;;) {
        uint64_t now = clock_monotonic_ms();
        struct pollfd p = {.fd = c->fd, .events = events};
        int n = now < c->until_ms ? poll(&p, 1, (int)(c->until_ms - now)) : 0;
        if (n >= 0 || errno != EINTR)
            return n > 0;
    }
}

static const char *reason_of(int error)
{
    return error == ECONNREFUSED ? "Connection refused; is that the --admin-listen of the gateway?"
                                 : strerror(error);
}

// NULL when connected; else one line.
static const char *connect_in_time(const struct check *c, const struct sockaddr_storage *to, socklen_t len)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    if (connect(c->fd, (const struct sockaddr *)to, len) == 0)
        return NULL;
    if (errno != EINPROGRESS)
        return reason_of(errno);
    if (!await(c, POLLOUT))
        return "it is not connected within 3 s";
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
        failure = errno;
    return failure ? reason_of(failure) : NULL;
}

// The whole answer, as far as there is room, terminated. NULL when it came; else one line.
static const char *ask(const struct check *c, char answer[ANSWER_MAX])
{
    static const char request[] = "GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n";
    size_t len = 0;
    // Fits into the empty buffer of a new socket.
    if (send(c->fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1))
        return "the request could not be sent";
    for (;;) {
        if (!await(c, POLLIN))
            return "no answer within 3 s";
        ssize_t n = recv(c->fd, answer + len, ANSWER_MAX - 1 - len, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return strerror(errno);
        len += (size_t)n;
        answer[len] = '\0';
        if (n == 0 || len == ANSWER_MAX - 1)
            return len == 0 ? "it closed without an answer" : NULL;
    }
}

// The body of a page is a line that says what there is to say.
static enum healthcheck_status read_answer(const struct check *c, char *answer)
{
    char *body = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.", 7) != 0 || strlen(answer) < 12 || !body)
        return say(c, HEALTHCHECK_NOT_READY, "what listens there is no gateway");
    if (strncmp(answer + 9, "200 ", 4) == 0)
        return HEALTHCHECK_READY;
    body += 4;
    body[strcspn(body, "\r\n")] = '\0';
    return say(c, HEALTHCHECK_NOT_READY, body[0] ? body : "not ready");
}

enum healthcheck_status healthcheck_run(const struct config *config)
{
    struct sockaddr_storage to;
    char answer[ANSWER_MAX];
    struct check c = {.until_ms = clock_monotonic_ms() + TIME_LIMIT_MS};
    const char *why = find_listener(config, &c.address);
    if (why)
        return say(&c, HEALTHCHECK_USAGE, why);
    socklen_t len = listen_address_reach(c.address, &to);
    if (len == 0)
        return say(&c, HEALTHCHECK_USAGE, "its port is not known; give it a number");
    c.fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0)
        return say(&c, HEALTHCHECK_NOT_READY, strerror(errno));
    why = connect_in_time(&c, &to, len);
    if (!why)
        why = ask(&c, answer);
    (void)close(c.fd); // what it might report does not matter any more
    return why ? say(&c, HEALTHCHECK_NOT_READY, why) : read_answer(&c, answer);
}
