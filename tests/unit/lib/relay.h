// Stands between a client and a server on unix sockets and hands the server's bytes on in pieces of a chosen
// size, each only when the one before has been read. So a reader sees every place where bytes can be split.
#pragma once

#include <ev.h>
#include <stddef.h>

struct relay {
    struct ev_loop *loop;
    const char *upstream; // the server's socket; borrowed
    ev_io listening, client, server;
    size_t piece;    // bytes; may be changed at any time
    unsigned pieces; // handed on so far
};

// Takes one connection at a time at `path`.
void relay_start(struct relay *r, struct ev_loop *loop, const char *path, const char *upstream, size_t piece);
void relay_stop(struct relay *r);
