// A blocking stream to Redis, by TCP or unix socket, whose every wait is bounded.
#pragma once

#include "publisher-cli/failure.h"

#include <stdint.h>

// Connects, to the first address of `host` that answers; -1, with the reason alone in `failure`, on failure.
// Resolving `host` may take `timeout_ms`, so may each of its addresses, and each read and write on the socket
// afterwards.
int socket_open_tcp(const char *host, unsigned short port, uint64_t timeout_ms, struct failure *failure);
int socket_open_unix(const char *path, uint64_t timeout_ms, struct failure *failure);
