// A listening socket, and the attributes that it passes on to the connections that it accepts. Plain values,
// of any thread.
#pragma once

#include <stdbool.h>

#define LISTEN_BACKLOG 4096 // connections that the kernel lets wait at one socket

enum listener_role { LISTENER_PUBLIC = 1, LISTENER_ADMIN = 2 }; // bits: a route may be of both

struct listen_attributes {
    enum listener_role role;
    bool tls;          // client_settings.tls is there
    bool is_inherited; // another process keeps it open, and the next gateway accepts what waits in it
};

// A listening socket with its attributes.
struct listen_socket {
    int fd;
    struct listen_attributes attributes;
};
