// Listening sockets that the process was started with, as systemd passes them (sd_listen_fds(3)): LISTEN_FDS
// descriptors from 3 on, for the process LISTEN_PID, each with a name in LISTEN_FDNAMES, divided by colons. The
// other holder keeps them open: connections wait in them from the end of this process to the start of the next.
// Main thread, before others start.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/client/listen_address.h"
#include "gateway/client/listen_attributes.h"

#define INHERITED_MAX (LISTEN_MAX + 1) // of --listen, and the one of --admin-listen

struct inherited_socket {
    int fd;
    enum listener_role role; // by its name: "admin" or "public"; one without a name of its own is public
    char bound[300];         // "127.0.0.1:8080", "[::1]:8080" or "unix:/run/sse.sock", for the log
};

struct inherited_sockets {
    struct inherited_socket items[INHERITED_MAX];
    size_t count;
};

// Takes the sockets of this process into `s`: none where LISTEN_FDS is not set or LISTEN_PID is another process. Each
// is made non-blocking, closed on exec, and gets the options of listen_address_bind. False, and one line in `error`,
// where one is no listening TCP or unix socket, or the variables contradict each other.
bool inherited_take(struct inherited_sockets *s, char *error, size_t error_size);
size_t inherited_count(const struct inherited_sockets *s, enum listener_role role);
