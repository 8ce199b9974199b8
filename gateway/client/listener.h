// A listening socket at work: accepts clients into one loop. On the loop's thread.
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "gateway/client/client_loop.h"

struct listener {
    ev_io io;
    ev_timer pause; // descriptors or memory ran out: accepts again when it fires
    ev_timer last;  // the socket is closed when it fires
    struct client_loop *clients;
    struct listen_attributes attributes;
    bool is_resting;   // retired, and inherited: not watched, its descriptor open until listener_close
    int reserve;       // a descriptor to accept a client with when there is no other, and close it; -1: taken
    double last_log;   // when a pause was logged: ev_now, in seconds
    unsigned per_turn; // clients to accept in this turn of the loop
    unsigned full_turns; // turns in a row that accepted `per_turn` clients
};

// Accepts on `socket` (its descriptor is taken) into `clients` (borrowed) from now on.
void listener_start(struct listener *l, struct client_loop *clients, const struct listen_socket *socket);
// Lets no new connection in, accepts those that the kernel has begun with, and closes the socket when they have had
// the time to come, a fraction of a second and at most `ms`. An inherited socket is left as it is at once: connections
// wait in it for the next process. No effect when closed.
void listener_retire(struct listener *l, uint64_t ms);
// Accepts the connections that the kernel has queued, which it would reset, then closes the socket at once; of an
// inherited one they stay queued. No effect when closed or not started.
void listener_close(struct listener *l);
static inline bool listener_is_open(const struct listener *l)
{
    return l->clients && l->io.fd >= 0 && !l->is_resting;
}
