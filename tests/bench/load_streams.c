// The streams of the load: opened, read, and every message in them checked.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bench/load.h"

static struct sockaddr_in loopback(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001u + host)};
}

int load_connect(uint32_t source, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in from = loopback(source, 0), to = loopback(0, port);
    if (fd < 0)
        load_die("socket");
    // The source port is chosen at connect, so that each source address has the whole range.
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        load_die("connect");
    return fd;
}

static void on_message(struct load *l, struct stream *s, const char *stamp)
{
    uint32_t sequence = (uint32_t)strtoul(stamp + 1, NULL, 10),
             message = (uint32_t)strtoul(stamp + 12, NULL, 10);
    uint64_t sent = strtoull(stamp + 23, NULL, 10), now = clock_monotonic_ns();
    if (message >= l->run_size)
        return;
    if (l->channels_each == 1 && sequence < s->next)
        l->duplicated++;
    else if (l->channels_each == 1 && sequence > s->next)
        l->reordered++; // or lost: the count of deliveries tells
    s->next = sequence + 1;
    l->deliveries++;
    l->last_delivery_ns = now;
    l->message_last[message] = now;
    l->message_sent[message] = sent;
    histogram_add(&l->latency, (now - sent) / 1000);
}

// Finds the messages in what came, whatever the server writes around them. A tail that may be the begin of
// one is kept.
static void scan(struct load *l, struct stream *s, char *bytes, size_t len)
{
    const size_t mark = sizeof MARK - 1;
    char *at = bytes, *end = bytes + len;
    while ((size_t)(end - at) >= STAMP_LEN) {
        char *found = memmem(at, (size_t)(end - at), MARK, mark);
        at = found ? found : end - (mark - 1);
        if ((size_t)(end - at) < STAMP_LEN)
            break;
        on_message(l, s, at);
        at += STAMP_LEN;
    }
    size_t rest = (size_t)(end - at);
    s->carry_len = (uint8_t)rest;
    memcpy(s->carry, at, rest);
}

// As recv() without waiting.
static ssize_t receive(struct stream *s, char *bytes, size_t size)
{
    if (!s->tls)
        return recv(s->fd, bytes, size, MSG_DONTWAIT);
    int n = SSL_read(s->tls, bytes, (int)size);
    errno = n <= 0 && SSL_get_error(s->tls, n) == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
    return n > 0 ? n : -1;
}

static void on_readable(struct load *l, struct stream *s)
{
    char bytes[CARRY_MAX + READ_SIZE];
    memcpy(bytes, s->carry, s->carry_len);
    ssize_t n = receive(s, bytes + s->carry_len, READ_SIZE);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        l->closed++;
        (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
        return;
    }
    scan(l, s, bytes, s->carry_len + (size_t)n);
    if (s->tls && SSL_has_pending(s->tls)) // it does not make the socket readable
        on_readable(l, s);
}

void load_turn(struct load *l, uint64_t wait_ns)
{
    // So few that a turn does not keep a message waiting that has become due meanwhile.
    struct epoll_event events[64];
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u),
                            .tv_nsec = (long)(wait_ns % 1000000000u)};
    int n = epoll_pwait2(l->epoll, events, 64, &wait, NULL);
    for (int i = 0; i < n; i++)
        on_readable(l, events[i].data.ptr);
}

uint32_t load_channel(const struct load *l, uint32_t i, uint32_t k)
{
    return (uint32_t)((l->first + ((uint64_t)i * l->channels_each + k) * l->stride) % l->channel_count);
}

static void send_request(struct load *l, struct stream *s, const struct buf *request)
{
    if (!l->tls) {
        if (send(s->fd, request->data, request->len, MSG_NOSIGNAL) != (ssize_t)request->len)
            load_die("send");
        return;
    }
    s->tls = SSL_new(l->context);
    if (!s->tls || SSL_set_fd(s->tls, s->fd) != 1 || SSL_connect(s->tls) != 1 ||
        SSL_write(s->tls, request->data, (int)request->len) != (int)request->len)
        load_die("TLS");
}

void load_request(struct load *l, uint32_t i, const char *more)
{
    struct stream *s = &l->streams[i];
    struct buf request = {0};
    bool ok = buf_printf(&request, "GET %s%s:%u", l->path, l->prefix, load_channel(l, i, 0));
    for (uint32_t k = 1; ok && k < l->channels_each; k++)
        ok = buf_printf(&request, "&channel=%s:%u", l->prefix, load_channel(l, i, k));
    if (!ok || !buf_printf(&request, "%s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n", more))
        load_die("out of memory");
    s->fd = load_connect(1 + i % l->sources, (uint16_t)l->port);
    send_request(l, s, &request);
    buf_free(&request);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &event) != 0)
        load_die("epoll_ctl");
}

// One after another, so that the server's cost of accepting is measured and not its queue. The answer's first
// bytes are awaited.
void load_open_stream(struct load *l, uint32_t i)
{
    char answer[2048];
    load_request(l, i, "");
    struct stream *s = &l->streams[i];
    ssize_t n =
        s->tls ? SSL_read(s->tls, answer, sizeof answer - 1) : recv(s->fd, answer, sizeof answer - 1, 0);
    if (s->tls && fcntl(s->fd, F_SETFL, O_NONBLOCK) != 0)
        load_die("fcntl");
    if (n < 12 || memcmp(answer + 9, "200", 3) != 0) {
        fprintf(stderr, "load: stream %u was not opened: %.*s\n", i, n > 0 ? (int)n : 0, answer);
        exit(1);
    }
}
