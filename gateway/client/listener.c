#include "gateway/client/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
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
// From the moment that no new connection is let in to the close of the socket: a client whose last packet of the
// handshake takes longer gets a reset.
#define LAST_MS 250u
#define LAST_LEAST_MS 10u

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

static void on_last(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    listener_close(w->data);
}

void listener_start(struct listener *l, struct client_loop *clients, const struct listen_socket *socket)
{
    assert(socket->fd >= 0);
    *l = (struct listener){.clients = clients, .attributes = socket->attributes, .per_turn = 1};
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ev_io_init(&l->io, on_acceptable, socket->fd, EV_READ);
    l->io.data = l;
    ev_timer_init(&l->pause, on_pause_over, 0., 0.);
    ev_timer_init(&l->last, on_last, 0., 0.);
    l->pause.data = l->last.data = l;
    ev_io_start(clients->context.loop, &l->io);
}

static void listener_unwatch(struct listener *l)
{
    ev_io_stop(l->clients->context.loop, &l->io);
    ev_timer_stop(l->clients->context.loop, &l->pause);
    ev_timer_stop(l->clients->context.loop, &l->last);
}

void listener_close(struct listener *l)
{
    if (!listener_is_open(l) && !l->is_resting)
        return;
    // Bounded: clients that come faster than this get the reset that they would get a moment later anyway.
    for (int i = 0; i < LISTEN_BACKLOG && !l->attributes.is_inherited && listener_accept(l); i++)
        ;
    listener_unwatch(l);
    l->is_resting = false;
    (void)close(l->io.fd);
    if (l->reserve >= 0)
        (void)close(l->reserve);
    l->io.fd = -1;
}

// A connection that the kernel lets in after the last accept4() is reset by the close, and one whose handshake is not
// done, too. So the socket gets a filter that drops each SYN (RFC 9293 section 3.5): what has begun comes to its end,
// and a client that is late sends its SYN again, finds the socket closed, and is refused in the usual way. False where
// the kernel takes no filter: the time in which a reset is possible is short then.
static bool drop_new(int fd)
{
    // The flags of the TCP header, at which the filter's packet begins: SYN without ACK.
    enum { FLAGS = 13, SYN = 0x02, ACK = 0x10 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static bool is_unix(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t len = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

void listener_retire(struct listener *l, uint64_t ms)
{
    if (!listener_is_open(l))
        return;
    if (l->attributes.is_inherited) {
        // A filter or a shutdown would stay on the socket for the next process. The descriptor stays open while the
        // loop runs: closing it would not take it out of epoll, as other descriptors of the socket are open.
        listener_unwatch(l);
        l->is_resting = true;
        return;
    }
    if (is_unix(l->io.fd)) {
        (void)shutdown(l->io.fd, SHUT_RD); // connect(2) is refused from now on; what is queued stays
        listener_close(l);
        return;
    }
    if (!drop_new(l->io.fd))
        log_warn("listener",
                 "connections that come in this moment may be reset: the kernel takes no filter: %s",
                 strerror(errno));
    ms = ms > LAST_MS ? LAST_MS : ms < LAST_LEAST_MS ? LAST_LEAST_MS : ms;
    ev_timer_set(&l->last, (double)ms / 1000.0, 0.);
    ev_timer_start(l->clients->context.loop, &l->last);
}
