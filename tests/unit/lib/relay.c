#include "tests/unit/lib/relay.h"

#include <check.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    ck_assert_uint_lt(strlen(path), sizeof sa.sun_path);
    memcpy(sa.sun_path, path, strlen(path));
    return sa;
}

static void close_watched(struct relay *r, ev_io *w)
{
    if (w->fd < 0)
        return;
    ev_io_stop(r->loop, w);
    (void)close(w->fd);
    ev_io_set(w, -1, 0);
}

static void hang_up(struct relay *r)
{
    close_watched(r, &r->client);
    close_watched(r, &r->server);
}

static void on_client(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    struct relay *r = w->data;
    char bytes[65536];
    ssize_t n = recv(w->fd, bytes, sizeof bytes, 0);
    // A server that has gone is its own watcher's business.
    if (n <= 0)
        hang_up(r);
    else if (send(r->server.fd, bytes, (size_t)n, MSG_NOSIGNAL) < 0)
        ck_assert_int_eq(errno, EPIPE);
}

static void on_server(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    struct relay *r = w->data;
    char bytes[65536];
    int unread;
    ck_assert_int_eq(ioctl(r->client.fd, SIOCOUTQ, &unread), 0);
    if (unread > 0)
        return;
    ssize_t n = recv(w->fd, bytes, r->piece < sizeof bytes ? r->piece : sizeof bytes, 0);
    if (n <= 0 || send(r->client.fd, bytes, (size_t)n, MSG_NOSIGNAL) < 0)
        hang_up(r);
    else
        r->pieces++;
}

static void watch(struct relay *r, ev_io *w, int fd)
{
    ev_io_set(w, fd, EV_READ);
    ev_io_start(r->loop, w);
}

static void on_listening(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    struct relay *r = w->data;
    struct sockaddr_un sa = address_of(r->upstream);
    hang_up(r);
    int client = accept(w->fd, NULL, NULL);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(client, 0);
    ck_assert_int_ge(server, 0);
    if (connect(server, (struct sockaddr *)&sa, sizeof sa) != 0) {
        (void)close(client);
        (void)close(server);
        return;
    }
    watch(r, &r->client, client);
    watch(r, &r->server, server);
}

void relay_start(struct relay *r, struct ev_loop *loop, const char *path, const char *upstream, size_t piece)
{
    struct sockaddr_un sa = address_of(path);
    *r = (struct relay){.loop = loop, .upstream = upstream, .piece = piece};
    ev_io_init(&r->listening, on_listening, -1, 0);
    ev_io_init(&r->client, on_client, -1, 0);
    ev_io_init(&r->server, on_server, -1, 0);
    r->listening.data = r->client.data = r->server.data = r;
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    watch(r, &r->listening, fd);
}

void relay_stop(struct relay *r)
{
    hang_up(r);
    close_watched(r, &r->listening);
}
