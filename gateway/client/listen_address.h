// Addresses to listen at: checked with the options, and bound on the main thread before others start, so that
// a port in use is one clear error. Each listening socket is then handed to a listener (listener.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LISTEN_MAX 16 // addresses per gateway

// The file of a unix socket: a process may connect that may write to it (unix(7)).
struct listen_access {
    mode_t mode;
    gid_t group; // LISTEN_GROUP_OWN: that of this process
};
#define LISTEN_GROUP_OWN ((gid_t)-1)

// From three octal digits, with or without a 0 before them. False where `text` is something else.
bool listen_access_mode(const char *text, mode_t *mode);
// From the name of a group or its number. False where the machine knows no such group.
bool listen_access_group(const char *text, gid_t *group);

struct listen_address {
    const char *text;            // as given and checked; borrowed
    struct listen_access access; // where it is a unix socket
    // Set by listen_address_bind.
    char bound[300]; // what was bound, for the log: `text`, with the port that was taken
    bool has_file;   // a socket file was made: this one, and none that another process has made later
    struct stat file;
};

// True where `address` is "ADDR:PORT", "[V6]:PORT" (numbers) or "unix:PATH"; else the rest of a sentence `"x"
// ...` in `error`.
bool listen_address_check(const char *address, char *error, size_t error_size);

// Where a process of this machine reaches the socket that is bound to `address`, which has been checked: where it is
// bound to all addresses, at that of loopback. Returns the length; 0 where the port is 0, any free one, or when out of
// memory.
socklen_t listen_address_reach(const char *address, struct sockaddr_storage *to);

// Binds `a->text` and listens, once for each of `count` loops, into fds[count]. TCP: one socket a loop with
// SO_REUSEPORT, so the kernel spreads connections; unix: one socket, duplicated. Port 0 takes a free one. A
// socket file that nobody listens on is replaced. On failure nothing stays open, no file is left, false, and
// one line in `error`.
bool listen_address_bind(struct listen_address *a, size_t count, int *fds, char *error, size_t error_size);

// Sets the options of TCP on the listening socket `fd` that accepted ones inherit: no system call per client. False
// with errno.
bool listen_address_tune(int fd);

// Removes the socket file, if listen_address_bind has made one and it is still that one. The sockets stay as
// they are.
void listen_address_remove(struct listen_address *a);
