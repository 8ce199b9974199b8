// A listening socket, and what connections that it accepts have of it. Plain values, of any thread.
#pragma once

#define LISTEN_BACKLOG 4096 // connections that the kernel lets wait at one socket

enum listener_role { LISTENER_PUBLIC = 1, LISTENER_ADMIN = 2 }; // bits: a route may be of both

struct listen_attributes {
    enum listener_role role;
};

// A listening socket and what it is for.
struct listen_socket {
    int fd;
    struct listen_attributes attributes;
};
