// Sockets to Redis servers. Any thread.
#pragma once

#include <netdb.h>
#include <stddef.h>

// Both begin to connect without waiting, and return the descriptor, or -1 with errno. When it becomes
// writable, SO_ERROR tells whether the connection was made.
int redis_socket_unix(const char *path);
// Of several addresses, each `attempt` takes the next one.
int redis_socket_tcp(const struct addrinfo *found, unsigned attempt);
