// A listening socket at work: accepts clients into one loop. On the loop's thread.
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "gateway/client/client_loop.h"

struct listener {
    ev_io io;
    ev_timer pause; // descriptors or memory ran out: accepts again when it fires
    struct client_loop *clients;
    struct listen_attributes attributes;
    int reserve; // a descriptor kept to refuse with when there is no other
    double last_log;
    unsigned per_turn;   // clients to accept in one turn of the loop, for now
    unsigned full_turns; // turns in a row that found as many
};

// Accepts on `socket` (its descriptor is taken) into `clients` from now on.
void listener_start(struct listener *l, struct client_loop *clients, const struct listen_socket *socket);
// Accepts all that is queued already, then closes the socket: what the kernel has let in is not reset. No
// effect when closed.
void listener_close(struct listener *l);
