#include "gateway/client/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

// Accepts per turn of the loop: open streams must not wait for any number of new clients.
#define ACCEPTS_MAX 64u
// Turns in a row that must find a client before a turn looks for a second one: an accept4() that finds no
// client has made a whole socket by then and throws it away, which costs more than another turn.
#define LONE_TURNS 16u
#define PAUSE_S 0.2

// Accepts nothing for a moment. The log gets `problem`, a whole line, at most once a second.
static void listener_pause(struct listener *l, const char *problem)
{
    struct ev_loop *loop = l->clients->context.loop;
    counter_add(l->clients->context.counters, COUNTER_ACCEPT_PAUSES, 1);
    if (ev_now(loop) - l->last_log >= 1.0) {
        l->last_log = ev_now(loop);
        log_error("listener", "%s", problem);
    }
    ev_io_stop(loop, &l->io);
    ev_timer_stop(loop, &l->pause); // it may run already where the listener is being closed
    ev_timer_set(&l->pause, PAUSE_S, 0.);
    ev_timer_start(loop, &l->pause);
}

// Out of descriptors: a ready listening socket would spin the loop. One waiting client is accepted on the
// reserve and closed, so that it sees an end and not a hang.
static void listener_starved(struct listener *l)
{
    char problem[200];
    snprintf(problem, sizeof problem,
             "cannot accept: %s; raise the limit of open files (ulimit -n, LimitNOFILE=)", strerror(errno));
    if (l->reserve >= 0) {
        (void)close(l->reserve);
        int fd = accept4(l->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            (void)close(fd);
        l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    listener_pause(l, problem);
}

// False when no client is left to accept, or no descriptor to do it with.
static bool listener_accept(struct listener *l)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    bool ask =
        l->attributes.role == LISTENER_PUBLIC && client_settings_need_peers(l->clients->context.settings);
    int fd = accept4(l->io.fd, ask ? (struct sockaddr *)&address : NULL, ask ? &len : NULL,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct peer_address peer = {.family = ADDRESS_NONE};
        if (ask)
            peer = peer_address_of_socket((struct sockaddr *)&address);
        client_loop_add(l->clients, fd, &l->attributes, ask ? &peer : NULL);
        return true;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        listener_starved(l);
        return false;
    case EAGAIN:
        return false;
    default: // the client that was next has gone already (accept(2), "Error handling")
        assert(errno != EBADF && errno != ENOTSOCK && errno != EINVAL);
        return true;
    }
}

// Accepts as many clients as were waiting lately, so that accept4() hardly ever finds no client; epoll
// reports the rest.
static void on_acceptable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    struct listener *l = w->data;
    if (events & EV_ERROR) { // epoll_ctl(2) failed, and libev has stopped the watcher
        listener_pause(l, "cannot watch a listening socket: no memory, or no watch left "
                          "(fs.epoll.max_user_watches); trying again");
        return;
    }
    unsigned accepted = 0;
    while (accepted < l->per_turn && listener_accept(l))
        accepted++;
    if (accepted < l->per_turn) {
        l->per_turn = accepted > 0 ? accepted : 1;
        l->full_turns = 0;
    } else if (accepted > 1 || ++l->full_turns == LONE_TURNS) {
        l->per_turn = 2 * accepted < ACCEPTS_MAX ? 2 * accepted : ACCEPTS_MAX;
        l->full_turns = 0;
    }
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct listener *l = w->data;
    if (l->reserve < 0) // a thread took the descriptor of the reserve while it was closed
        l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ev_io_start(loop, &l->io);
}

void listener_start(struct listener *l, struct client_loop *clients, const struct listen_socket *socket)
{
    assert(socket->fd >= 0);
    *l = (struct listener){.clients = clients, .attributes = socket->attributes, .per_turn = 1};
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ev_io_init(&l->io, on_acceptable, socket->fd, EV_READ);
    l->io.data = l;
    ev_timer_init(&l->pause, on_pause_over, 0., 0.);
    l->pause.data = l;
    ev_io_start(clients->context.loop, &l->io);
}

void listener_close(struct listener *l)
{
    if (!l->clients || l->io.fd < 0)
        return;
    // Bounded: clients that come faster than this get the reset that they would get a moment later anyway.
    for (int i = 0; i < LISTEN_BACKLOG && listener_accept(l); i++)
        ;
    ev_io_stop(l->clients->context.loop, &l->io);
    ev_timer_stop(l->clients->context.loop, &l->pause);
    (void)close(l->io.fd);
    if (l->reserve >= 0)
        (void)close(l->reserve);
    l->io.fd = -1;
}
