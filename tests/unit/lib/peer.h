// A peer on a unix socket that answers without understanding: what a server does that is full, forbidden or
// no Redis.
#pragma once

#include <ev.h>
#include <stddef.h>

#define PEER_CLIENTS_MAX 8

struct peer {
    struct ev_loop *loop;
    const char *greeting;     // sent to each connection, NULL: nothing; borrowed
    const char *answers[4];   // to the first, second .. read; after the last one it closes; borrowed
    unsigned accepted, reads; // so far
    ev_io listening;
    struct peer_client {
        struct peer *peer;
        ev_io io;
        unsigned read; // reads of this connection
    } clients[PEER_CLIENTS_MAX];
};

// Listens at `path`. `greeting` and `answers` are set before; they may be changed at any time.
void peer_start(struct peer *p, struct ev_loop *loop, const char *path);
void peer_stop(struct peer *p);
