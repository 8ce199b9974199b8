// A socket to a Redis server.
#pragma once

#include <stddef.h>

#include "common/redis_url.h"

// Begins to connect without waiting; returns the descriptor (writable when it is done, SO_ERROR tells how),
// or -1 with one line in `error`. Name resolution blocks the calling thread.
int redis_socket_connect(const struct redis_url *url, unsigned attempt, char *error, size_t error_size);
