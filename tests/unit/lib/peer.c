#include "tests/unit/lib/peer.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void hang_up(struct peer_client *c)
{
    if (!c->peer)
        return;
    ev_io_stop(c->peer->loop, &c->io);
    close(c->io.fd);
    c->peer = NULL;
}

static void say(struct peer_client *c, const char *text)
{
    if (send(c->io.fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        hang_up(c);
}

static void on_bytes(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    struct peer_client *c = w->data;
    struct peer *p = c->peer;
    char bytes[65536];
    if (recv(w->fd, bytes, sizeof bytes, 0) <= 0) {
        hang_up(c);
        return;
    }
    p->reads++;
    const size_t count = sizeof p->answers / sizeof *p->answers;
    const char *answer = c->read < count ? p->answers[c->read] : NULL;
    bool last = c->read + 1 >= count || !p->answers[c->read + 1];
    c->read++;
    if (answer)
        say(c, answer);
    if (last)
        hang_up(c);
}

static void on_client(struct ev_loop *loop, ev_io *w, int events)
{
    (void)events;
    struct peer *p = w->data;
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct peer_client *c = p->clients;
    while (c < p->clients + PEER_CLIENTS_MAX && c->peer)
        c++;
    ck_assert_msg(c < p->clients + PEER_CLIENTS_MAX, "more clients at a time than this peer can have");
    *c = (struct peer_client){.peer = p};
    ev_io_init(&c->io, on_bytes, fd, EV_READ);
    c->io.data = c;
    ev_io_start(loop, &c->io);
    p->accepted++;
    if (p->greeting)
        say(c, p->greeting);
    if (p->greeting && !p->answers[0])
        hang_up(c);
}

void peer_start(struct peer *p, struct ev_loop *loop, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    unlink(path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    p->loop = loop;
    ev_io_init(&p->listening, on_client, fd, EV_READ);
    p->listening.data = p;
    ev_io_start(loop, &p->listening);
}

void peer_stop(struct peer *p)
{
    for (size_t i = 0; i < PEER_CLIENTS_MAX; i++)
        hang_up(&p->clients[i]);
    ev_io_stop(p->loop, &p->listening);
    close(p->listening.fd);
}
