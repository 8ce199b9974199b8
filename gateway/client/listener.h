// Listening sockets: bound before the threads start, so that a port in use is one clear error; then watched
// by one loop each.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "gateway/client/client_loop.h"

#define LISTEN_MAX 16 // addresses per gateway

struct listener {
    ev_io io;
    ev_timer pause; // descriptors ran out: try again when it fires
    struct client_loop *clients;
    struct listen_attributes attributes;
    int reserve; // a descriptor kept to refuse with when there is no other
    double last_log;
    unsigned per_turn;   // clients to accept in one turn of the loop, for now
    unsigned full_turns; // turns in a row that found that many
};

// True where `address` is "ADDR:PORT", "[V6]:PORT" (numbers) or "unix:PATH"; else the rest of a sentence `"x"
// ...` in `error`.
bool listener_check(const char *address, char *error, size_t error_size);

// Binds `address` (checked; borrowed) and listens, once for each of `count`
// loops, into fds[count]. TCP: one socket a loop with SO_REUSEPORT, so the kernel spreads connections; unix:
// one socket, duplicated. Port 0 takes a free one. On failure nothing stays open, false, and one line in
// `error`. `bound` gets the address as bound, for the log.
bool listener_bind(const char *address, size_t count, int *fds, char *bound, size_t bound_size, char *error,
                   size_t error_size);

// Accepts on `socket` (its descriptor is taken) into `clients` from now on.
void listener_start(struct listener *l, struct client_loop *clients, const struct listen_socket *socket);
// Accepts all that is queued already, then closes the socket: what the kernel has let in is not reset. No
// effect when closed.
void listener_close(struct listener *l);
