// A socket to a Redis server.
#pragma once

#include <netdb.h>
#include <stddef.h>

// Both begin to connect without waiting, and return the descriptor (writable when it is done, SO_ERROR tells
// tail) or -1 with errno.
int redis_socket_unix(const char *path);
// Of several addresses, each `attempt` takes the next one.
int redis_socket_tcp(const struct addrinfo *found, unsigned attempt);
