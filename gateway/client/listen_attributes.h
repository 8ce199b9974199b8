// What is told apart by the listener that a connection came from. Pure.
#pragma once

#define LISTEN_BACKLOG 4096 // clients that the kernel lets wait for one socket

enum listener_role { LISTENER_PUBLIC = 1, LISTENER_ADMIN = 2 }; // bits: a route may be of both

struct listen_attributes {
    enum listener_role role;
};

// A listening socket and what it is for.
struct listen_socket {
    int fd;
    struct listen_attributes attributes;
};
